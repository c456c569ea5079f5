/** How far slow work is, as nodes say; kept in memory only, since it is worth nothing after a restart. */
export class ProgressBoard {
  readonly #done = new Map<string, { attempt: number; done: number }>()
  readonly #listeners = new Set<(operationId: string, done: number) => void>()

  set(operationId: string, attempt: number, done: number): void {
    const before = this.#done.get(operationId)
    if (before !== undefined && (before.attempt > attempt || (before.attempt === attempt && before.done >= done)))
      return
    this.#done.set(operationId, { attempt, done })
    for (const listener of this.#listeners) listener(operationId, done)
  }

  /** 0…1, or undefined when nothing was said. */
  get(operationId: string): number | undefined {
    return this.#done.get(operationId)?.done
  }

  forget(operationId: string): void {
    this.#done.delete(operationId)
  }

  onProgress(listener: (operationId: string, done: number) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
