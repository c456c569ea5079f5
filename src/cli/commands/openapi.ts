import type { Command } from 'commander'
import { run } from '../cli.ts'
import { say } from '../terminal.ts'
import { VERSION } from '../version.ts'

export function defineOpenapi(noun: Command): void {
  noun.action(
    run(async (cli) => {
      // the only client command that needs the server's code, and no server
      const { openApiDocument } = await import('../../controller/http/api.ts')
      const document = await openApiDocument(VERSION)
      if (cli.out.format === 'yaml') return cli.out.text(document, '')
      say(`${JSON.stringify(document, null, 2)}\n`)
    }),
  )
}
