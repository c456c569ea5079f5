import { GrpcError } from '../../csi/grpc-error.ts'
import { Turns } from '../docker/turns.ts'

/**
 * One call at a time for each volume: what comes meanwhile waits, as long as its caller does, and then finds its work
 * done or does it.
 */
export class VolumeTurns {
  readonly #turns = new Turns()

  /** @throws ABORTED for a caller that waits no longer (CSI spec, "Operation pending for volume") */
  run<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const pending = () => new GrpcError('ABORTED', 'another call for this volume is still being worked on')
    return new Promise<T>((resolve, reject) => {
      const leave = () => reject(pending())
      signal.addEventListener('abort', leave, { once: true })
      const begin = async () => {
        signal.removeEventListener('abort', leave)
        if (signal.aborted) throw pending()
        return work()
      }
      this.#turns.run(key, begin).then(resolve, reject)
    })
  }
}
