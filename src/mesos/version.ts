/** A version of Mesos, such as 1.11.0 or 1.12.0-dev; what follows the numbers does not count. */
export interface MesosVersion {
  readonly major: number
  readonly minor: number
}

export function parseVersion(text: string): MesosVersion | undefined {
  const match = /^(\d{1,4})\.(\d{1,4})(?:[.\-+]|$)/.exec(text)
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) }
}

export function isBefore(version: MesosVersion, major: number, minor: number): boolean {
  return version.major < major || (version.major === major && version.minor < minor)
}
