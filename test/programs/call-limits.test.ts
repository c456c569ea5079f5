import { expect, test } from 'vitest'
import { Lane, Pace, unlessAborted } from '../../src/programs/call-limits.ts'

const never = new AbortController().signal

test('a lane runs so many at once, in the order of asking, and goes on after a failure', async () => {
  const lane = new Lane(2)
  const order: string[] = []
  const ends = ['a', 'b', 'c', 'd'].map(() => Promise.withResolvers<void>())
  const runs = ['a', 'b', 'c', 'd'].map((name, index) =>
    lane.run(never, async () => {
      order.push(name)
      await ends[index]?.promise
    }),
  )
  await Promise.resolve()
  expect(order).toEqual(['a', 'b'])
  ends[1]?.reject(new Error('b failed'))
  await expect(runs[1]).rejects.toThrow('b failed')
  await Promise.resolve()
  expect(order).toEqual(['a', 'b', 'c'])
  for (const end of ends) end.resolve()
  await Promise.all([runs[0], runs[2], runs[3]])
  expect(order).toEqual(['a', 'b', 'c', 'd'])
})

test('who gives up while it waits leaves the lane to the others', async () => {
  const lane = new Lane(1)
  const end = Promise.withResolvers<void>()
  const first = lane.run(never, () => end.promise)
  const abort = new AbortController()
  const second = lane.run(abort.signal, () => Promise.resolve('second'))
  const third = lane.run(never, () => Promise.resolve('third'))
  abort.abort()
  await expect(second).rejects.toMatchObject({ code: 'cancelled' })
  end.resolve()
  await first
  expect(await third).toBe('third')
  await expect(lane.run(AbortSignal.abort(), () => Promise.resolve())).rejects.toMatchObject({ code: 'cancelled' })
})

test('a pace lets a short burst through and spaces what follows', async () => {
  const pace = new Pace(50)
  const begun = performance.now()
  for (let call = 0; call < 100; call += 1) await pace.turn(never)
  const burst = performance.now() - begun
  for (let call = 0; call < 10; call += 1) await pace.turn(never)
  // 20 ms apart, less what was saved up meanwhile
  expect(performance.now() - begun).toBeGreaterThanOrEqual(195)
  expect(burst).toBeLessThan(performance.now() - begun)
  await expect(pace.turn(AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' })
})

test('waiting ends with the signal, whatever becomes of what was waited for', async () => {
  const abort = new AbortController()
  const late = Promise.withResolvers<string>()
  const waiting = unlessAborted(late.promise, abort.signal)
  abort.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
  late.resolve('done')
  expect(await unlessAborted(late.promise, never)).toBe('done')
})
