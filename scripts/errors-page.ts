import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ERRORS, type ErrorRow } from '../src/model/errors.ts'

/** Writes `docs/errors.md` from the table of errors; with `--check` it only says whether the page is as it should be. */

const EXITS: Readonly<Record<ErrorRow['exit'], string>> = {
  1: 'failed',
  2: 'usage',
  3: 'does not fit',
  4: 'not found',
  5: 'conflict',
  6: 'not allowed',
}
const RETRIES: Readonly<Record<ErrorRow['retry'], string>> = {
  no: 'the same request fails again',
  later: 'may succeed unchanged, later',
  'same-key': 'the outcome is unknown: repeat it with the same idempotency key',
}

export function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(([code, { title, status, exit, retry }]) => {
    return `| \`${code}\` | ${title} | ${status} | ${exit} | ${retry} |`
  })
  const exits = Object.entries(EXITS).map(([exit, meaning]) => `- ${exit}: ${meaning}`)
  const retries = Object.entries(RETRIES).map(([retry, meaning]) => `- \`${retry}\`: ${meaning}`)
  return `# Errors

Every door answers with a code of this table. The REST door sends an RFC 9457 problem document
(\`application/problem+json\`): \`type\` is \`urn:holdfast:error:CODE\`, \`title\` the sentence below, \`detail\` says what was
wrong, where, and what would be right; further fields hold the numbers compared.

This page is made from \`src/model/errors.ts\` by \`scripts/errors-page.ts\`.

| code | meaning | HTTP status | exit code | retry |
|---|---|---|---|---|
${rows.join('\n')}

Exit codes of the command line:

${exits.join('\n')}

Retry:

${retries.join('\n')}
`
}

if (import.meta.main) {
  const path = join(import.meta.dirname, '../docs/errors.md')
  if (!process.argv.includes('--check')) writeFileSync(path, errorsPage())
  else if (readFileSync(path, 'utf8') !== errorsPage()) {
    console.error('docs/errors.md is not what the table of errors says; run: node scripts/errors-page.ts')
    process.exitCode = 1
  }
}
