import type { Assignment, CallBody, CallReply, Envelope, NodeCall } from '../model/node-protocol.ts'

/** The node's way to its controller. The real one speaks HTTP; the simulation drops, repeats and delays. */
export interface ControllerLink {
  /**
   * Makes a call.
   * @throws the controller's refusal with its code; `unreachable` when there was no answer (it may have been done)
   */
  call<K extends NodeCall>(name: K, envelope: Envelope, body: CallBody<K>): Promise<CallReply<K>>

  /** Opens the stream of assignments for a session. `onClose` is called once, however it ends. */
  open(session: string, onAssignment: (assignment: Assignment) => void, onClose: () => void): Promise<{ close(): void }>
}
