import { quote } from '../model/units.ts'
import type { Finding } from './hazards.ts'
import { isBefore, parseVersion } from './version.ts'

/** Of a master or an agent. */
export function versionHazards(text: string | undefined): Finding[] {
  const version = text === undefined ? undefined : parseVersion(text)
  if (version === undefined) {
    return [untried(text === undefined ? 'it does not say its version' : `its version is ${quote(text)}`)]
  }
  if (isBefore(version, 1, 5)) {
    return [
      {
        code: 'mesos_too_old',
        severity: 'stops',
        sentence: `it is Mesos ${text}; resource providers exist from 1.5 on`,
        advice: 'use the docker/volume isolator or Docker volumes with it, or upgrade to 1.9 or newer',
      },
    ]
  }
  return isBefore(version, 1, 9) ? [untried(`it is Mesos ${text}`)] : []
}

function untried(what: string): Finding {
  return {
    code: 'mesos_untried',
    severity: 'note',
    sentence: `${what}; Holdfast is made for 1.9 to 1.12`,
    advice: 'try it on a cluster that may break',
  }
}
