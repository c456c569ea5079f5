/**
 * Plants mistakes into the program, one at a time, and counts how many seeds of the simulation find each.
 *
 *   node scripts/plant-bugs.ts [--seeds 200] [--only NAME] [--first]
 *
 * With --first a plant is left at the first seed that finds it, under the profile that suits it best.
 *
 * The source on disk is not touched: a child process changes the text of modules as it loads them.
 */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { PLANTS, type Plant } from './plants.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

interface Found {
  /** The first seed that found it. */
  first: number | undefined
  seeds: number
  found: number
  /** What the first one saw. */
  violation: string | undefined
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    only: { type: 'string' },
    first: { type: 'boolean', default: false },
    /** Used by itself: plant this, run, and print what was found as JSON. */
    child: { type: 'string' },
  },
})
if (values.child !== undefined) console.log(JSON.stringify(await runPlanted(values.child, Number(values.seeds))))
else await report()

async function report(): Promise<void> {
  const plants = PLANTS.filter(({ name }) => values.only === undefined || name === values.only)
  let missed = 0
  for (const { name, what } of plants) {
    const { first, found, seeds, violation } = await inChild(name)
    if (found === 0) missed += 1
    const share = `${((found * 100) / seeds).toFixed(1)} %`
    console.log(`${name.padEnd(22)} first ${String(first ?? '-').padStart(4)}  ${share.padStart(7)}  ${what}`)
    if (violation !== undefined) console.log(`${' '.repeat(24)}${violation.slice(0, 160)}`)
  }
  console.log(`${plants.length - missed} of ${plants.length} found`)
  process.exitCode = missed === 0 ? 0 : 1
}

async function inChild(name: string): Promise<Found> {
  const script = fileURLToPath(import.meta.url)
  const args = [script, '--child', name, '--seeds', values.seeds, ...(values.first ? ['--first'] : [])]
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 24 })
  return JSON.parse(stdout) as Found
}

async function runPlanted(name: string, seeds: number): Promise<Found> {
  const plant = PLANTS.find((each) => each.name === name)
  if (plant === undefined) throw new Error(`there is no plant ${name}`)
  plantInto(plant)
  const { simulate } = await import('../src/simulate/simulation.ts')
  const result: Found = { first: undefined, seeds, found: 0, violation: undefined }
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { violation } = await simulate({ seed, profile: values.first ? plant.profile : undefined })
    if (violation === undefined) continue
    result.found += 1
    result.first ??= seed
    result.violation ??= violation
    if (values.first) break
  }
  return result
}

/** From now on the files of the plant load with their mistake. */
function plantInto({ changes }: Plant): void {
  const texts = new Map<string, string>()
  for (const { file, from, to } of changes) {
    const text = texts.get(file) ?? readFileSync(`${root}${file}`, 'utf8')
    if (!text.includes(from)) throw new Error(`${file} has no ${JSON.stringify(from)}; mend scripts/plants.ts`)
    texts.set(
      file,
      text.replace(from, () => to),
    )
  }
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context)
      for (const [file, source] of texts) if (url.endsWith(`/${file}`)) return { ...loaded, source }
      return loaded
    },
  })
}
