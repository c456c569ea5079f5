import { bar } from './bars.ts'
import { formatAge } from './format.ts'
import { printable } from './table.ts'
import { note } from './terminal.ts'
import type { OperationView } from './views.ts'

const BAR_WIDTH = 24

/** Shows how an operation gets on: one line that changes on a terminal, a line for each change elsewhere. */
export class Progress {
  readonly #started = performance.now()
  readonly #live = process.stderr.isTTY === true
  #last = ''
  #drawn = false

  show(operation: OperationView): void {
    const line = describe(operation)
    if (this.#live) this.#draw(operation, line)
    if (this.#live || line === this.#last) return
    this.#last = line
    note(`${line}\n`)
  }

  /** Leaves a clean line behind. */
  end(): void {
    if (this.#drawn) note('\r\x1b[K')
    this.#drawn = false
  }

  #draw(operation: OperationView, line: string): void {
    const { progress = 0, state } = operation
    const done = state === 'succeeded' ? 1 : progress
    const age = formatAge((performance.now() - this.#started) / 1000)
    const shown = `${bar([[done, '#']], BAR_WIDTH)} ${String(Math.floor(done * 100)).padStart(3)}%  ${line}  ${age}`
    note(`\r\x1b[K${shown.slice(0, Math.max(20, (process.stderr.columns || 80) - 1))}`)
    this.#drawn = true
  }
}

function describe(operation: OperationView): string {
  const what = `${operation.kind} ${operation.subjectName ?? operation.subject.id}`
  const { state, step, node, waitingFor } = operation
  if (state === 'running') return printable(`${what}: ${step}${node === undefined ? '' : ` on ${node}`}`)
  if (state === 'pending') return printable(`${what}: waiting for ${waitingFor ?? 'its turn'}`)
  return printable(`${what}: ${state}`)
}
