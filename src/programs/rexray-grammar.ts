/**
 * REX-Ray's argument vectors. Volumes are named by id only, except where one is made: a name may be several volumes',
 * and the start of a name is enough for REX-Ray to take a volume for the one that is meant.
 *
 * 0.6: `cli/cmds_10_volume.go` of 0.6.0 to 0.11.4. 0.3: `--volumename`, `--volumeid`, in all of 0.2 to 0.5.
 */
import type { RexraySettings } from './rexray-settings.ts'

type Options = Pick<RexraySettings, 'config' | 'service' | 'grammar' | 'volumeType' | 'availabilityZone' | 'fsType'>

const JSON_FORMAT = ['--format', 'json']

export class RexrayGrammar {
  private readonly options: Options
  private readonly old: boolean

  constructor(options: Options) {
    this.options = options
    this.old = options.grammar === '0.3'
  }

  /** Volumes of the whole service. Naming some would not make it cheaper: REX-Ray lists all and then picks. */
  list(): string[] {
    return this.whole(['volume', this.old ? 'get' : 'ls'])
  }

  /** Of volumes attached to this machine, with devices and mount points: `ls` alone may leave both out. */
  paths(ids: readonly string[]): string[] {
    return this.whole(['volume', 'ls', '--path', ...ids])
  }

  instance(): string[] {
    return this.whole(['adapter', 'instances'])
  }

  create(name: string, sizeGiB: number): string[] {
    const { volumeType, availabilityZone } = this.options
    const named = this.old ? ['--volumename', name] : [name]
    const type = flag(this.old ? '--volumetype' : '--volumeType', volumeType)
    const zone = flag(this.old ? '--availabilityzone' : '--availabilityZone', availabilityZone)
    return this.whole(['volume', 'create', ...named, '--size', String(sizeGiB), ...type, ...zone])
  }

  remove(id: string): string[] {
    return this.old ? this.byId('remove', id) : this.byId('rm', id)
  }

  attach(id: string): string[] {
    return this.byId('attach', id)
  }

  /** @param force also if it is attached to another machine, and whatever that one does with it */
  detach(id: string, force: boolean): string[] {
    return this.byId('detach', id, force ? ['--force'] : [])
  }

  /** Attaches where needed, makes a filesystem where REX-Ray knows of none, and mounts. */
  mount(id: string): string[] {
    return this.byId('mount', id, flag('--fsType', this.options.fsType))
  }

  /** Unmounts and detaches. */
  unmount(id: string): string[] {
    return this.byId('unmount', id)
  }

  private byId(verb: string, id: string, flags: readonly string[] = []): string[] {
    return this.whole(['volume', verb, ...(this.old ? ['--volumeid', id] : [id]), ...flags])
  }

  private whole(words: readonly string[]): string[] {
    const { config, service } = this.options
    return [...words, ...JSON_FORMAT, ...flag('--config', config), ...flag('--service', service)]
  }
}

function flag(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [name, value]
}
