import { nearest } from '../../model/near.ts'
import { quote } from '../../model/units.ts'
import { usage } from './failure.ts'

export const COMMANDS = ['create', 'remove', 'mount', 'unmount', 'path', 'get', 'list', 'version', 'help'] as const
export type Command = (typeof COMMANDS)[number]

export interface Asked {
  readonly command: Command
  /** Empty where none was named. */
  readonly driver: string
  readonly volume: string
  /** What a new volume is to be like, as the driver understands it. */
  readonly options: Readonly<Record<string, string>>
  /** A volume that is not there is not made. */
  readonly explicit: boolean
}

/** The command for which help is wanted, or `undefined` for all of them. */
export interface Help {
  readonly command: 'help'
  readonly about: Command | undefined
}

interface Flag {
  readonly takes: 'value' | 'nothing'
  /** Those that understand it; all if not given. */
  readonly commands?: readonly Command[]
}

/** The original's flags (rexray/dvdcli, flags.go). Its README spells explicitCreate so, its program does not. */
const FLAGS: Readonly<Record<string, Flag>> = {
  volumedriver: { takes: 'value' },
  volumename: { takes: 'value' },
  volumeopts: { takes: 'value', commands: ['create', 'mount'] },
  explicitcreate: { takes: 'nothing', commands: ['mount'] },
  explicitCreate: { takes: 'nothing', commands: ['mount'] },
  help: { takes: 'nothing' },
}

/** A flag as it was given; a value that is `undefined` was not written. */
interface Given {
  readonly name: string
  readonly value: string | undefined
}

/**
 * Reads a command line: `--flag value` or `--flag=value`, before or after the command.
 * @throws Failure with exit code 2
 */
export function readArguments(words: readonly string[]): Asked | Help {
  const { flags, others } = split(words)
  const [first, second, third] = others
  const wantsHelp = flags.some(({ name, value }) => name === 'help' && isOn(name, value))
  if (first === undefined) {
    if (wantsHelp) return { command: 'help', about: undefined }
    throw usage(`give a command: ${COMMANDS.join(', ')}`)
  }
  const command = checkCommand(first)
  if (command === 'help') {
    refuseMore(third)
    return { command, about: second === undefined ? undefined : checkCommand(second) }
  }
  refuseMore(second)
  for (const { name } of flags) checkFits(name, command)
  if (wantsHelp) return { command: 'help', about: command }
  return asked(command, flags)
}

function asked(command: Command, flags: readonly Given[]): Asked {
  const last = (name: string) => flags.findLast((flag) => flag.name === name)?.value ?? ''
  const explicit = flags.findLast(({ name }) => name.toLowerCase() === 'explicitcreate')
  const volume = last('volumename')
  if (volume === '' && command !== 'list' && command !== 'version') {
    throw usage(`${command}: name the volume with --volumename`)
  }
  return {
    command,
    driver: last('volumedriver'),
    volume,
    options: readOptions(flags.filter(({ name }) => name === 'volumeopts').map(({ value }) => value ?? '')),
    explicit: explicit !== undefined && isOn(explicit.name, explicit.value),
  }
}

function split(words: readonly string[]): { flags: Given[]; others: string[] } {
  const flags: Given[] = []
  const others: string[] = []
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? ''
    if (word === '--') return { flags, others: [...others, ...words.slice(at + 1)] }
    if (word === '-h') flags.push({ name: 'help', value: undefined })
    else if (!word.startsWith('-')) others.push(word)
    else {
      const flag = readFlag(word, words[at + 1])
      flags.push(flag)
      if (flag.took) at += 1
    }
  }
  return { flags, others }
}

function readFlag(word: string, next: string | undefined): Given & { readonly took: boolean } {
  const equals = word.indexOf('=')
  const name = word.slice(2, equals === -1 ? undefined : equals)
  const written = equals === -1 ? undefined : word.slice(equals + 1)
  const known = word.startsWith('--') && Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined
  if (known === undefined) throw unknownFlag(word)
  if (known.takes === 'nothing' || written !== undefined) return { name, value: written, took: false }
  // a forgotten value must not swallow the flag after it
  if (next === undefined || next.startsWith('--')) throw usage(`--${name} needs a value: --${name}=…`)
  return { name, value: next, took: true }
}

function unknownFlag(word: string): Error {
  const near = nearest(word.replace(/^-+/, '').replace(/=.*$/s, ''), Object.keys(FLAGS))
  return usage(`there is no flag ${quote(word)}${near === undefined ? '' : `; did you mean --${near}?`}`)
}

function checkCommand(word: string): Command {
  const command = COMMANDS.find((each) => each === word)
  if (command !== undefined) return command
  const near = nearest(word, COMMANDS)
  const hint = near === undefined ? `there are ${COMMANDS.join(', ')}` : `did you mean ${near}?`
  throw usage(`there is no command ${quote(word)}; ${hint}`)
}

function checkFits(name: string, command: Command): void {
  const { commands } = FLAGS[name] ?? {}
  if (commands === undefined || commands.includes(command)) return
  throw usage(`${command} has no flag --${name}; it is for ${commands.join(' and ')}`)
}

function refuseMore(word: string | undefined): void {
  if (word !== undefined) throw usage(`${quote(word)} is too much; name a volume with --volumename=…`)
}

/** As the original's flag library reads it (spf13/pflag, strconv.ParseBool). */
function isOn(name: string, value: string | undefined): boolean {
  if (value === undefined || /^(1|t|T|TRUE|true|True)$/.test(value)) return true
  if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false
  throw usage(`--${name}=${quote(value)}: write true or false`)
}

/** `size=5,iops=150` are two. A comma after a backslash is one of the value; the last of two equal keys counts. */
function readOptions(texts: readonly string[]): Record<string, string> {
  const items = texts.flatMap((text) => text.split(/(?<!\\),/)).map((item) => item.replaceAll('\\,', ','))
  return Object.fromEntries(
    items.map((item) => {
      const equals = item.indexOf('=')
      if (equals < 1) throw usage(`--volumeopts: ${quote(item)} is not key=value`)
      return [item.slice(0, equals), item.slice(equals + 1)]
    }),
  )
}
