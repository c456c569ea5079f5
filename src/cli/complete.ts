import type { Argument, Command, Option } from 'commander'
import { openCli } from './cli.ts'
import { buildProgram, commandOf } from './program.ts'
import { LISTS, namesIn } from './suggestion.ts'
import { say } from './terminal.ts'

/** Somebody waits with a finger on the key. */
const ASK_MS = 800

/**
 * Prints what the last word may become, one a line: nouns, verbs, flags, values, and names from the controller.
 * Whatever goes wrong, nothing is suggested and nothing is said.
 */
export async function complete(words: readonly string[]): Promise<number> {
  try {
    const before = words.slice(0, -1)
    const last = words.at(-1) ?? ''
    const command = commandOf(await buildProgram(before), before)
    const found = await candidates(command, before, last)
    say(
      found
        .filter((each) => each.startsWith(last))
        .map((each) => `${each}\n`)
        .join(''),
    )
  } catch {
    // a completion that complains would only disturb the line
  }
  return 0
}

async function candidates(command: Command, before: readonly string[], last: string): Promise<string[]> {
  const option = valueWanted(command, before)
  if (option !== undefined) return valuesOf(option, before)
  const assigned = /^(--[a-z-]+)=/.exec(last)?.[1]
  if (assigned !== undefined) {
    const given = optionsOf(command).find((each) => each.long === assigned)
    return given === undefined ? [] : (await valuesOf(given, before)).map((value) => `${assigned}=${value}`)
  }
  if (last.startsWith('-')) return optionsOf(command).flatMap((each) => each.long ?? [])
  const verbs = command.commands.map((each) => each.name()).filter((name) => !name.startsWith('_'))
  if (verbs.length > 0) return verbs
  const argument = nextArgument(command, before)
  return argument === undefined ? [] : (argument.argChoices ?? namesOf(argument.name(), before))
}

/** Flags of the command and of those above it. */
function optionsOf(command: Command): Option[] {
  const own = command.options.filter((each) => !each.hidden)
  return command.parent === null ? [...own] : [...own, ...optionsOf(command.parent)]
}

/** The option whose value comes after the last of the words. */
function valueWanted(command: Command, words: readonly string[]): Option | undefined {
  const flag = words.at(-1)
  if (flag?.startsWith('-') !== true) return undefined
  return optionsOf(command).find((each) => each.required && (each.long === flag || each.short === flag))
}

async function valuesOf(option: Option, before: readonly string[]): Promise<string[]> {
  if (option.argChoices !== undefined) return option.argChoices
  if (option.long === '--output') return ['table', 'json', 'yaml']
  return namesOf(/<([a-z]+)>/.exec(option.flags)?.[1] ?? '', before)
}

/** The argument that comes next, by how many words are neither flags, nor their values, nor the command's own name. */
function nextArgument(command: Command, before: readonly string[]): Argument | undefined {
  const words = before.filter((word, index) => {
    return !word.startsWith('-') && valueWanted(command, before.slice(0, index)) === undefined
  })
  let depth = 0
  for (let each: Command | null = command; each?.parent != null; each = each.parent) depth += 1
  return command.registeredArguments[words.length - depth]
}

async function namesOf(kind: string, before: readonly string[]): Promise<string[]> {
  const list = LISTS[kind]
  if (list === undefined) return []
  const cli = await openCli({
    ...given('--api', 'api', before),
    ...given('--token-file', 'tokenFile', before),
    ...given('--config', 'config', before),
  })
  const names = await Promise.race([
    namesIn(cli.client, list, ASK_MS),
    new Promise<string[]>((resolve) => setTimeout(resolve, ASK_MS, []).unref()),
  ])
  return names
}

function given(flag: string, key: string, before: readonly string[]): Record<string, string> {
  const value = before[before.indexOf(flag) + 1]
  return before.includes(flag) && value !== undefined ? { [key]: value } : {}
}
