import type { Command } from 'commander'
import { defineMesosAcls } from './mesos-acls.ts'
import { defineMesosDoctor } from './mesos-doctor.ts'
import { defineMesosProvider } from './mesos-provider.ts'
import { defineMesosStatus } from './mesos-status.ts'

export function defineMesos(noun: Command): void {
  defineMesosStatus(noun)
  defineMesosDoctor(noun)
  defineMesosAcls(noun)
  defineMesosProvider(noun)
}
