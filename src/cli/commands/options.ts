import { type Command, Option } from 'commander'
import { HoldfastError } from '../../model/errors.ts'
import { parseRate, parseSize, quote } from '../../model/units.ts'
import { parseDuration } from '../duration.ts'

// Readers of option values. They refuse with the same errors as the controller does.

export function size(text: string): number {
  return parseSize(text, 'refused')
}

/** A size that may be nothing: `0` needs no unit. */
export function sizeOrZero(text: string): number {
  return /^\s*0+\s*[A-Za-z]*\s*$/.test(text) ? 0 : size(text)
}

export function rate(option: string): (text: string) => number {
  return (text) => parseRate(option, text)
}

export const seconds = parseDuration

export function whole(option: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new HoldfastError('invalid_option', `${option} ${quote(text)}: not a whole number from ${least} to ${most}`, {
      option,
    })
  }
}

export function ratio(text: string): number {
  const value = /^\d{1,3}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN
  if (value >= 0.001 && value <= 100) return value
  throw new HoldfastError(
    'invalid_option',
    `--overcommit ${quote(text)}: a ratio from 0.001 to 100 with at most three decimals, e.g. 1.5`,
  )
}

export type Labels = Record<string, string>

/** Collects `key=value`, given as often as you like. */
export function pair(option: string): (text: string, before?: Labels) => Labels {
  return (text, before = {}) => {
    const at = text.indexOf('=')
    if (at < 1)
      throw new HoldfastError('invalid_option', `${option} ${quote(text)}: write it like key=value`, { option })
    return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
  }
}

export function list(text: string, before: string[] = []): string[] {
  return [...before, ...text.split(',').filter((each) => each !== '')]
}

export function oneOf(flags: string, doc: string, choices: readonly string[]): Option {
  return new Option(flags, doc).choices(choices)
}

export const FILESYSTEMS = ['ext4', 'xfs', 'btrfs', 'directory', 'raw']
export const ACCESS = ['single-writer', 'many-readers', 'read-only', 'many-writers']

/** For what changes something and takes time. */
export function slow(command: Command): Command {
  return command.option('--no-wait', 'return at once; the work goes on')
}

/** For what asks before it acts. */
export function asking(command: Command): Command {
  return command.option('-y, --yes', 'do not ask')
}

/** For every list. */
export function listing(command: Command): Command {
  return command.option('--limit <count>', 'at most so many', whole('--limit', 1, 1_000_000))
}
