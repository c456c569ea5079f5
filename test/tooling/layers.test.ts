import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { testDir } from '../support/temp-dir.ts'

const top = join(import.meta.dirname, '../..')

interface Violation {
  rule: { name: string }
  from: string
}

/** Cruises a small tree of these files, under the project's own rules, and gives the rules that were broken. */
function brokenRules(files: Record<string, string>): string[] {
  const dir = testDir()
  copyFileSync(join(top, 'package.json'), join(dir, 'package.json'))
  symlinkSync(join(top, 'node_modules'), join(dir, 'node_modules'))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), text)
  }
  const tool = join(top, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs')
  const config = join(top, '.dependency-cruiser.cjs')
  const run = spawnSync(process.execPath, [tool, '--config', config, '--output-type', 'json', 'src'], {
    cwd: dir,
    encoding: 'utf8',
  })
  const report: { summary: { violations: Violation[] } } = JSON.parse(run.stdout)
  return [...new Set(report.summary.violations.map((violation) => violation.rule.name))].sort()
}

const inward = {
  'src/model/size.ts':
    "import { Type } from 'typebox'\nexport type Size = number\nexport const Schema = Type.Number()\n",
  'src/ledger/decide.ts': "import type { Size } from '../model/size.ts'\nexport const decide = (size: Size) => size\n",
  'src/placement/place.ts': "export { decide } from '../ledger/decide.ts'\n",
  'src/programs/run.ts': "import { execFile } from 'node:child_process'\nexport const run = execFile\n",
  'src/csi/client.ts':
    "import { Client } from '@grpc/grpc-js'\nimport type { Size } from '../model/size.ts'\nexport const client = Client\nexport type { Size }\n",
  'src/drivers/csi.ts': "export { client } from '../csi/client.ts'\n",
  'src/drivers/loop.ts': "import { run } from '../programs/run.ts'\nexport const loop = run\n",
  'src/mesos/client.ts':
    "import { connect } from 'node:net'\nimport { request } from 'undici'\nimport type { Size } from '../model/size.ts'\nexport const client = [connect, request] as const\nexport type { Size }\n",
  'src/node/daemon.ts': "export { loop } from '../drivers/loop.ts'\n",
  'src/doors/docker/mount.ts': 'export const mount = 1\n',
  'src/controller/api.ts':
    "import fastify from 'fastify'\nexport { decide } from '../placement/place.ts'\nexport const server = fastify()\n",
  'src/store/sqlite.ts': "import { DatabaseSync } from 'node:sqlite'\nexport const database = DatabaseSync\n",
  'src/simulate/world.ts': "export { server } from '../controller/api.ts'\n",
  'src/cli/main.ts': "import '../controller/api.ts'\nimport '../node/daemon.ts'\nimport '../simulate/world.ts'\n",
}

test('a tree whose dependencies point inwards breaks no rule', () => {
  expect(brokenRules(inward)).toEqual([])
})

const planted: [rule: string, file: string, line: string][] = [
  ['model-uses-only-itself', 'src/model/a.ts', "import type { decide } from '../ledger/decide.ts'"],
  ['ledger-uses-only-model', 'src/ledger/a.ts', "import type { place } from '../placement/place.ts'"],
  ['placement-uses-only-ledger-and-model', 'src/placement/a.ts', "export * from '../store/sqlite.ts'"],
  ['store-uses-only-model', 'src/store/a.ts', "import '../ledger/decide.ts'"],
  ['programs-uses-only-model-and-node/filesystems.ts', 'src/programs/a.ts', "import '../node/daemon.ts'"],
  ['docker-plugin-uses-only-model', 'src/docker-plugin/a.ts', "import '../drivers/loop.ts'"],
  ['csi-uses-only-model', 'src/csi/a.ts', "import '../drivers/loop.ts'"],
  ['drivers-uses-only-csi-and-docker-plugin-and-model-and-programs', 'src/drivers/a.ts', "import '../node/daemon.ts'"],
  ['mesos-uses-only-model', 'src/mesos/a.ts', "import '../controller/api.ts'"],
  ['pure-parts-have-no-builtins', 'src/ledger/a.ts', "import { randomUUID } from 'node:crypto'"],
  ['pure-parts-have-no-builtins', 'src/model/a.ts', "import type { Stats } from 'fs'"],
  ['model-uses-no-package-but-typebox', 'src/model/a.ts', "import 'yaml'"],
  ['ledger-and-placement-use-no-package', 'src/placement/a.ts', "import 'typebox'"],
  ['controller-never-touches-storage', 'src/controller/a.ts', "await import('../drivers/loop.ts')"],
  ['doors-know-no-controller', 'src/doors/docker/a.ts', "import '../../controller/api.ts'"],
  ['nobody-uses-the-outermost-parts', 'src/node/a.ts', "import '../cli/main.ts'"],
  ['child-processes-only-in-programs', 'src/node/a.ts', "import { spawn } from 'node:child_process'"],
  ['child-processes-only-in-programs', 'src/doors/docker/a.ts', "import { spawn } from 'child_process'"],
  ['no-unresolvable', 'src/node/a.ts', "import './nowhere.ts'"],
  ['no-development-packages', 'src/node/a.ts', "import 'fast-check'"],
  ['no-tests-in-the-program', 'src/node/a.ts', "import '../../test/double.ts'"],
]

test.each(planted)('%s is broken by %s: %s', (rule, file, line) => {
  expect(brokenRules({ ...inward, 'test/double.ts': 'export const double = 1\n', [file]: `${line}\n` })).toContain(rule)
})

test('no-cycles is broken by two files whose types use each other', () => {
  const files = {
    'src/node/a.ts': "import type { B } from './b.ts'\nexport interface A { b: B }\n",
    'src/node/b.ts': "import type { A } from './a.ts'\nexport interface B { a: A }\n",
  }
  expect(brokenRules({ ...inward, ...files })).toContain('no-cycles')
})

// The parser overlooks a module that is named inside a type, so that form is not used at all.
test('no source file names a module inside a type', () => {
  const offenders = readdirSync(join(top, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .filter((name) => /typeof import\(|[:<|&,=] *import\(/.test(readFileSync(join(top, 'src', name), 'utf8')))
  expect(offenders).toEqual([])
})
