import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readArguments } from '../../../src/doors/dvdcli/arguments.ts'
import { Failure } from '../../../src/doors/dvdcli/failure.ts'

const D = '--volumedriver=holdfast'
const N = '--volumename=db'

/** The sentence of a refusal, which always has exit code 2. */
function refusal(...words: string[]): string {
  try {
    readArguments(words)
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(Failure)
    expect((thrown as Failure).exit).toBe(2)
    return (thrown as Failure).message
  }
  throw new Error(`${words.join(' ')} was not refused`)
}

describe('a command line that is understood', () => {
  test('every one that the isolator of Mesos was seen to send', () => {
    const log = readFileSync(join(import.meta.dirname, '../../mesos/recordings/dvdcli-calls.txt'), 'utf8')
    const calls = log
      .split('=== ')
      .map((part) => [...part.matchAll(/^argv\[[1-9]\]=(.*)$/gm)].map(([, word = '']) => word))
    const asked = calls.filter((words) => words.length > 0).map((words) => readArguments(words))
    expect(asked.length).toBeGreaterThan(10)
    const options = { fstype: 'xfs', 'a b': 'x=y z', size: '10' }
    expect(asked[0]).toEqual({ command: 'mount', driver: 'acme', volume: 'vol1', options, explicit: false })
    expect(asked[1]).toEqual({ command: 'unmount', driver: 'acme', volume: 'vol1', options: {}, explicit: false })
  })

  test('flags with a value beside them, before the command', () => {
    const words = ['--volumedriver', 'd', '--volumeopts', 'size=1', '--explicitcreate', 'mount', '--volumename', '-x']
    expect(readArguments(words)).toMatchObject({ driver: 'd', volume: '-x', options: { size: '1' }, explicit: true })
  })

  test.each([
    [['a=1,b=2'], { a: '1', b: '2' }],
    [['a=1', 'b=2'], { a: '1', b: '2' }],
    [['a=b=c'], { a: 'b=c' }],
    [['a='], { a: '' }],
    [['a=1', 'a=2'], { a: '2' }],
    [['labels=team=web\\,tier=db,size=5'], { labels: 'team=web,tier=db', size: '5' }],
    [['__proto__=x'], Object.fromEntries([['__proto__', 'x']])],
  ])('options %j', (texts, options) => {
    const asked = readArguments(['create', D, N, ...texts.map((text) => `--volumeopts=${text}`)])
    expect(JSON.stringify('options' in asked && asked.options)).toBe(JSON.stringify(options))
  })

  test.each([
    ['--explicitcreate', true],
    ['--explicitCreate', true],
    ['--explicitCreate=true', true],
    ['--explicitcreate=1', true],
    ['--explicitcreate=false', false],
    ['--explicitCreate=F', false],
  ])('%s', (flag, explicit) => {
    expect(readArguments(['mount', D, N, flag])).toMatchObject({ explicit })
  })

  test('help, of all and of one command', () => {
    for (const words of [['help'], ['--help'], ['-h']]) {
      expect(readArguments(words)).toEqual({ command: 'help', about: undefined })
    }
    for (const words of [
      ['help', 'mount'],
      ['mount', '--help'],
      ['-h', 'mount'],
      ['mount', D, '--help=true'],
    ]) {
      expect(readArguments(words)).toEqual({ command: 'help', about: 'mount' })
    }
  })

  test('list needs no volume, version nothing, and the last of two names counts', () => {
    expect(readArguments(['list', D])).toMatchObject({ command: 'list', volume: '' })
    expect(readArguments(['version'])).toMatchObject({ command: 'version' })
    expect(readArguments(['get', N, '--volumename=other'])).toMatchObject({ volume: 'other', driver: '' })
  })
})

describe('a command line that is refused', () => {
  test.each([
    [[], /^give a command: create, remove, mount/],
    [[D], /^give a command/],
    [['mont'], 'there is no command "mont"; did you mean mount?'],
    [['frobnicate'], /^there is no command "frobnicate"; there are create, /],
    [['mount', D], 'mount: name the volume with --volumename'],
    [['mount', D, '--volumename='], 'mount: name the volume with --volumename'],
    [['mount', D, '--volumename'], '--volumename needs a value: --volumename=…'],
    [['mount', D, '--volumename', '--volumeopts=a=b'], '--volumename needs a value: --volumename=…'],
    [['mount', D, N, '--volumeopt=a=b'], 'there is no flag "--volumeopt=a=b"; did you mean --volumeopts?'],
    [['mount', D, N, '-volumename=x'], /^there is no flag "-volumename=x"; did you mean --volumename\?/],
    [['mount', D, N, '-x'], 'there is no flag "-x"'],
    [['mount', D, N, '--VolumeName=x'], /did you mean --volumename/],
    [['mount', D, N, '--toString'], /^there is no flag "--toString"/],
    [['mount', D, N, '--volumeopts=size'], '--volumeopts: "size" is not key=value'],
    [['mount', D, N, '--volumeopts='], '--volumeopts: "" is not key=value'],
    [['mount', D, N, '--volumeopts==5'], '--volumeopts: "=5" is not key=value'],
    [['mount', D, N, '--volumeopts=a=1,'], '--volumeopts: "" is not key=value'],
    [['unmount', D, N, '--volumeopts=a=b'], 'unmount has no flag --volumeopts; it is for create and mount'],
    [['create', D, N, '--explicitcreate'], 'create has no flag --explicitcreate; it is for mount'],
    [['mount', D, N, '--explicitcreate=maybe'], '--explicitcreate="maybe": write true or false'],
    [['mount', D, N, '--explicitcreate', 'false'], /^"false" is too much/],
    [['mount', D, N, 'db'], /^"db" is too much; name a volume with --volumename/],
    [['mount', D, N, '--', '--help'], /^"--help" is too much/],
    [['help', 'mont'], /did you mean mount/],
    [['help', 'mount', 'x'], /^"x" is too much/],
  ] as [string[], string | RegExp][])('%j', (words, sentence) => {
    if (typeof sentence === 'string') expect(refusal(...words)).toBe(sentence)
    else expect(refusal(...words)).toMatch(sentence)
  })

  test('never with a control character of what was typed in the sentence', () => {
    expect(refusal('mount', '--\u001b[31m\nx')).toBe('there is no flag "--\\u001b[31m\\nx"')
  })
})
