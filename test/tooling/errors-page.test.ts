import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { errorsPage } from '../../scripts/errors-page.ts'
import { ERRORS } from '../../src/model/errors.ts'

it('lists every error of the table in docs/errors.md, as the generator writes it', () => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  expect(page).toBe(errorsPage())
  for (const code of Object.keys(ERRORS)) expect(page).toContain(`| \`${code}\` |`)
})
