import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { MarathonApp } from '../support/mesos/marathon-app.ts'
import { violations } from '../support/mesos/marathon-rules.ts'

const PAGE = join(import.meta.dirname, '../../docs/mesos-frameworks.md')

/** The apps that the page shows, under the heading "Marathon". */
function apps(): MarathonApp[] {
  const section =
    readFileSync(PAGE, 'utf8')
      .split(/^## /m)
      .find((each) => each.startsWith('Marathon')) ?? ''
  return [...section.matchAll(/```json\n([\s\S]*?)```/g)].map(([, text = '']) => JSON.parse(text) as MarathonApp)
}

test('Marathon accepts the apps of the documentation', () => {
  const shown = apps()
  expect(shown).toHaveLength(3)
  for (const app of shown) expect({ app, violations: violations(app) }).toEqual({ app, violations: [] })
})
