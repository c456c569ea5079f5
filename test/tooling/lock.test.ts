import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

interface Entry {
  version?: string
  integrity?: string
  resolved?: string
  optionalDependencies?: Record<string, string>
}

const file = join(import.meta.dirname, '../../package-lock.json')
const { packages }: { packages: Record<string, Entry> } = JSON.parse(readFileSync(file, 'utf8'))

test('the lock names no registry, so that it works with any mirror', () => {
  expect(Object.keys(packages).filter((path) => packages[path]?.resolved !== undefined)).toEqual([])
})

test('the lock has a checksum of every package', () => {
  expect(Object.keys(packages).filter((path) => path !== '' && packages[path]?.integrity === undefined)).toEqual([])
})

// npm leaves a package for another platform out without a word when its registry does not have it, and then `npm ci`
// fails everywhere: choose a version of which the registry has all platforms, and make the lock anew.
test('the lock has the packages of all platforms', () => {
  const absent = Object.entries(packages).flatMap(([path, entry]) =>
    Object.keys(entry.optionalDependencies ?? {}).filter(
      (name) => !(`node_modules/${name}` in packages || `${path}/node_modules/${name}` in packages),
    ),
  )
  expect(absent).toEqual([])
})
