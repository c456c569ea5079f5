import { describe, expect, test } from 'vitest'
import { type Answer, AnswerReader, NotHttp } from '../../../src/doors/dvdcli/http-answer.ts'

const OK = 'HTTP/1.1 200 OK\r\n'

/** Reads what comes in pieces of a size; with `ends` the connection is closed afterwards. */
function read(text: string, piece = text.length, ends = false): { answer: Answer | undefined; keepsOpen: boolean } {
  const reader = new AnswerReader()
  const bytes = Buffer.from(text)
  let answer: Answer | undefined
  for (let at = 0; at < bytes.length && answer === undefined; at += piece) {
    answer = reader.push(bytes.subarray(at, at + piece))
  }
  return { answer: answer ?? (ends ? reader.end() : undefined), keepsOpen: reader.keepsOpen }
}

describe('an answer of an HTTP server', () => {
  test.each([
    ['with a length', `${OK}Content-Length: 8\r\n\r\n{"a":"ü"}`.replace('8', '10'), '{"a":"ü"}'],
    [
      'in chunks',
      `${OK}Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n{"a":\r\nA\r\n"0123456"}\r\n0\r\n\r\n`,
      '{"a":"0123456"}',
    ],
    ['after a 100', `HTTP/1.1 100 Continue\r\n\r\n${OK}content-LENGTH:2\r\n\r\n{}`, '{}'],
    ['without a body', `${OK}Content-Length: 0\r\n\r\n`, ''],
    ['with status 204', 'HTTP/1.1 204 No Content\r\n\r\n', ''],
  ])('%s, in pieces of any size', (_, text, body) => {
    for (const piece of [1, 2, 3, 7, text.length * 2]) expect(read(text, piece).answer?.text).toBe(body)
  })

  test('without a length ends with the connection, and no other does', () => {
    expect(read(`${OK}\r\n{"a":1}`, 3).answer).toBeUndefined()
    expect(read(`${OK}\r\n{"a":1}`, 3, true).answer).toEqual({ status: 200, text: '{"a":1}' })
    for (const half of ['', 'HTTP/1.1 200', `${OK}Content-Length: 9\r\n\r\n{}`]) {
      expect(read(half, 5, true).answer).toBeUndefined()
    }
    expect(read(`${OK}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n`, 5, true).answer).toBeUndefined()
  })

  test('says whether another call may follow', () => {
    expect(read(`${OK}Content-Length: 0\r\n\r\n`).keepsOpen).toBe(true)
    expect(read(`${OK}Connection: Close\r\nContent-Length: 0\r\n\r\n`).keepsOpen).toBe(false)
    expect(read('HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n').keepsOpen).toBe(false)
  })

  test('has its status, with or without a reason', () => {
    expect(read('HTTP/1.1 500 Internal Server Error\r\nContent-Length: 1\r\n\r\nx').answer?.status).toBe(500)
    expect(read('HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n').answer?.status).toBe(404)
  })

  test.each([
    ['SSH-2.0-OpenSSH\r\n'],
    ['HTTP/2 200\r\n\r\n'],
    ['HTTP/1.1 abc\r\n\r\n'],
    [`${OK}Content-Length: -1\r\n\r\n`],
    [`${OK}Content-Length: 99999999999\r\n\r\n`],
    [`${OK}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
    [`${OK}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n`],
    [`HTTP/1.1 200 ${'x'.repeat(70_000)}`],
  ])('that is none: %.60j', (text) => {
    expect(() => read(text)).toThrow(NotHttp)
    expect(() => read(text, 50)).toThrow(NotHttp)
  })
})
