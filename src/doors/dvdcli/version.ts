import { readFileSync, realpathSync, statSync } from 'node:fs'
import { machine, type } from 'node:os'
import { dirname, join } from 'node:path'

/** The lines of the original's `version` (rexray/dvdcli, commands.go); `unknown` what an installation does not know. */
export function versionText(program: string): string {
  const top = topOf(program)
  const { branch, commit } = headOf(join(top, '.git'))
  const lines = [
    `Binary: ${join(top, 'bin/dvdcli')}`,
    `SemVer: ${JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')).version}`,
    `OsArch: ${type()}-${machine()}`,
    `Branch: ${branch}`,
    `Commit: ${commit}`,
    `Formed: ${statSync(program).mtime.toUTCString().replace('GMT', 'UTC')}`,
  ]
  return `${lines.join('\n')}\n`
}

/** The folder of the package that a program is in. */
function topOf(program: string): string {
  let folder = dirname(realpathSync(program))
  while (read(join(folder, 'package.json')) === undefined && folder !== '/') folder = dirname(folder)
  return folder
}

function headOf(git: string): { branch: string; commit: string } {
  const head = read(join(git, 'HEAD'))?.trim()
  if (head === undefined) return { branch: 'unknown', commit: 'unknown' }
  const name = /^ref: (.*)$/.exec(head)?.[1]
  if (name === undefined) return { branch: 'unknown', commit: head }
  const packed = read(join(git, 'packed-refs'))
    ?.split('\n')
    .find((line) => line.endsWith(` ${name}`))
  const commit = read(join(git, name))?.trim() ?? packed?.split(' ')[0] ?? 'unknown'
  return { branch: name.replace(/^refs\/heads\//, ''), commit }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined // not there
  }
}
