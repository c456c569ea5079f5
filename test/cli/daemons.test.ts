import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { needs } from '../support/missing.ts'
import { testDir } from '../support/temp-dir.ts'
import { until } from '../support/until.ts'
import { type Child, holdfast, server, start } from './holdfast.ts'

async function terminated(child: Child): Promise<number | null> {
  const closed = once(child, 'close') as Promise<[number | null]>
  child.kill('SIGTERM')
  return (await closed)[0]
}

/** A program that stays, with what it says; ended in any case. */
function daemon(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = start(args, env)
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.err += text
  })
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) await terminated(child)
  })
  return { child, said }
}

needs('root', 'loop-devices', 'mkfs.ext4').describe('programs that stay', () => {
  needs('root').test('a node joins with a token from a file, and ends on TERM with nothing mounted', async () => {
    const dir = testDir()
    const running = await server()
    onTestFinished(() => running[Symbol.asyncDispose]())
    await running.run(`node token --save ${dir}/join`)
    const flags = [
      '--name',
      'n1',
      '--state',
      `${dir}/state`,
      '--mount-root',
      `${dir}/mnt`,
      '--label',
      'rack=r1',
      '--no-docker',
      '--socket',
      `${dir}/node.sock`,
    ]
    const args = ['node', 'run', ...flags, '--api', running.running.api]
    const { child, said } = daemon([...args, '--join-token-file', `${dir}/join`])
    const node = await until(
      async () => {
        expect(child.exitCode, said.err).toBeNull()
        const [found] = JSON.parse((await running.run('node list -o json')).out)
        return found?.state === 'up' ? found : undefined
      },
      { what: 'the node to be up', deadlineMs: 30_000, everyMs: 100 },
    )
    expect(node).toMatchObject({ name: 'n1', labels: { rack: 'r1' } })
    expect(await terminated(child)).toBe(0)
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir)
  })

  needs('root').test('a node without a credential or a token says how to get one', async () => {
    const dir = testDir()
    const ran = await holdfast([
      'node',
      'run',
      '--name',
      'n1',
      '--state',
      `${dir}/s`,
      '--mount-root',
      `${dir}/m`,
      '--no-docker',
    ])
    expect(ran).toMatchObject({ code: 6, err: expect.stringContaining('holdfast node token') })
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir)
  })

  needs('root', 'loop-devices').test(
    'dev says in one line of JSON when it is ready, and what was made is there again',
    async () => {
      const dir = join(testDir(), 'd')
      const args = ['dev', '--dir', dir, '--nodes', '1', '--pool', '1GiB', '--docker', 'off', '--json']
      for (const round of ['first', 'second']) {
        const { child, said } = daemon(args)
        const line = await until(() => (said.out.includes('\n') ? said.out : undefined), {
          what: `the ready line of the ${round} start`,
          deadlineMs: 40_000,
        })
        const ready = JSON.parse(line)
        expect(ready).toMatchObject({
          pool: 'loop~dev~pool',
          nodes: [{ name: 'node-1', docker: null, csi: join(dir, 'node-1/csi.sock') }],
        })
        const env = { HOLDFAST_API: ready.api, HOLDFAST_TOKEN: ready.token }
        if (round === 'first') await holdfast(['volume', 'create', 'stays', '--size', '16MiB'], env)
        expect((await holdfast(['volume', 'show', 'stays'], env)).out).toContain('available')
        expect(await terminated(child)).toBe(0)
      }
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir)
    },
  )
})
