import { existsSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import { scaled } from '../support/scale.ts'
import { tempDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'

test('until gives the first value that is something, zero and empty text included', async () => {
  let looks = 0
  expect(await until(() => (++looks < 3 ? undefined : 0), { what: 'a number' })).toBe(0)
  expect(looks).toBe(3)
})

test('until names what it waited for, and the last error', async () => {
  const never = () => Promise.reject(new Error('connection refused'))
  const waiting = until(never, { what: 'the socket', deadlineMs: 30 })
  await expect(waiting).rejects.toThrow('waited 30 ms for the socket')
  await expect(waiting).rejects.toHaveProperty('cause.message', 'connection refused')
})

test('scaled multiplies by HOLDFAST_SCALE and refuses nonsense', () => {
  vi.stubEnv('HOLDFAST_SCALE', '20')
  expect(scaled(5)).toBe(100)
  vi.stubEnv('HOLDFAST_SCALE', '0.01')
  expect(scaled(5)).toBe(1)
  vi.stubEnv('HOLDFAST_SCALE', 'many')
  expect(() => scaled(5)).toThrow("HOLDFAST_SCALE is 'many'")
  vi.unstubAllEnvs()
})

test('a temporary folder has a short path and is gone after its scope', () => {
  let path: string
  {
    using dir = tempDir()
    path = dir.path
    expect(existsSync(path)).toBe(true)
    expect(path.length).toBeLessThan(40)
  }
  expect(existsSync(path)).toBe(false)
})
