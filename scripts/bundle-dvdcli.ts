/**
 * Writes dist/dvdcli.cjs: src/doors/dvdcli and what it imports in one CommonJS file, so that the program starts without
 * stripping types and without the module loader (docs/decisions/0014-dvdcli.md). Nothing else is changed, and the
 * result stays readable. Several may run at once.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { transformSync } from '@swc/core'

const top = join(import.meta.dirname, '..')
const entry = join(top, 'src/doors/dvdcli/main.ts')
const target = join(top, 'dist/dvdcli.cjs')

/** Imports that few calls need: they are evaluated when they are first used. */
const RARE = [
  ...['../model/near.ts', '../model/units.ts', '../../model/near.ts', '../../model/units.ts'],
  ...['./help.ts', './version.ts'],
]

/** Code by path from the top, each file after those that it imports. */
const files = new Map<string, string>()

function add(file: string): void {
  const name = relative(top, file)
  if (files.has(name)) return
  const { code } = transformSync(readFileSync(file, 'utf8'), {
    filename: name,
    jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
    module: { type: 'commonjs', noInterop: true, strictMode: false, lazy: [...RARE] },
  })
  const linked = code.replace(/\brequire\("(\.[^"]*)"\)/g, (_, specifier: string) => {
    const imported = join(dirname(file), specifier)
    add(imported)
    return `load(${JSON.stringify(relative(top, imported))})`
  })
  files.set(name, linked)
}

add(entry)
// the parentheses tell V8 to compile at once what is called at once
const modules = [...files].map(([name, code]) => `files[${JSON.stringify(name)}] = (function (exports) {\n${code}})\n`)
const text = `// Made by scripts/bundle-dvdcli.ts from src/doors/dvdcli: change that.
'use strict'
const files = {}
const loaded = {}
function load(name) {
  if (loaded[name] === undefined) {
    loaded[name] = {}
    files[name](loaded[name])
  }
  return loaded[name]
}
${modules.join('')}
load(${JSON.stringify(relative(top, entry))})
`
mkdirSync(dirname(target), { recursive: true })
// whoever starts it meanwhile has the old one or the new one
const fresh = `${target}.${process.pid}`
writeFileSync(fresh, text)
renameSync(fresh, target)
// what bin/dvdcli has kept of the one before
rmSync(join(top, 'dist/compiled'), { recursive: true, force: true })
