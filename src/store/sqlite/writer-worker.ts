/** The program of the writer thread: answers one request after the other with a {@link Writer}. */
import { parentPort } from 'node:worker_threads'
import { failureOf } from './failure.ts'
import { Writer } from './writer.ts'
import type { Answer, Request } from './writer-protocol.ts'

const DONE: Answer = { kind: 'done' }
const port = parentPort
if (port === null) throw new Error('This file is the program of a worker thread.')

let writer: Writer | undefined

port.on('message', (request: Request) => {
  port.postMessage(answer(request))
  if (request.kind === 'close') port.close()
})

function answer(request: Request): Answer {
  try {
    return perform(request)
  } catch (thrown) {
    return { kind: 'failed', failure: failureOf(thrown) }
  }
}

function perform(request: Request): Answer {
  switch (request.kind) {
    case 'open':
      writer = new Writer(request.file)
      return DONE
    case 'campaign':
      return { kind: 'head', head: opened().campaign() }
    case 'commit': {
      const head = opened().commit(request)
      return head === undefined ? DONE : { kind: 'fenced', head }
    }
    case 'trim':
      return { kind: 'trimmed', more: opened().trim(request.through, request.limit) }
    case 'close':
      writer?.close()
      return DONE
  }
}

function opened(): Writer {
  if (writer === undefined) throw new Error('the store is not open')
  return writer
}
