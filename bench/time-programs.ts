/**
 * Times whole programs, in turns. A process of its own because starting a program from a large one takes longer, which
 * would hide what is measured. Run with `{rounds, programs: [[program, argument, …], …]}` as JSON; prints one list of
 * milliseconds for each program as JSON.
 */
import { spawnSync } from 'node:child_process'

const WARM_UP = 5

interface Task {
  readonly rounds: number
  readonly programs: readonly (readonly string[])[]
}

const { rounds, programs }: Task = JSON.parse(process.argv[2] ?? '')
const times = programs.map((): number[] => [])
for (let round = -WARM_UP; round < rounds; round += 1) {
  for (const [index, [program = '', ...args]] of programs.entries()) {
    const start = performance.now()
    const { status, stderr } = spawnSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
    const took = performance.now() - start
    if (status !== 0) throw new Error(`${program} exited with ${status}: ${stderr}`)
    if (round >= 0) times[index]?.push(took)
  }
}
console.log(JSON.stringify(times))
