/** The program of `NodeProcess`: a node daemon whose doors are the messages of its parent. It ends with its parent. */
import { pino } from 'pino'
import { type NodeOptions, runNode } from '../../../src/cli/run-node.ts'
import { asHoldfastError } from '../../../src/model/errors.ts'
import type { MountRequest } from '../../../src/node/daemon.ts'

export type NodeProcessOptions = Omit<NodeOptions, 'log'> & { readonly logFile: string }

export type NodeCall =
  | { call: 'mount'; request: MountRequest }
  | { call: 'unmount'; volume: string; user: { door: string; id: string } }
  | { call: 'status' }
  | { call: 'stop' }

export type NodeMessage =
  | { ready: true }
  | { id: number; value: unknown }
  | { id: number; code: string; message: string }

const { logFile, ...options } = JSON.parse(process.argv[2] ?? '{}') as NodeProcessOptions
process.on('disconnect', () => process.exit(0))
const log = pino({ level: 'info' }, pino.destination({ dest: logFile, sync: true }))
const running = await runNode({ ...options, log })

async function perform(asked: NodeCall): Promise<unknown> {
  switch (asked.call) {
    case 'mount':
      return running.daemon.mount(asked.request)
    case 'unmount':
      return running.daemon.unmount(asked.volume, asked.user)
    case 'status':
      return running.daemon.status()
    case 'stop':
      return running.stop()
  }
}

function answer(message: NodeMessage): void {
  if (process.connected) process.send?.(message)
}

process.on('message', ({ id, ...asked }: NodeCall & { id: number }) => {
  void perform(asked).then(
    (value) => answer({ id, value }),
    (thrown: unknown) => {
      const { code, message } = asHoldfastError(thrown)
      answer({ id, code, message })
    },
  )
})
answer({ ready: true })
