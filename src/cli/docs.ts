import type { Command, Option } from 'commander'
import type { Fields } from './config/fields.ts'
import { environmentName } from './config/layers.ts'
import { SCHEMA } from './config/schema.ts'
import { buildProgram, EXIT_CODES, pathOf } from './program.ts'

const INTRODUCTION = `# The command line

This page is generated from the commands themselves: \`holdfast __docs > docs/cli.md\`.

\`holdfast NOUN VERB\`. Ids and names are both taken wherever something is named. Sizes are written with a unit
(\`10GiB\`, \`1.5T\`, \`500GB\`; K, M, G, T and KiB…TiB are binary, KB…TB decimal) and rounded up to whole MiB; times are
written like \`90s\`, \`30m\`, \`24h\` or \`7d\`.

What takes time is waited for, with a bar on a terminal and a line for each step elsewhere. \`--no-wait\` returns at
once, and Ctrl-C leaves the work going; both say how to follow it. Every change is sent under an idempotency key and
repeated under the same key when the answer got lost. To repeat one yourself, give \`--idempotency-key\`.

\`-o json\` and \`-o yaml\` print what the API answered, sizes in exact MiB. Results go to the output, everything else
to the error output. Colours are only for terminals, and not if \`NO_COLOR\` is set.
`

const CONFIGURATION = `## Configuration

Flags come before the environment, that before the user's file \`~/.config/holdfast/config.yaml\`, that before the
system's \`/etc/holdfast/config.yaml\`. \`--config FILE\` or \`HOLDFAST_CONFIG\` names the only file that is read. All
keys are optional:
`

/** The reference of the command line, in Markdown. */
export async function cliReference(): Promise<string> {
  const program = await buildProgram('all')
  const global = optionTable(program.options)
  const nouns = program.commands.map(nounSection)
  return [INTRODUCTION, `${EXIT_CODES}\n`, `## Flags of every command\n\n${global}`, ...nouns, configuration()].join(
    '\n',
  )
}

function nounSection(noun: Command): string {
  const verbs = noun.commands.map((verb) => commandText(verb, '###'))
  return [commandText(noun, '##'), ...verbs].join('\n')
}

function commandText(command: Command, heading: string): string {
  const path = pathOf(command)
  const words = command.registeredArguments.map((each) => (each.required ? `<${each.name()}>` : `[${each.name()}]`))
  const [alias] = command.aliases()
  const also = alias === undefined ? '' : ` (also \`${alias}\`)`
  const text = `${heading} ${[path, ...words].join(' ')}\n\n${sentence(command.description())}${also}\n`
  const options = command.options.filter((each) => !each.hidden)
  return options.length === 0 ? text : `${text}\n${optionTable(options)}`
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function optionTable(options: readonly Option[]): string {
  const rows = options.map((each) => {
    const notes = [
      ...(each.mandatory ? ['needed'] : []),
      ...(each.argChoices === undefined ? [] : [`one of ${each.argChoices.map((value) => `\`${value}\``).join(', ')}`]),
      ...(each.defaultValue === undefined || typeof each.defaultValue === 'boolean'
        ? []
        : [`default ${each.defaultValue}`]),
    ]
    const doc = [each.description, ...notes].join('; ')
    return `| \`${escapePipes(each.flags)}\` | ${escapePipes(doc)} |\n`
  })
  return `| flag | |\n|---|---|\n${rows.join('')}`
}

function configuration(): string {
  return `${CONFIGURATION}\n| key | environment | default | |\n|---|---|---|---|\n${settingRows(SCHEMA, '').join('')}`
}

function settingRows(fields: Fields, prefix: string): string[] {
  return Object.entries(fields).flatMap(([key, each]) => {
    const path = prefix + key
    const row = (fallback: string) => {
      return `| \`${path}\` | \`${environmentName(path)}\` | ${fallback} | ${escapePipes(each.doc)} |\n`
    }
    if (each.kind === 'field') return [row(each.fallback === undefined ? '' : `\`${JSON.stringify(each.fallback)}\``)]
    return [...(each.canBeOff ? [row(each.on ? 'on' : 'off')] : []), ...settingRows(each.fields, `${path}.`)]
  })
}

function escapePipes(text: string): string {
  return text.replaceAll('|', '\\|')
}
