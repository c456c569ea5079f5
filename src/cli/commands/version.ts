import type { Command } from 'commander'
import { run } from '../cli.ts'
import { VERSION } from '../version.ts'

export function defineVersion(noun: Command): void {
  noun.action(
    run((cli) => {
      const version = { version: VERSION, node: process.versions.node }
      return cli.out.text(version, `holdfast ${VERSION} (Node ${process.versions.node})\n`)
    }),
  )
}
