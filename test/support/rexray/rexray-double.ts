/** Installs the double of REX-Ray as a program of its own in a directory, and lets a test look at it from outside. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HoldfastError } from '../../../src/model/errors.ts'
import type { Programs } from '../../../src/programs/run.ts'
import { TAG } from '../../../src/programs/survivors.ts'
import { tool } from '../../drivers/disk.ts'
import { loopsUnder, mountsUnder } from '../../e2e/support/node-cleanup.ts'
import { tempDir } from '../temp-dir.ts'
import { answerTo } from './answers.ts'
import { emptyState, type Fault, type Options, readState, type Volume, withState, writeState } from './state.ts'

const PROGRAM = fileURLToPath(new URL('./rexray-stand-in.ts', import.meta.url))

export class RexrayDouble {
  readonly directory: string
  /** Unlike every other program's. */
  readonly command: string
  readonly #remove: () => void

  constructor(options: Partial<Options> = {}) {
    const temp = tempDir()
    this.#remove = () => temp.remove()
    this.directory = temp.path
    this.command = `rexray-${basename(temp.path).toLowerCase()}`
    const mounts = join(temp.path, 'mounts')
    mkdirSync(mounts)
    writeState(temp.path, emptyState(options.devices === 'loop' ? { mountRoot: mounts, ...options } : options))
    writeFileSync(this.program, this.#script(), { mode: 0o755 })
  }

  get program(): string {
    return join(this.directory, this.command)
  }

  /** Each node of a test is a machine of its own, told by what it marks its children with. */
  #script(): string {
    const [cache, program, directory] = [join(tmpdir(), 'rexray-double-cache'), PROGRAM, this.directory].map((path) =>
      JSON.stringify(path),
    )
    return [
      `#!${process.execPath}`,
      `require('node:module').enableCompileCache(${cache})`,
      `process.argv.splice(2, 0, ${directory}, process.env.${TAG} ?? 'vm')`,
      `import(${program})`,
    ].join('\n')
  }

  /** The same without a process for each call, which takes most of the time of tests that need hundreds. */
  within(programs: Programs, machine: string): Programs {
    return {
      ...programs,
      run: async (program, args, options) => {
        if (program !== this.command) return await programs.run(program, args, options)
        if (options.signal.aborted) throw new HoldfastError('cancelled', `${program} was cancelled before it started`)
        const answer = answerTo(args, this.directory, machine)
        if (answer === 'hang') throw new Error('there is no process that could hang')
        return { stdout: '', stderr: '', ...answer }
      },
    }
  }

  get volumes(): Volume[] {
    return readState(this.directory).volumes
  }

  volume(name: string): Volume {
    const found = this.volumes.find((each) => each.name === name)
    if (found === undefined) throw new Error(`there is no volume ${name}`)
    return found
  }

  /** Argument vectors so far, oldest first, without what every one ends with. */
  calls(): string[] {
    const path = join(this.directory, 'calls.jsonl')
    if (!existsSync(path)) return []
    const lines = readFileSync(path, 'utf8').trim().split('\n')
    return lines.map((line) => (JSON.parse(line) as string[]).join(' '))
  }

  /** The calls that change something. */
  changes(): string[] {
    return this.calls().filter((call) => !/^(volume (ls|get)|adapter) /.test(call))
  }

  forgetCalls(): void {
    writeFileSync(join(this.directory, 'calls.jsonl'), '')
  }

  /** Something goes wrong once, or several times. */
  fault(fault: Omit<Fault, 'times'> & { times?: number }): void {
    withState(this.directory, ({ faults }) => void faults.push({ times: 1, ...fault }))
  }

  set(options: Partial<Options>): void {
    withState(this.directory, (state) => void Object.assign(state.options, options))
  }

  /** As another machine, or an operator, does it: behind the back of the driver. */
  change(work: (volumes: Volume[]) => void): void {
    withState(this.directory, ({ volumes }) => work(volumes))
  }

  /** What is mounted or attached of it; nothing when everything was detached. */
  leftovers(): string[] {
    const mounts = mountsUnder(this.directory).map(({ target }) => `mount ${target}`)
    return [...mounts, ...loopsUnder(this.directory, '\0').map(({ device }) => `device ${device}`)]
  }

  dispose(): void {
    for (let round = 0; round < 2; round += 1) {
      for (const { device } of loopsUnder(this.directory, '\0')) release(device)
    }
    this.#remove()
  }
}

function release(device: string): void {
  const attempt = (...words: [string, ...string[]]): boolean => {
    try {
      tool(...words)
      return true
    } catch {
      return false // not so, or not any more
    }
  }
  while (attempt('umount', device));
  attempt('blockdev', '--setrw', device)
  attempt('losetup', '--detach', device)
}
