import { defineConfig } from 'vitest/config'

const scale = Number(process.env.HOLDFAST_SCALE ?? '1')

// One run, two kinds of tests. Pure ones share threads (8 times faster); what touches disks, sockets and processes
// gets a process per file.
const pure = ['test/{model,ledger,placement}/**/*.test.ts']

export default defineConfig({
  test: {
    maxWorkers: 2,
    testTimeout: 60_000 * Math.max(1, scale),
    // leases and daemons keep real time: on a machine that stood still for seconds a test gets a second chance
    retry: 1,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    projects: [
      {
        extends: true,
        test: { name: 'pure', include: pure, pool: 'threads', isolate: false, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: {
          name: 'real',
          include: ['test/**/*.test.ts'],
          exclude: pure,
          pool: 'forks',
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
