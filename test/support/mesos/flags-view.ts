/** The flags of a master as GET_FLAGS and /flags show them: every value is text. */
import type { MasterState } from './master-state.ts'

export function flagsOf(master: MasterState): Record<string, string> {
  const { flags } = master
  return {
    ...(flags.acls === undefined ? {} : { acls: printMessage(flags.acls) }),
    agent_ping_timeout: '15secs',
    allocation_interval: `${flags.allocationIntervalMs}ms`,
    allocator: 'hierarchical',
    authenticate_agents: 'false',
    authenticate_frameworks: 'false',
    authenticate_http_frameworks: String(flags.credentials.length > 0),
    authenticate_http_readonly: String(flags.credentials.length > 0),
    authenticate_http_readwrite: String(flags.credentials.length > 0),
    authorizers: 'local',
    ip: '127.0.0.1',
    max_agent_ping_timeouts: '5',
    min_allocatable_resources: flags.minAllocatable,
    port: String(master.port),
    version: 'false',
  }
}

/**
 * A message in the text format of protobuf. Flags that hold messages are shown so and not as JSON, because they are
 * printed by operator<< (Mesos src/authorizer/authorizer.cpp, DebugString).
 */
export function printMessage(message: unknown, indent = ''): string {
  if (typeof message !== 'object' || message === null) return ''
  const lines = Object.entries(message).flatMap(([name, value]) => {
    const values: unknown[] = Array.isArray(value) ? value : [value]
    return values.map((one) => printField(name, one, indent))
  })
  return lines.join('')
}

function printField(name: string, value: unknown, indent: string): string {
  if (typeof value === 'object' && value !== null) {
    return `${indent}${name} {\n${printMessage(value, `${indent}  `)}${indent}}\n`
  }
  // enums stand without quotes
  const text = typeof value === 'string' && name !== 'type' ? JSON.stringify(value) : String(value)
  return `${indent}${name}: ${text}\n`
}
