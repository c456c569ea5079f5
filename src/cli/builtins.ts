/**
 * What the commands use of Node's larger modules. Not by `import`, which reads every export of a builtin and so loads
 * what hides behind each: for node:http that is the whole of fetch, and the time to start doubles.
 */
export const { existsSync, readFileSync, renameSync, statSync, writeFileSync } = process.getBuiltinModule('node:fs')

/** The request function for a scheme; only who needs TLS loads it. */
export function requester(protocol: string) {
  if (protocol === 'https:') return process.getBuiltinModule('node:https').request
  return process.getBuiltinModule('node:http').request
}

export function randomUuid(): string {
  return process.getBuiltinModule('node:crypto').randomUUID()
}
