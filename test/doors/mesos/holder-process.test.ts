import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Holder, type HolderLimits } from '../../../src/doors/mesos/holder/holder.ts'
import { HolderJournal } from '../../../src/doors/mesos/holder/holder-journal.ts'
import type { HolderMessage } from '../../../src/doors/mesos/holder/protocol.ts'
import { SoleOwner } from '../../../src/doors/mesos/holder/sole-owner.ts'
import { RestartedChild } from '../../../src/programs/restarted-child.ts'
import { testDir } from '../../support/temp-dir.ts'
import { until } from '../../support/until.ts'
import { publish, RawAgent } from './support/raw-agent.ts'
import type { RecorderSettings } from './support/recorder-child.ts'

const CHILD = new URL('./support/recorder-child.ts', import.meta.url)

interface Heard {
  readonly pid: number
  readonly message: HolderMessage
}

/** A holder whose logic is a real process. */
function world(agent: string, crash = false, limits: Partial<HolderLimits> = {}) {
  const dir = testDir()
  const settings: RecorderSettings = { file: join(dir, 'heard'), agent, crash }
  const { file } = settings
  const journal = new HolderJournal(join(dir, 'journal.db'))
  const lines: string[] = []
  const logs: { event: string; data: Record<string, unknown> }[] = []
  let child: RestartedChild | undefined
  const holder = new Holder({
    journal,
    logic: (events) => {
      child = new RestartedChild({ ...events, module: CHILD, firstPauseMs: 20, onLine: (line) => lines.push(line) })
      return child
    },
    settings,
    limits,
    log: (event, data) => logs.push({ event, data }),
  })
  holder.start()
  onTestFinished(async () => {
    await holder.close()
    journal.close()
  })
  const heard = (): Heard[] =>
    existsSync(file)
      ? readFileSync(file, 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line))
      : []
  const hellos = () =>
    heard().filter(
      (each): each is { pid: number; message: Extract<HolderMessage, { kind: 'hello' }> } =>
        each.message.kind === 'hello',
    )
  return { heard, hellos, lines, logs, pid: () => child?.pid ?? 0 }
}

test('a logic that is killed comes back; the stream stays open and no event is lost', async () => {
  const agent = await RawAgent.start()
  const { hellos, heard, pid } = world(agent.url)
  await agent.opened()
  agent.send(publish('before'))
  await until(() => heard().length >= 3, { what: 'SUBSCRIBED and the event' })
  process.kill(pid(), 'SIGKILL')
  agent.send(publish('while it is away'))
  await until(() => hellos().length === 2, { what: 'the second life' })
  agent.send(publish('after'))
  await until(() => heard().some((each) => JSON.stringify(each).includes('"after"')), { what: 'the newest event' })
  const [first, second] = hellos()
  expect(second?.pid).not.toBe(first?.pid)
  expect(second?.message).toMatchObject({ fresh: false, streams: [{ key: 'p', state: 'open' }] })
  const uuids = (second?.message.events ?? []).flatMap((each) =>
    each.kind === 'event' && each.event.type === 'PUBLISH_RESOURCES' ? [each.event.publish_resources.uuid.value] : [],
  )
  // what came just before the second life began it has heard by itself
  expect(uuids.slice(0, 1)).toEqual(['before'])
  expect(JSON.stringify(heard().slice(heard().findIndex(({ pid: of }) => of === second?.pid)))).toContain(
    'while it is away',
  )
  expect(agent.subscribes).toHaveLength(1)
  expect(agent.ended).toEqual([])
})

test('a logic that can not live is tried again with growing pauses, and its last words are told', async () => {
  const agent = await RawAgent.start()
  const { hellos, lines, logs } = world(agent.url, true)
  await agent.opened()
  await until(() => hellos().length >= 3, { what: 'three lives' })
  expect(lines.join('\n')).toContain('no logic can live here')
  const pauses = logs.filter(({ event }) => event === 'logic.ended').map(({ data }) => Number(data.againInMs))
  expect(pauses.slice(0, 2)).toEqual([40, 80])
  expect(agent.ended).toEqual([])
})

test('a logic that hangs is ended when it has left a publish unanswered for the whole limit', async () => {
  const agent = await RawAgent.start()
  const { hellos } = world(agent.url, false, { publishMs: 500 })
  await agent.opened()
  await until(() => hellos().length === 1, { what: 'the first life' })
  agent.send(publish('unanswered'))
  await agent.called(1)
  await until(() => hellos().length === 2, { what: 'the second life' })
  expect(agent.ended).toEqual([])
})

test('only one process of a machine may be the provider of an agent', async () => {
  const first = await SoleOwner.of('http://127.0.0.1:5051')
  onTestFinished(() => first.release())
  await expect(SoleOwner.of('http://127.0.0.1:5051/')).rejects.toMatchObject({ code: 'in_use' })
  const other = await SoleOwner.of('http://127.0.0.1:5052')
  other.release()
  first.release()
  const again = await until(() => SoleOwner.of('http://127.0.0.1:5051'), { what: 'the right to be free again' })
  again.release()
})

test('the journal of a newer version is refused, and a damaged one is told of', async () => {
  const dir = testDir()
  const path = join(dir, 'journal.db')
  new HolderJournal(path).close()
  const { DatabaseSync } = await import('node:sqlite')
  const database = new DatabaseSync(path)
  database.exec('PRAGMA user_version = 99')
  database.close()
  expect(() => new HolderJournal(path)).toThrow(expect.objectContaining({ code: 'store_schema' }))
  const { writeFileSync } = await import('node:fs')
  writeFileSync(join(dir, 'damaged.db'), 'this is no database, though it is long enough to be taken for one'.repeat(20))
  expect(() => new HolderJournal(join(dir, 'damaged.db'))).toThrow(expect.objectContaining({ code: 'store_corrupt' }))
})
