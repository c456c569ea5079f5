/** A logic that subscribes once, consumes nothing, and writes down what it hears, one JSON line for a message. */
import { appendFileSync } from 'node:fs'

export interface RecorderSettings {
  readonly file: string
  readonly agent: string
  readonly crash: boolean
}

interface Message {
  readonly kind: string
  readonly settings?: RecorderSettings
}

let file = ''

process.on('message', (message: Message) => {
  const { settings } = message
  if (settings !== undefined) file = settings.file
  appendFileSync(file, `${JSON.stringify({ pid: process.pid, message })}\n`)
  if (settings === undefined) return
  const info = { type: 'org.holdfast.loop', name: 'p' }
  process.send?.({ kind: 'subscribe', key: 'p', agent: settings.agent, info }, () => {
    if (settings.crash) throw new Error('no logic can live here')
  })
})
process.on('disconnect', () => process.exit(0))
