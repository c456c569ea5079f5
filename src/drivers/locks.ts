/** One piece of work at a time for each key, in the order of asking. */
export class Locks {
  private readonly tails = new Map<string, Promise<void>>()

  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.tails.get(key)
    const { promise: done, resolve } = Promise.withResolvers<void>()
    this.tails.set(key, done)
    try {
      await before
      return await work()
    } finally {
      resolve()
      if (this.tails.get(key) === done) this.tails.delete(key)
    }
  }
}
