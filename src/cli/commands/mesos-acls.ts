import type { Command } from 'commander'
import type { RequiredAcls } from '../../mesos/acls.ts'
import { HoldfastError } from '../../model/errors.ts'
import { readFileSync, renameSync, writeFileSync } from '../builtins.ts'
import { run } from '../cli.ts'
import { note, say } from '../terminal.ts'
import { list } from './options.ts'

interface AclOptions {
  readonly merge?: string
  readonly outputFile?: string
  readonly roles?: readonly string[]
}

/** Adds `acls` to the noun `mesos`. */
export function defineMesosAcls(noun: Command): void {
  noun
    .command('acls')
    .description("print what the masters' --acls must forbid, as JSON for that flag")
    .option('--merge <file>', 'the ACLs that the masters have now: what is needed goes before the others of its kind')
    .option('--output-file <file>', 'write it there')
    .option('--roles <roles>', 'roles that pools are going to be shown to, with commas between', list)
    .action(
      run<AclOptions>(async (cli, { merge, outputFile, roles = [] }) => {
        const query = roles.length === 0 ? {} : { roles: roles.join(',') }
        const required = await cli.client.get<RequiredAcls>('/v1/mesos/acls', query)
        const acls = merge === undefined ? required : await merged(merge, required)
        const text = `${JSON.stringify(acls, null, 2)}\n`
        if (outputFile === undefined) return say(text)
        write(outputFile, text)
        note(`${outputFile} is written: start every master with --acls=${outputFile}\n`)
      }),
    )
}

async function merged(file: string, required: RequiredAcls): Promise<unknown> {
  const { mergeAcls } = await import('../../mesos/acls.ts')
  try {
    return mergeAcls(JSON.parse(readFileSync(file, 'utf8')), required)
  } catch (thrown) {
    throw new HoldfastError('invalid_option', `${file}: ${(thrown as Error).message}; nothing was written`)
  }
}

/** Whole or not at all: masters read it at their next start. */
function write(file: string, text: string): void {
  const partial = `${file}.partial`
  try {
    writeFileSync(partial, text)
    renameSync(partial, file)
  } catch (thrown) {
    throw new HoldfastError('invalid_option', `${file}: ${(thrown as Error).message}`)
  }
}
