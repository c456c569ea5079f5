import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { Authority } from '../../support/certificates.ts'
import { needs } from '../../support/missing.ts'
import { testDir } from '../../support/temp-dir.ts'
import { buildDvdcli, dvdcli, named } from './support/run-dvdcli.ts'
import { driverWith, ScriptedPlugin } from './support/scripted-plugin.ts'

beforeAll(buildDvdcli)

const MOUNTED = { code: 0, stdout: '/mnt/db\n', stderr: '' }

/** A folder with a specification. */
function specsOf(specification: object): string {
  const dir = testDir()
  writeFileSync(join(dir, 'acme.json'), JSON.stringify(specification))
  return dir
}

test('a plugin on TCP mounts', async () => {
  const plugin = new ScriptedPlugin(driverWith({}))
  onTestFinished(() => plugin.close())
  const port = await plugin.listen(0)
  const specs = specsOf({ Addr: `tcp://127.0.0.1:${port}`, TLSConfig: null })
  const env = { HOLDFAST_PLUGIN_SOCKETS_DIR: '/nowhere', HOLDFAST_PLUGIN_SPECS_DIRS: specs }
  expect(await dvdcli(['mount', ...named('acme', 'db')], env)).toMatchObject(MOUNTED)
})

needs('openssl').test('a plugin on TLS mounts when both sides know each other, and not otherwise', async () => {
  const dir = testDir()
  const authority = new Authority(dir)
  const server = authority.certificate()
  const client = authority.certificate('DNS:dvdcli')
  writeFileSync(join(dir, 'client.pem'), client.cert)
  writeFileSync(join(dir, 'client.key'), client.key)
  const stranger = new Authority(dir, 'stranger')
  const plugin = new ScriptedPlugin(driverWith({}), {
    ...server,
    ca: readFileSync(authority.file),
    requestCert: true,
    rejectUnauthorized: true,
  })
  onTestFinished(() => plugin.close())
  const port = await plugin.listen(0)
  const mine = { CertFile: join(dir, 'client.pem'), KeyFile: join(dir, 'client.key') }
  const mount = (TLSConfig: object) => {
    const specs = specsOf({ Addr: `https://127.0.0.1:${port}`, TLSConfig })
    const env = { HOLDFAST_PLUGIN_SOCKETS_DIR: '/nowhere', HOLDFAST_PLUGIN_SPECS_DIRS: specs }
    return dvdcli(['mount', ...named('acme', 'db')], { ...env, HOLDFAST_DVDCLI_WAIT_SECONDS: '0.2' })
  }
  expect(await mount({ ...mine, CAFile: authority.file })).toMatchObject(MOUNTED)
  expect(await mount(mine)).toMatchObject(MOUNTED)
  expect(await mount({ ...mine, CAFile: stranger.file, InsecureSkipVerify: true })).toMatchObject(MOUNTED)
  const calls = plugin.calls.length
  const unknown = await mount({ ...mine, CAFile: stranger.file })
  expect(unknown).toMatchObject({ code: 1, stdout: '' })
  expect(unknown.stderr).toContain(`https://127.0.0.1:${port} is not reached: `)
  expect(await mount({ CAFile: authority.file })).toMatchObject({ code: 1, stdout: '' })
  expect(plugin.calls.length).toBe(calls)
})

test('a specification that cannot be used is told of, with its name', async () => {
  const specs = specsOf({ Addr: 'here' })
  const env = { HOLDFAST_PLUGIN_SOCKETS_DIR: '/nowhere', HOLDFAST_PLUGIN_SPECS_DIRS: specs }
  const { code, stderr } = await dvdcli(['mount', ...named('acme', 'db')], env)
  expect(code).toBe(1)
  expect(stderr).toMatch(/^\/.*\/acme\.json: "here" is no address; write unix:\/\/\/path.*\n$/)
})
