import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeRecord, RecordDecoder, type RecordOptions, readRecords } from '../../src/mesos/record-io.ts'
import { HoldfastError } from '../../src/model/errors.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')

function failure(act: () => unknown): HoldfastError {
  try {
    act()
  } catch (thrown) {
    if (thrown instanceof HoldfastError) return thrown
    throw thrown
  }
  throw new Error('nothing was thrown')
}

/** Cuts bytes at these places. */
function cut(whole: Buffer, places: number[]): Buffer[] {
  const borders = [...new Set(places.map((place) => place % (whole.length + 1)))].sort((a, b) => a - b)
  const chunks: Buffer[] = []
  let from = 0
  for (const border of [...borders, whole.length]) {
    chunks.push(whole.subarray(from, border))
    from = border
  }
  return chunks
}

describe('records', () => {
  test('come out as they went in, whatever the borders of the chunks', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 300 })
    fc.assert(
      fc.property(fc.array(text, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 20 }), (records, places) => {
        const decoder = new RecordDecoder()
        const whole = Buffer.concat(records.map(encodeRecord))
        expect(cut(whole, places).flatMap((chunk) => decoder.push(chunk))).toEqual(records)
        decoder.end()
      }),
    )
  })

  test('are counted in bytes, not characters', () => {
    expect(encodeRecord('Größe').toString()).toBe('7\nGröße')
  })

  test('keep a byte order mark and may be empty', () => {
    expect(new RecordDecoder().push(Buffer.from('0\n4\n\ufeffa0\n'))).toEqual(['', '\ufeffa', ''])
  })

  test('come out one byte at a time', () => {
    const decoder = new RecordDecoder()
    const records = [...bytes('5\nhello12\nhello, world')].flatMap((byte) => decoder.push(Uint8Array.of(byte)))
    expect(records).toEqual(['hello', 'hello, world'])
  })
})

describe('refused', () => {
  const where = 'the stream of http://a1:5051'
  const refused: [what: string, input: Buffer, says: string, options?: RecordOptions][] = [
    ['letters', bytes('12a\n'), 'should be a decimal number and a newline, not "12a\\n"'],
    ['a page of HTML', bytes('<html><body>Bad gateway</body>'), 'not "<html><body>Bad gat'],
    ['a carriage return', bytes('1\r\nx'), 'not "1\\r\\nx"'],
    ['a sign', bytes('-1\nx'), 'not "-1\\nx"'],
    ['an empty line', bytes('\n'), 'an empty line is where the length'],
    ['21 digits', bytes(`${'1'.repeat(21)}\n`), 'more than 20 digits'],
    ['21 zeros', bytes('0'.repeat(21)), 'more than 20 digits'],
    ['2 GB', bytes('2000000000\n'), 'a record of 2000000000 bytes is announced; at most 67,108,864 are taken'],
    ['2^64', bytes('18446744073709551616\n'), 'a record of 18446744073709551616 bytes is announced'],
    ['one byte too many', bytes('11\n'), 'at most 10 are taken', { maxBytes: 10 }],
    ['bytes that are not UTF-8', Buffer.from([50, 10, 0xc3, 0x28]), 'a record of 2 bytes is not UTF-8'],
  ]

  test.each(refused)('%s', (_what, input, says, options = {}) => {
    const error = failure(() => new RecordDecoder({ where, ...options }).push(input))
    expect(error.code).toBe('mesos_protocol')
    expect(error.message).toContain(`${where}, byte 0: `)
    expect(error.message).toContain(says)
  })

  test('with the place in the stream', () => {
    const decoder = new RecordDecoder({ where })
    expect(failure(() => decoder.push(bytes('5\nhellox'))).message).toContain(`${where}, byte 7: `)
  })

  test('for ever, once the stream is broken', () => {
    const decoder = new RecordDecoder()
    const first = failure(() => decoder.push(bytes('x')))
    expect(failure(() => decoder.push(bytes('1\na')))).toBe(first)
    expect(failure(() => decoder.end())).toBe(first)
  })

  test.each([
    ['5\nhe', 'it ends after 2 of the 5 bytes of a record'],
    ['12', 'it ends within the length of a record, "12"'],
  ])('an end in the middle: %j', (input, says) => {
    const decoder = new RecordDecoder()
    decoder.push(bytes(input))
    expect(failure(() => decoder.end()).message).toContain(says)
  })

  test('any garbage, with an error of ours and nothing else', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 }), (chunks) => {
        const decoder = new RecordDecoder({ maxBytes: 1000 })
        try {
          for (const chunk of chunks) decoder.push(chunk)
          decoder.end()
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(HoldfastError)
        }
      }),
    )
  })
})

test('memory is taken as bytes come, not when they are announced', () => {
  const before = process.memoryUsage().arrayBuffers
  const decoders = Array.from({ length: 20 }, () => {
    const decoder = new RecordDecoder()
    decoder.push(bytes('60000000\nx'))
    return decoder
  })
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000)
  expect(failure(() => decoders[0]?.end()).message).toContain('1 of the 60,000,000 bytes')
})

test('a stream gives its records and then an error when it ends within one', async () => {
  async function* stream() {
    yield bytes('2\n{}2')
    yield bytes('\n[')
  }
  const records: string[] = []
  const reading = (async () => {
    for await (const record of readRecords(stream())) records.push(record)
  })()
  await expect(reading).rejects.toThrow('byte 4: it ends after 1 of the 2 bytes of a record')
  expect(records).toEqual(['{}'])
})
