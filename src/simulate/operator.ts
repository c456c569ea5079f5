import type { ApiClient } from './api-client.ts'
import type { DurableLedger } from './durable-ledger.ts'
import type { Machine } from './machine.ts'
import type { World } from './world.ts'

export interface OperatorParts {
  readonly world: World
  readonly ledger: DurableLedger
  readonly api: ApiClient
  readonly machines: readonly Machine[]
}

/** Does by hand what only a person may: forces what a machine held that is really off, and confirms a clock. */
export class Operator {
  readonly #parts: OperatorParts
  /** Requests that are not answered yet. */
  open = 0
  #stopped = false

  constructor(parts: OperatorParts) {
    this.#parts = parts
  }

  start(): void {
    void this.#live()
  }

  stop(): void {
    this.#stopped = true
  }

  async #live(): Promise<void> {
    const { world, ledger, machines } = this.#parts
    while (!this.#stopped) {
      await world.sleep(world.random.int(2000, 8000))
      if (ledger.get('clock', 'clock') !== undefined && world.random.chance(0.3)) await this.confirmClock()
      for (const { id, nodeId } of ledger.all('attachment')) {
        const machine = machines.find((each) => each.nodeId === nodeId)
        if (machine?.on === false && ledger.get('node', nodeId)?.state === 'lost') await this.#force(id)
      }
    }
  }

  async #force(attachmentId: string): Promise<void> {
    await this.#ask({ kind: 'attachment.force', attachmentId, reason: 'the machine is off' })
  }

  async confirmClock(): Promise<void> {
    await this.#ask({ kind: 'clock.confirm' })
  }

  async #ask(command: Parameters<ApiClient['submit']>[0]): Promise<void> {
    this.open += 1
    const ended = await this.#parts.api.submit(command)
    const kind = typeof command === 'function' ? '' : command.kind
    this.#parts.world.trace('operator', `${kind}: ${ended.ok ? 'ok' : ended.error.code}`)
    this.open -= 1
  }
}
