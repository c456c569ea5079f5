/** The double's command line: what REX-Ray's (cobra, pflag) takes, and how it answers what it does not know. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Call {
  readonly noun: string
  readonly verb: string
  readonly names: readonly string[]
  readonly flags: ReadonlyMap<string, string>
}

const VALUES = ['config', 'format', 'host', 'logLevel', 'service', 'template']
const SWITCHES = ['dryRun', 'help', 'quiet', 'verbose']
const SHORT: Readonly<Record<string, string>> = {
  ...{ c: 'config', n: 'dryRun', f: 'format', '?': 'help', h: 'host', l: 'logLevel', q: 'quiet', s: 'service' },
  v: 'verbose',
}

interface Verb {
  readonly names: readonly string[]
  readonly values: readonly string[]
  readonly switches: readonly string[]
}

function verb(names: string, values = '', switches = ''): Verb {
  const words = (text: string) => text.split(' ').filter(Boolean)
  return { names: words(names), values: words(values), switches: words(switches) }
}

const NEW: readonly Verb[] = [
  verb('ls l list get inspect', '', 'attached available path'),
  verb(
    'create c n new',
    'availabilityZone encryptionKey fsType iops size snapshotID volumeType',
    'amount attach continueOnError encrypted force overwriteFS',
  ),
  verb('rm r remove delete del', '', 'continueOnError force'),
  verb('attach a', '', 'continueOnError force idempotent'),
  verb('detach d', '', 'continueOnError force idempotent'),
  verb('mount m', 'fsType', 'continueOnError idempotent overwriteFS'),
  verb('unmount u umount', '', 'continueOnError idempotent'),
]

const OLD: readonly Verb[] = [
  verb('get ls list', 'volumename volumeid'),
  verb('create new', 'volumename volumetype iops size volumeid snapshotid availabilityzone', 'runasync'),
  verb('remove rm', 'volumeid'),
  verb('attach', 'volumeid instanceid', 'force runasync'),
  verb('detach', 'volumeid instanceid', 'force runasync'),
]

const OTHERS: Readonly<Record<string, readonly Verb[]>> = {
  adapter: [verb('types'), verb('instances')],
  device: [verb('ls')],
}

/** What it prints to stderr instead of doing anything, and with exit code 0. */
export class Misunderstood extends Error {}

/** @throws Misunderstood */
export function parse(words: readonly string[], grammar: '0.6' | '0.3'): Call {
  const [noun = '', asked = ''] = words.filter((word) => !word.startsWith('-'))
  const verbs = noun === 'volume' ? (grammar === '0.3' ? OLD : NEW) : OTHERS[noun]
  if (verbs === undefined) throw new Misunderstood(unknownCommand(noun, 'rexray'))
  const found = verbs.find(({ names }) => names.includes(asked))
  if (found === undefined) throw new Misunderstood(unknownCommand(asked, `rexray ${noun}`))
  const { rest, flags } = split(words, found, (problem) => new Misunderstood(usage(problem, noun, found)))
  return { noun, verb: found.names[0] ?? '', names: rest.slice(2), flags }
}

function split(words: readonly string[], { values, switches }: Verb, problem: (text: string) => Misunderstood) {
  const flags = new Map<string, string>()
  const rest: string[] = []
  const left = [...words]
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    const [name, given] = flagOf(word)
    if (!word.startsWith('-')) rest.push(word)
    else if ([...switches, ...SWITCHES].includes(name)) flags.set(name, given ?? 'true')
    else if (![...values, ...VALUES].includes(name)) throw problem(`unknown flag: ${word}`)
    else flags.set(name, valueFor(word, name, given ?? left.shift(), problem))
  }
  return { rest, flags }
}

function valueFor(
  word: string,
  name: string,
  value: string | undefined,
  problem: (text: string) => Misunderstood,
): string {
  if (value === undefined) throw problem(`flag needs an argument: ${word}`)
  if (name === 'size' && !/^\d+$/.test(value)) throw problem(badSize(value))
  return value
}

function badSize(value: string): string {
  return `invalid argument "${value}" for "--size" flag: strconv.ParseInt: parsing "${value}": invalid syntax`
}

function flagOf(word: string): [name: string, value: string | undefined] {
  if (word === '-i') return ['idempotent', undefined]
  if (!word.startsWith('--')) return [SHORT[word.slice(1)] ?? word, undefined]
  const at = word.indexOf('=')
  return at < 0 ? [word.slice(2), undefined] : [word.slice(2, at), word.slice(at + 1)]
}

function unknownCommand(word: string, parent: string): string {
  return `Error: unknown command "${word}" for "${parent}"\nRun '${parent} --help' for usage.\n`
}

/** Of `create` as recorded, of the others in short. */
function usage(problem: string, noun: string, { names, values, switches }: Verb): string {
  if (noun === 'volume' && names[0] === 'create' && problem.startsWith('unknown flag: ')) {
    const recorded = readFileSync(join(import.meta.dirname, 'captures/38-bad-flag.err'), 'utf8')
    return recorded.replace('unknown flag: --nope', problem)
  }
  const flags = [...values.map((name) => `      --${name} string`), ...switches.map((name) => `      --${name}`)]
  return `Error: ${problem}\nUsage: \n  rexray ${noun} ${names[0]} [flags] [flags]\n\nFlags:\n${flags.join('\n')}\n\n`
}
