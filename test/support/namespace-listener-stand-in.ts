/** Run in another network namespace: listens on a port of 127.0.0.1 there and gives the listening socket to its parent. */
import { createServer } from 'node:net'

const server = createServer()
process.on('disconnect', () => process.exit(0))
server.listen(Number(process.argv[2]), '127.0.0.1', () => process.send?.('listening', server))
