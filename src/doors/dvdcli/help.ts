import type { Command } from './arguments.ts'

const NAMED = '--volumedriver=DRIVER --volumename=NAME'

const LINES: Readonly<Record<Command, readonly [usage: string, what: string]>> = {
  create: [`create ${NAMED} [--volumeopts=KEY=VALUE]…`, 'makes a volume'],
  remove: [`remove ${NAMED}`, 'removes a volume'],
  mount: [
    `mount ${NAMED} [--volumeopts=KEY=VALUE]… [--explicitcreate]`,
    'mounts a volume and prints where; one that is not there is made first, unless --explicitcreate is given',
  ],
  unmount: [
    `unmount ${NAMED}`,
    'unmounts a volume, however many times it was mounted; one that is not is left as it is',
  ],
  path: [`path ${NAMED}`, 'prints where a volume is mounted, or nothing'],
  get: [`get ${NAMED}`, 'prints the name of a volume that is there'],
  list: ['list --volumedriver=DRIVER', 'prints the names of all volumes'],
  version: ['version', 'prints which program this is'],
  help: ['help [COMMAND]', 'prints this'],
}

const MORE = `Options come as KEY=VALUE, several with a comma between them ("\\," is a comma in a value).
Exit code 0: done; 1: it did not work; 2: the command line, the environment or the settings are wrong.
Settings: /etc/holdfast/dvdcli.json {"driver", "implicitCreate", "timeoutSeconds", "waitSeconds", "absentWords"}.
`

/** What `help` prints, for one command or all. */
export function helpText(about: Command | undefined): string {
  const shown = about === undefined ? Object.values(LINES) : [LINES[about]]
  const lines = shown.map(([usage, what]) => `  dvdcli ${usage}\n      ${what}\n`)
  return `Mounts volumes of any Docker volume plugin, without Docker.\n\n${lines.join('')}\n${MORE}`
}
