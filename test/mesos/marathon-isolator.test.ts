import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ContainerVolume } from '../support/mesos/container-info.ts'
import { DockerVolumeIsolator } from '../support/mesos/docker-volume-isolator.ts'
import { testDir } from '../support/temp-dir.ts'

const RECORDINGS = join(import.meta.dirname, 'recordings')

interface Recording {
  readonly volumes: readonly ContainerVolume[]
  readonly status: { readonly message?: string }
}

function recording(name: string): Recording {
  return JSON.parse(readFileSync(join(RECORDINGS, `dvd-${name}.json`), 'utf8')) as Recording
}

/** The calls in a log of dvdcli, each without the program; the order of options is Mesos' hash order. */
function calls(log: string): string[][] {
  const found: string[][] = []
  for (const [, index, text = ''] of log.matchAll(/^argv\[(\d+)\]=(.*)$/gm)) {
    if (index === '0') found.push([])
    else found.at(-1)?.push(text)
  }
  return found.map(([command = '', ...flags]) => [command, ...flags.sort()])
}

/** An isolator whose dvdcli writes down how it is called, and refuses what the recorded one refused. */
function build() {
  const cwd = testDir()
  const log = join(cwd, 'log')
  const bin = join(cwd, 'bin')
  mkdirSync(bin)
  const script = [
    '#!/bin/sh',
    `{ echo "argv[0]=$0"; i=1; for word; do echo "argv[$i]=$word"; i=$((i + 1)); done; } >> "${log}"`,
    'case "$*" in *=fail1*) printf \'level=error msg="backend says no for fail1"\\n\' >&2; exit 1;; esac',
    'case $1 in mount) echo "/somewhere/$(echo "$3" | cut -d= -f2)";; esac',
  ]
  writeFileSync(join(bin, 'dvdcli'), `${script.join('\n')}\n`)
  chmodSync(join(bin, 'dvdcli'), 0o755)
  const isolator = new DockerVolumeIsolator({ env: { PATH: `${bin}:${process.env.PATH}` }, cwd })
  return { isolator, logged: () => (existsSync(log) ? calls(readFileSync(log, 'utf8')) : []) }
}

describe('the docker/volume isolator of the double', () => {
  test('calls dvdcli as the recorded one did', async () => {
    const { isolator, logged } = build()
    for (const name of ['rw-opts', 'ro', 'two']) {
      const { volumes } = recording(name)
      const mounts = await isolator.prepare(name, { type: 'MESOS', volumes })
      expect(mounts).toEqual(
        volumes.map(({ container_path, mode, source }) => ({
          source: `/somewhere/${source?.docker_volume?.name}`,
          containerPath: container_path,
          readOnly: mode === 'RO',
        })),
      )
      await isolator.cleanup(name)
    }
    const recorded = calls(readFileSync(join(RECORDINGS, 'dvdcli-calls.txt'), 'utf8')).slice(0, 8)
    // the two volumes of the third container are mounted at once
    const inOrder = (all: string[][]) => [...all.slice(0, 4), ...all.slice(4, 6).sort(), ...all.slice(6).sort()]
    expect(inOrder(logged())).toEqual(inOrder(recorded))
  })

  test('a mount that failed is unmounted, and its words are the reason', async () => {
    const { isolator, logged } = build()
    const { volumes, status } = recording('failmount')
    const why = await isolator.prepare('c', { type: 'MESOS', volumes }).catch((thrown: Error) => thrown.message)
    expect(`Failed to launch container: ${why}`).toBe(status.message?.split('; Abnormal')[0])
    await expect(isolator.cleanup('c')).rejects.toThrow('Unexpected termination')
    expect(isolator.destroyErrors).toBe(1)
    const recorded = calls(readFileSync(join(RECORDINGS, 'dvdcli-calls.txt'), 'utf8')).slice(8, 10)
    expect(logged()).toEqual(recorded)
  })

  test('one volume twice in a container is refused before anything is called', async () => {
    const { isolator, logged } = build()
    const { volumes, status } = recording('dup')
    const why = await isolator.prepare('c', { type: 'MESOS', volumes }).catch((thrown: Error) => thrown.message)
    expect(`Failed to launch container: ${why}`).toBe(status.message)
    expect(logged()).toEqual([])
  })

  test('a volume of two containers is mounted twice and unmounted once, after the last', async () => {
    const { isolator, logged } = build()
    const { volumes } = recording('ro')
    await isolator.prepare('one', { type: 'MESOS', volumes })
    await isolator.prepare('two', { type: 'MESOS', volumes })
    await isolator.cleanup('one')
    expect(logged().map(([command]) => command)).toEqual(['mount', 'mount'])
    await isolator.cleanup('two')
    expect(logged().map(([command]) => command)).toEqual(['mount', 'mount', 'unmount'])
  })

  test('an agent without dvdcli in its PATH does not start', () => {
    expect(() => new DockerVolumeIsolator({ env: { PATH: '/nowhere' }, cwd: '/' })).toThrow('dvdcli')
  })
})
