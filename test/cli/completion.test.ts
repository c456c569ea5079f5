import { spawn, spawnSync } from 'node:child_process'
import { dirname } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BIN, ended, environment, holdfast, type Server, server } from './holdfast.ts'

let running: Server
beforeAll(async () => {
  running = await server()
  for (const name of ['loop~row1~fast', 'loop~row1~slow', 'ebs~eu~gp3']) {
    await running.run(`pool create ${name} --capacity 1GiB --setting directory=/nonexistent`)
  }
})
afterAll(() => running[Symbol.asyncDispose]())

/** What bash offers for the last of the words, through the script as printed. */
async function offered(
  words: readonly string[],
  env: Readonly<Record<string, string>> = running.env,
): Promise<string[]> {
  const script = [
    'source <(holdfast completion bash)',
    'complete -p holdfast >/dev/null || exit 9',
    'COMP_WORDS=(holdfast "$@")',
    'COMP_CWORD=$#',
    '_holdfast',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is bash that reads this
    'printf "%s\\n" "${COMPREPLY[@]}"',
  ].join('\n')
  const path = `${dirname(BIN)}:${process.env.PATH}`
  const child = spawn('bash', ['-c', script, 'bash', ...words], {
    env: { ...environment(env), PATH: path },
    stdio: 'pipe',
  })
  child.stdin.end()
  const { code, out, err } = await ended(child)
  expect([code, err]).toEqual([0, ''])
  return out.split('\n').filter((line) => line !== '')
}

test('nouns, verbs, flags and their values are completed', async () => {
  expect(await offered(['vol'])).toEqual(['volume'])
  expect(await offered(['volume', 'de'])).toEqual(['delete', 'detach'])
  expect(await offered(['volume', 'create', 'x', '--from-'])).toEqual(['--from-snapshot', '--from-volume'])
  expect(await offered(['volume', 'create', 'x', '--fs', ''])).toEqual(['ext4', 'xfs', 'btrfs', 'directory', 'raw'])
  expect(await offered(['-o', 'j'])).toEqual(['json'])
  expect(await offered(['completion', ''])).toEqual(['bash', 'zsh', 'fish'])
})

test('names come from the controller, for arguments and for flags', async () => {
  expect(await offered(['pool', 'show', 'loop'])).toEqual(['loop~row1~fast', 'loop~row1~slow'])
  expect(await offered(['volume', 'create', 'x', '--size', '1GiB', '--pool', 'e'])).toEqual(['ebs~eu~gp3'])
  expect(await offered(['pool', 'update', '--iops', '3', 'ebs'])).toEqual(['ebs~eu~gp3'])
})

test('without a controller, or with broken settings, it offers nothing and says nothing', async () => {
  expect(await offered(['pool', 'show', ''], { HOLDFAST_API: 'http://127.0.0.1:1' })).toEqual([])
  expect(await offered(['pool', 'show', ''], { HOLDFAST_API: 'nonsense' })).toEqual([])
})

test('the bash script is one that bash accepts; zsh and fish have theirs; another shell is refused', async () => {
  const { out } = await holdfast(['completion', 'bash'])
  expect(spawnSync('bash', ['-n'], { input: out }).status).toBe(0)
  expect((await holdfast(['completion', 'zsh'])).out).toMatch(/^#compdef holdfast\n/)
  expect((await holdfast(['completion', 'fish'])).out).toContain('complete -c holdfast')
  expect((await holdfast(['completion', 'tcsh'])).code).toBe(2)
})
