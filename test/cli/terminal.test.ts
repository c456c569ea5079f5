import { spawn } from 'node:child_process'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
import { needs } from '../support/missing.ts'
import { until } from '../support/until.ts'
import { BIN, type Child, ended, environment, type Server, server } from './holdfast.ts'

// On a real pseudo terminal, which script(1) makes.

needs('script').describe('on a terminal', () => {
  let running: Server
  beforeAll(async () => {
    running = await server()
    await running.run('pool create loop~a~keep --capacity 10GiB --setting directory=/nonexistent')
    await running.run('pool create loop~a~gone --capacity 10GiB --setting directory=/nonexistent')
  })
  afterAll(() => running[Symbol.asyncDispose]())

  /** @param line without anything that a shell would read differently */
  function onTerminal(line: string, more: Readonly<Record<string, string>> = {}): Child & { seen(): string } {
    const env = { ...environment({ ...running.env, ...more }), TERM: 'xterm', SHELL: '/bin/sh' }
    const child = spawn('script', ['-qefc', `${BIN} ${line}`, '/dev/null'], { env, stdio: ['pipe', 'pipe', 'pipe'] })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    return Object.assign(child, { seen: () => text })
  }

  async function answer(line: string, keys: string): Promise<{ code: number | null; text: string }> {
    const child = onTerminal(line)
    await until(() => child.seen().includes('[y/N]'), { what: 'the question' })
    child.stdin.write(keys)
    const { code } = await ended(child)
    return { code, text: child.seen() }
  }

  const pools = async () =>
    JSON.parse((await running.run('pool list -o json')).out).map((pool: { name: string }) => pool.name)

  needs('script').test('what destroys is asked for, and no, nothing and Ctrl-C leave it as it is', async () => {
    for (const keys of ['n\r', '\r', 'yesterday\r', '\x03']) {
      const { code, text } = await answer('pool delete loop~a~keep', keys)
      expect(text).toContain('Remove pool loop~a~keep? [y/N]')
      expect(text).toContain('Nothing was done.')
      expect(code).toBe(130)
    }
    expect(await pools()).toContain('loop~a~keep')
  })

  needs('script').test('yes does it, and --yes asks nothing', async () => {
    expect(await answer('pool delete loop~a~gone', 'y\r')).toMatchObject({
      code: 0,
      text: expect.stringContaining('removed'),
    })
    expect(await pools()).not.toContain('loop~a~gone')
    await running.run('pool create loop~a~gone --capacity 10GiB')
    const child = onTerminal('pool delete loop~a~gone --yes')
    expect((await ended(child)).code).toBe(0)
    expect(child.seen()).not.toContain('[y/N]')
  })

  needs('script').test('colours are used, unless NO_COLOR says otherwise', async () => {
    const [plain, coloured] = [onTerminal('status', { NO_COLOR: '1' }), onTerminal('status')]
    await Promise.all([ended(plain), ended(coloured)])
    expect(coloured.seen()).toContain('\x1b[1mPOOLS')
    expect(plain.seen()).toContain('POOLS')
    expect(plain.seen()).not.toContain('\x1b[')
  })

  needs('script').test('tables fit the width of the terminal', async () => {
    const child = spawn('script', ['-qefc', `stty cols 70; ${BIN} pool list`, '/dev/null'], {
      env: { ...environment(running.env), SHELL: '/bin/sh', NO_COLOR: '1' },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const { out } = await ended(child)
    const lines = out.split(/\r?\n/).filter((line) => line !== '')
    expect(lines.length).toBeGreaterThan(1)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(70)
    expect(out).toContain('…')
  })

  needs('script').test('progress is a bar that is gone at the end', async () => {
    const headers = { authorization: `Bearer ${running.env.HOLDFAST_TOKEN}`, 'content-type': 'application/json' }
    const body = JSON.stringify({ name: 'away', machineId: 'm', credentialHash: 'ab'.repeat(32) })
    await fetch(`${running.env.HOLDFAST_API}/v1/nodes/join`, { method: 'POST', headers, body })
    const child = onTerminal('pool mark loop~a~keep --node away')
    await until(() => /\[·+\] +0% {2}mark loop~a~keep: waiting for/.test(child.seen()), { what: 'the bar' })
    child.stdin.write('\x03')
    expect((await ended(child)).code).toBe(130)
    expect(child.seen()).toContain('It goes on. Follow it with: holdfast operation wait op-')
  })
})
