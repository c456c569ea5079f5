import type { Command } from 'commander'
import { defineMesosProvider } from './mesos-provider.ts'

export function defineMesos(noun: Command): void {
  defineMesosProvider(noun)
}
