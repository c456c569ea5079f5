import type { LogicMessage } from './protocol.ts'

/** Whether a message can be obeyed. One that can't must not stand in the way of those that come after it. */
export function isLogicMessage(message: unknown): message is LogicMessage {
  if (!isObject(message)) return false
  switch (message.kind) {
    case 'ready':
      return isReady(message)
    case 'subscribe':
      return isText(message.key) && isObject(message.info) && URL.canParse(String(message.agent))
    case 'close':
      return isText(message.key)
    case 'stopped':
      return Array.isArray(message.unacknowledged)
    default:
      return false
  }
}

function isReady({ id, writes, consumed, calls }: Record<string, unknown>): boolean {
  return (
    typeof id === 'number' && areAll(writes, isWrite) && areAll(consumed, Number.isInteger) && areAll(calls, isCall)
  )
}

function isWrite(write: unknown): boolean {
  return Array.isArray(write) && write.length === 2 && isText(write[0])
}

function isCall(call: unknown): boolean {
  return isObject(call) && isText(call.key) && isObject(call.body) && isText(call.body.type)
}

function areAll(list: unknown, is: (item: unknown) => boolean): boolean {
  return Array.isArray(list) && list.every(is)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object'
}
