import { benchCsi } from './csi.ts'
import { benchDvdcli } from './dvdcli.ts'
import { type Line, ratio, table } from './figures.ts'
import { benchHolds } from './holds.ts'
import { benchHttp } from './http.ts'
import { benchMesos } from './mesos.ts'
import { benchMounts } from './mounts.ts'
import { benchScale } from './scale.ts'

const CALLERS = [1, 16, 128]

/** Every benchmark by name; `npm run bench -- NAME …` runs some of them, `--json` prints data. */
const BENCHES: Record<string, () => Promise<Line[]>> = {
  csi: benchCsi,
  dvdcli: benchDvdcli,
  holds: async () => {
    const lines: Line[] = []
    for (const callers of CALLERS) lines.push(await benchHolds(callers))
    return lines
  },
  http: () => benchHttp(CALLERS),
  mesos: benchMesos,
  mounts: benchMounts,
  scale: benchScale,
}

const wanted = process.argv.slice(2).filter((argument) => argument !== '--json')
const unknown = wanted.filter((name) => BENCHES[name] === undefined)
if (unknown.length > 0) {
  process.stderr.write(`no such benchmark: ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}\n`)
  process.exit(2)
}

const lines: Line[] = []
for (const [name, run] of Object.entries(BENCHES)) {
  if (wanted.length === 0 || wanted.includes(name)) lines.push(...(await run()))
}
if (process.argv.includes('--json')) {
  process.stdout.write(
    `${JSON.stringify(
      lines.map((line) => ({ ...line, ratio: ratio(line) })),
      null,
      2,
    )}\n`,
  )
} else process.stdout.write(`${table(lines)}\n`)
process.exit(0)
