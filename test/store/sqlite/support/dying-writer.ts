/** A writer thread that ends by itself after its second COMMIT, before it answers. */
import { parentPort } from 'node:worker_threads'
import { Writer } from '../../../../src/store/sqlite/writer.ts'
import type { Request } from '../../../../src/store/sqlite/writer-protocol.ts'

const port = parentPort!
let writer: Writer | undefined
let commits = 0

port.on('message', (request: Request) => {
  if (request.kind === 'open') writer = new Writer(request.file)
  if (request.kind === 'campaign') {
    port.postMessage({ kind: 'head', head: writer!.campaign() })
    return
  }
  if (request.kind === 'commit') {
    writer!.commit(request)
    commits += 1
    if (commits === 2) throw new Error('died on purpose')
  }
  port.postMessage({ kind: 'done' })
})
