import { spawn } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { listenOnSocket } from '../../../src/doors/docker/socket.ts'
import { testDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import { send } from './support/plugin-client.ts'

function server(answer = 'first'): Server {
  const made = createServer((_request, response) => response.end(JSON.stringify({ answer })))
  onTestFinished(() => void made.close())
  return made
}

test('the folder is made, only root may use the socket, and closing removes it', async () => {
  const path = join(testDir(), 'plugins', 'deep', 'hf.sock')
  const made = server()
  await listenOnSocket(made, path)
  expect(lstatSync(path).mode & 0o777).toBe(0o600)
  expect((await send(path, '/')).text).toContain('first')
  await new Promise<void>((resolve) => made.close(() => resolve()))
  expect(existsSync(path)).toBe(false)
})

test('a socket that its process left behind is replaced', async () => {
  const path = join(testDir(), 'hf.sock')
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('ready'))`
  const other = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  let ready = false
  other.stdout.on('data', () => {
    ready = true
  })
  await until(() => ready, { what: 'the other process to listen' })
  other.kill('SIGKILL')
  await until(() => other.signalCode !== null, { what: 'the other process to end' })
  expect(lstatSync(path).isSocket()).toBe(true)
  await listenOnSocket(server('second'), path)
  expect((await send(path, '/')).text).toContain('second')
})

test('a socket on which somebody answers is left to them', async () => {
  const path = join(testDir(), 'hf.sock')
  await listenOnSocket(server('first'), path)
  await expect(listenOnSocket(server('second'), path)).rejects.toMatchObject({ code: 'in_use' })
  expect((await send(path, '/')).text).toContain('first')
})

test('a file or folder in its place is left as it is', async () => {
  const dir = testDir()
  writeFileSync(join(dir, 'file'), 'precious')
  mkdirSync(join(dir, 'folder'))
  for (const name of ['file', 'folder']) {
    await expect(listenOnSocket(server(), join(dir, name))).rejects.toMatchObject({ code: 'invalid_option' })
  }
  expect(readFileSync(join(dir, 'file'), 'utf8')).toBe('precious')
})

test('a path of more than 107 bytes is refused with the numbers, one of 107 is taken', async () => {
  const dir = testDir()
  const longest = join(dir, 'x'.repeat(107 - dir.length - 1))
  await listenOnSocket(server(), longest)
  await expect(listenOnSocket(server(), `${longest}x`)).rejects.toThrow(/has 108 bytes.*at most 107/)
  // bytes, not characters
  const accents = join(dir, 'é'.repeat(60))
  await expect(listenOnSocket(server(), accents)).rejects.toThrow(/at most 107/)
})

test('a relative path is refused', async () => {
  await expect(listenOnSocket(server(), 'hf.sock')).rejects.toMatchObject({ code: 'invalid_option' })
})
