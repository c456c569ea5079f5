/** What serves the pools on REX-Ray: one for each set of settings, with limits that those of one program share. */
import { RexrayAttacher } from './rexray-attacher.ts'
import { RexrayCli, type RexrayLimits, rexrayLimits } from './rexray-cli.ts'
import { DEVICE_TIMES, type DeviceTimes, RexrayDevices } from './rexray-devices.ts'
import { type RexraySettings, rexraySettings } from './rexray-settings.ts'
import type { Programs } from './run.ts'

export interface RexrayService {
  readonly settings: RexraySettings
  readonly cli: RexrayCli
  readonly attacher: RexrayAttacher
}

export class RexrayServices {
  private readonly programs: Programs
  private readonly times: DeviceTimes
  private readonly limits = new Map<string, RexrayLimits>()
  private readonly services = new Map<string, RexrayService>()

  constructor(programs: Programs, times: DeviceTimes = DEVICE_TIMES) {
    this.programs = programs
    this.times = times
  }

  /** @throws invalid_option */
  of(settings: Readonly<Record<string, string>>): RexrayService {
    const key = JSON.stringify(settings)
    const service = this.services.get(key) ?? this.make(rexraySettings(settings))
    this.services.set(key, service)
    return service
  }

  async close(): Promise<void> {
    await Promise.all([...this.services.values()].map(({ cli }) => cli.close()))
  }

  private make(settings: RexraySettings): RexrayService {
    const { programs } = this
    const cli = new RexrayCli(programs, settings, this.limitsOf(settings))
    const devices = new RexrayDevices(cli, this.times)
    return { settings, cli, attacher: new RexrayAttacher({ programs, cli, devices, settings }) }
  }

  private limitsOf(settings: RexraySettings): RexrayLimits {
    const { command, callsPerSecond, concurrency } = settings
    const key = `${command} ${callsPerSecond} ${concurrency}`
    const limits = this.limits.get(key) ?? rexrayLimits(settings)
    this.limits.set(key, limits)
    return limits
  }
}
