import { createServer, type Socket } from 'node:net'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { JuteWriter } from '../../src/mesos/jute.ts'
import { ZooKeeper } from '../../src/mesos/zookeeper.ts'
import { HoldfastError } from '../../src/model/errors.ts'
import { systemClock } from '../../src/runtime/system-clock.ts'

/** What a server says to the first frame, the second one, and so on; undefined: nothing, 'close': it hangs up. */
type Answers = (Uint8Array | 'close' | undefined)[]

const HELLO = new JuteWriter().int(0).int(4000).long(1n).buffer(Buffer.alloc(16)).bool(false).frame()
const reply = (xid: number, code = 0) => new JuteWriter().int(xid).long(7n).int(code)
/** A frame that announces another length than it has. */
function announcing(length: number, frame: Uint8Array): Buffer {
  const copy = Buffer.from(frame)
  copy.writeInt32BE(length)
  return copy
}

async function lyingServer(answers: Answers): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    let count = 0
    socket.on('error', () => undefined)
    socket.on('data', () => {
      const answer = answers[count]
      count += 1
      if (answer === 'close') socket.destroy()
      else if (answer !== undefined) socket.write(answer)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function connectTo(answers: Answers, callMs = 5000) {
  const servers = [{ host: '127.0.0.1', port: await lyingServer(answers) }]
  const connection = await new ZooKeeper({ clock: systemClock, servers, callMs }).connect()
  onTestFinished(() => connection.close())
  return connection
}

const ignore = () => undefined

describe('a greeting', () => {
  test.each<[string, Answers[0], string, string]>([
    ['with a negative length', announcing(-5, HELLO), 'a frame of -5 bytes is announced', 'mesos_protocol'],
    ['of two gigabytes', announcing(2_000_000_000, HELLO), '2,000,000,000 bytes is announced', 'mesos_protocol'],
    ['that is too short', new JuteWriter().int(0).int(0).int(0).frame(), 'a frame of 12 bytes', 'mesos_protocol'],
    ['cut off inside', new JuteWriter().int(0).long(0n).long(0n).frame(), 'a session of 0 ms', 'mesos_protocol'],
    ['without a session', new JuteWriter().int(0).int(0).long(0n).long(0n).frame(), '0 ms', 'mesos_protocol'],
    ['in HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'bytes is announced', 'mesos_protocol'],
    ['that is a closed door', 'close', 'it closed the connection', 'mesos_unreachable'],
    ['that never comes', undefined, 'connecting took more than 0.2 s', 'mesos_unreachable'],
  ])('%s is refused', async (_what, hello, says, code) => {
    const connecting = connectTo([hello], 200)
    await expect(connecting).rejects.toMatchObject({ code, message: expect.stringContaining(says) })
    await expect(connecting).rejects.toThrow(/ZooKeeper at 127\.0\.0\.1:\d+/)
  })
})

describe('an answer', () => {
  const list = (count: number) => reply(1).int(count)
  test.each<[string, Uint8Array, string]>([
    ['to another call', reply(99).int(0).frame(), 'it answers call 99 where 1 is due'],
    ['to a call of the future', reply(2).int(0).frame(), 'it answers call 2 where 1 is due'],
    ['with a negative list', list(-1).frame(), 'a list of -1 texts'],
    ['with a list larger than itself', list(2_147_483_647).string('a').frame(), 'a list of 2147483647 texts'],
    ['with a text that ends too soon', list(1).int(100).frame(), 'were announced'],
    ['with a text of negative length', list(1).int(-9).frame(), 'a length of -9'],
    ['with a text that is no UTF-8', list(1).buffer(Buffer.of(0xff, 0xfe)).frame(), 'not UTF-8'],
    ['with more than was asked', list(0).long(5n).frame(), '8 bytes too many'],
    ['without anything', reply(1).frame(), 'its end after 16 bytes'],
    ['of more than a megabyte', announcing(1024 * 1024 + 1, reply(1).int(0).frame()), 'a frame of 1,048,577 bytes'],
  ])('%s ends the connection', async (_what, answer, says) => {
    const connection = await connectTo([HELLO, answer])
    const asked = connection.getChildren('/mesos', ignore)
    await expect(asked).rejects.toMatchObject({ code: 'mesos_protocol', message: expect.stringContaining(says) })
    await expect(asked).rejects.toThrow(`${connection.server} breaks the protocol`)
    expect(await connection.closed).toMatchObject({ code: 'mesos_protocol' })
    await expect(connection.getData('/mesos')).rejects.toThrow('the connection has ended')
  })

  test('with data longer than itself, or without its end, ends the connection', async () => {
    const tooLong = await connectTo([HELLO, reply(1).int(1000).frame()])
    await expect(tooLong.getData('/x')).rejects.toThrow('at least 1020 were announced')
    const cut = await connectTo([HELLO, reply(1).buffer(Buffer.from('{}')).long(0n).frame()])
    await expect(cut.getData('/x')).rejects.toThrow('its end after 30 bytes')
  })

  test('that nobody asked for ends the connection', async () => {
    const connection = await connectTo([Buffer.concat([HELLO, reply(5).int(0).frame()])])
    expect(await connection.closed).toMatchObject({ message: expect.stringContaining('call 5 where none is due') })
  })

  test('that never comes is waited for no longer than allowed', async () => {
    const connection = await connectTo([HELLO, undefined], 200)
    await expect(connection.getChildren('/mesos', ignore)).rejects.toThrow('children of /mesos took more than 0.2 s')
  })

  test('with an unknown error is passed on', async () => {
    const connection = await connectTo([HELLO, reply(1, -77).frame()])
    await expect(connection.getData('/x')).rejects.toMatchObject({ code: 'mesos_refused', data: { code: -77 } })
  })

  test('a change that nobody watches is nothing, however often it is told', async () => {
    const event = new JuteWriter().int(-1).long(-1n).int(0).int(4).int(3).string('/mesos').frame()
    const events = Buffer.concat(Array.from({ length: 1000 }, () => event))
    const connection = await connectTo([HELLO, Buffer.concat([events, reply(1).int(0).frame()])])
    let told = 0
    expect(
      await connection.getChildren('/mesos', () => {
        told += 1
      }),
    ).toEqual([])
    expect(told).toBe(1)
  })
})

test('any bytes end in an error of ours or in silence that is not waited for', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), fc.boolean(), async (noise, greeted) => {
      const bytes = Buffer.from(noise)
      const answers = greeted ? [HELLO, bytes] : [bytes]
      try {
        const connection = await connectTo(answers, 50)
        await connection.getChildren('/mesos', ignore)
        connection.close()
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(HoldfastError)
        expect((thrown as HoldfastError).code).toMatch(/^mesos_/)
      }
    }),
    { numRuns: 40 },
  )
})
