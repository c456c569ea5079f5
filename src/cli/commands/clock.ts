import type { Command } from 'commander'
import { run } from '../cli.ts'

export function defineClock(noun: Command): void {
  noun
    .command('confirm')
    .description('say that the wall clock is right after a jump; what expires then does so')
    .action(
      run(async (cli) => {
        const { body } = await cli.client.change<{ from: string; to: string }>('POST', '/v1/clock/confirm')
        await cli.out.text(body, `the clock is confirmed: from ${body.from} to ${body.to}\n`)
      }),
    )
}
