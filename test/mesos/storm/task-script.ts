import { join } from 'node:path'

/**
 * What a task does with its volume at `data`: it takes the host's lock of that volume (held by another living task:
 * that is a double writer), looks for every line that earlier tasks have made durable, adds its own at the start and at
 * the end, and tells the host of each one only when it is durable.
 */
export function taskCommand(directory: string, volumeId: string, line: string, seconds: number): string {
  const book = join(directory, volumeId)
  return [
    `book=${book}; line=${line}`,
    'trouble() { echo "$line: $*" >>"$book.trouble"; exit 77; }',
    'note() { echo "$line $1" >>data/lines && sync data/lines && echo "$line $1" >>"$book.lines"; }',
    'exec 9>>"$book.lock"',
    'flock --nonblock 9 || trouble "double writer: $(cat "$book.owner")"',
    'echo "$line, process $$" >"$book.owner"',
    '[ "$(stat -c %d data)" != "$(stat -c %d .)" ] || trouble "no volume is mounted at data"',
    'touch data/lines "$book.lines"',
    'lost=$(grep --invert-match --line-regexp --fixed-strings --file=data/lines "$book.lines")',
    '[ -z "$lost" ] || trouble "lost: $lost"',
    'note begun || trouble "can not write"',
    `sleep ${seconds} 9>&-`,
    'note ended || trouble "can not write"',
  ].join('\n')
}
