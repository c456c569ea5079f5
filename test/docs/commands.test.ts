import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningDev, runDev } from '../../src/cli/dev.ts'
import { createLog } from '../../src/controller/http/log.ts'
import { needs } from '../support/missing.ts'
import { tempDir } from '../support/temp-dir.ts'

const TOP = new URL('../..', import.meta.url).pathname
/** What the reader is to fill in, or would wait for. */
const STAYS = /^(controller run|node run|dev|events --follow)/
/** In this order, since later pages use what earlier ones made. */
const PAGES = ['README.md', 'docs/guide.md', 'docs/mesos.md', 'docs/mesos-frameworks.md', 'docs/csi.md']
/** Documented refusals: they are shown because they refuse. */
const REFUSED = new Map([['explain --size 500GiB', 3]])

interface Output {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** The commands of a program in a page's shell blocks, in order. */
function commandsOf(page: string, program = 'holdfast'): string[] {
  const command = new RegExp(`^\\s*(?:bin/)?${program} (.*?)(?:\\s+#.*)?$`)
  const blocks = readFileSync(join(TOP, page), 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)
  return [...blocks].flatMap(([, block = '']) =>
    block
      .split('\n')
      .map((line) => command.exec(line)?.[1]?.trim())
      .filter((line) => line !== undefined),
  )
}

needs('root', 'loop-devices', 'mkfs.xfs').describe('the commands of the documentation', () => {
  let dev: RunningDev
  const directory = tempDir()
  let lastHold = ''

  beforeAll(async () => {
    const log = createLog('error')
    dev = await runDev({ dir: join(directory.path, 'd'), nodes: 2, poolSizeMiB: 102_400, docker: 'holdfast', log })
    mkdirSync(join(directory.path, 'fast'))
  }, 60_000)

  afterAll(async () => {
    for (const { name } of dev?.nodes ?? []) {
      // what the pages leave attached
      await holdfast(['volume', 'detach', 'db', '--node', name, '--user', 'me'])
    }
    await dev?.stop()
    directory[Symbol.dispose]()
  })

  async function run(command: string): Promise<Output> {
    const filled = command.replace('/srv/fast', join(directory.path, 'fast')).replace(/\bHOLD\b/, lastHold)
    const output = await holdfast(words(filled))
    if (command.startsWith('hold create')) lastHold = JSON.parse(output.stdout).id
    return output
  }

  function holdfast(args: string[]): Promise<Output> {
    return start('holdfast', args, {
      HOLDFAST_API: dev.api,
      HOLDFAST_TOKEN_FILE: dev.tokenFile,
      HOLDFAST_OUTPUT: 'json',
      HOLDFAST_NODE_SOCKET: dev.nodes[0]?.socket ?? '',
    })
  }

  function start(program: string, args: string[], more: Record<string, string>): Promise<Output> {
    return new Promise((resolve) => {
      const options = { env: { ...process.env, ...more }, cwd: directory.path, timeout: 60_000 }
      execFile(join(TOP, 'bin', program), args, options, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr })
      })
    })
  }

  test('do what the pages say', async () => {
    const commands = PAGES.flatMap((page) => commandsOf(page)).filter((command) => !STAYS.test(command))
    expect(commands.length).toBeGreaterThan(15)
    for (const command of commands) {
      const { code, stderr } = await run(command)
      expect({ command, code, stderr: code === 0 ? '' : stderr }).toEqual({
        command,
        code: REFUSED.get(command) ?? 0,
        stderr: REFUSED.has(command) ? expect.any(String) : '',
      })
    }
  }, 180_000)

  test('of dvdcli do what its page says', async () => {
    const commands = commandsOf('docs/dvdcli.md', 'dvdcli')
    expect(commands.length).toBeGreaterThan(8)
    const plugins = dirname(dev.nodes[0]?.docker ?? '')
    for (const command of commands) {
      const { code, stderr, stdout } = await start('dvdcli', words(command), { HOLDFAST_PLUGIN_SOCKETS_DIR: plugins })
      expect({ command, code, stderr }).toEqual({ command, code: 0, stderr: '' })
      if (command.startsWith('mount')) expect(stdout.startsWith(`${dev.nodes[0]?.mountRoot}/`)).toBe(true)
    }
  })

  test('that stay running have the flags that the pages give them', async () => {
    for (const command of PAGES.flatMap((page) => commandsOf(page)).filter((each) => STAYS.test(each))) {
      const [noun = '', verb = ''] = words(command)
      const { stdout } = await holdfast([noun, ...(verb.startsWith('-') ? [] : [verb]), '--help'])
      for (const flag of words(command).filter((word) => word.startsWith('--'))) expect(stdout).toContain(flag)
    }
  })
})

/** Splits as a shell would, for the quotes that the pages use. */
function words(command: string): string[] {
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
}
