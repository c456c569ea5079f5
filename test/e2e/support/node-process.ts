/** The program of `NodeProcess`: a node daemon whose doors are the messages of its parent. It ends with its parent. */
import { pino } from 'pino'
import { type NodeOptions, runNode } from '../../../src/cli/run-node.ts'
import type { Driver } from '../../../src/drivers/driver.ts'
import { asHoldfastError } from '../../../src/model/errors.ts'
import type { MountRequest } from '../../../src/node/daemon.ts'
import { type FaultFiles, faultyDriver } from '../../support/faulty-driver.ts'

export type NodeProcessOptions = Omit<NodeOptions, 'log' | 'wrapDriver'> & {
  readonly logFile: string
  /** Makes calls of its drivers fail. */
  readonly faults?: FaultFiles
}

export type NodeCall =
  | { call: 'mount'; request: MountRequest }
  | { call: 'unmount'; volume: string; user: { door: string; id: string } }
  | { call: 'status' }
  | { call: 'stop' }

export type NodeMessage =
  | { ready: true }
  | { id: number; value: unknown }
  | { id: number; code: string; message: string }

const { logFile, faults, ...options } = JSON.parse(process.argv[2] ?? '{}') as NodeProcessOptions
process.on('disconnect', () => process.exit(0))
const log = pino({ level: 'info' }, pino.destination({ dest: logFile, sync: true }))
const wrap = faults === undefined ? {} : { wrapDriver: (driver: Driver) => faultyDriver(driver, faults) }
const running = await runNode({ ...options, ...wrap, log })

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
