import type { Command } from 'commander'
import type { PoolView } from '../views.ts'
import { list, oneOf, whole } from './options.ts'

/** How a pool is shown to Mesos, as the command line says it. */
export interface MesosOptions {
  readonly mesos?: boolean
  readonly mesosRoles?: string[]
  readonly mesosReservation?: string
  readonly mesosUnreserved?: boolean
  readonly mesosShrink?: string
  readonly mesosSpread?: number
  readonly mesosFloat?: boolean
  readonly mesosNoFloat?: boolean
  readonly mesosBlock?: boolean
  readonly mesosBandwidth?: boolean
}

const MOST_SPREAD = 100_000

/** @param changes whether there may be settings already, which can be taken back */
export function mesosOptions(command: Command, changes: boolean): Command {
  command
    .option('--mesos-roles <role,…>', 'show the pool to Mesos, for these roles', list)
    .addOption(oneOf('--mesos-reservation <kind>', 'kind of their reservations', ['dynamic', 'static']))
    .addOption(
      oneOf('--mesos-shrink <when>', 'when what an agent shows is lowered to what is free', [
        'prompt',
        'on-exhaustion',
        'never',
        'default',
      ]),
    )
    .option(
      '--mesos-spread <agents>',
      'agents on which an idle volume is shown; 0: on every one',
      whole('--mesos-spread', 0, MOST_SPREAD),
    )
    .option('--mesos-unreserved', 'show the capacity unreserved, to every role')
    .option('--mesos-block', 'offer BLOCK disks, too')
    .option('--mesos-no-float', 'disks stay on the agent that made them, and come without persistence')
    .option('--mesos-bandwidth', "show the node's storage bandwidth as storage_bw")
  if (!changes) return command
  return command
    .option('--no-mesos-unreserved', 'show the capacity reserved to each role')
    .option('--no-mesos-block', 'offer no BLOCK disks')
    .option('--mesos-float', 'disks follow their tasks')
    .option('--no-mesos-bandwidth', 'do not show storage_bw')
    .option('--no-mesos', 'do not show the pool to Mesos any more')
}

/** The settings that were given; undefined: none, null: not shown any more. */
export function mesosBody(options: MesosOptions): Record<string, unknown> | null | undefined {
  if (options.mesos === false) return null
  const float = options.mesosNoFloat === true ? false : options.mesosFloat
  const given = {
    roles: options.mesosRoles,
    reservation: options.mesosReservation,
    unreserved: options.mesosUnreserved,
    shrink: options.mesosShrink === 'default' ? null : options.mesosShrink,
    spread: options.mesosSpread,
    float,
    block: options.mesosBlock,
    bandwidth: options.mesosBandwidth,
  }
  return Object.values(given).every((each) => each === undefined) ? undefined : given
}

/** One line for people; undefined: the pool is not shown to Mesos. */
export function mesosLine({ mesos }: PoolView): string | undefined {
  if (mesos === undefined) return undefined
  const { roles, reservation, unreserved, shrink, spread, float, block, bandwidth } = mesos
  return [
    `roles ${roles.join(', ')}`,
    ...(unreserved ? ['unreserved'] : reservation === 'static' ? ['static reservations'] : []),
    ...(shrink === undefined ? [] : [`shrinks: ${shrink}`]),
    ...(spread === 0 ? [] : [`idle volumes on ${spread} agents`]),
    ...(float ? [] : ['disks stay']),
    ...(block ? ['BLOCK disks'] : []),
    ...(bandwidth ? ['storage_bw'] : []),
  ].join('; ')
}
