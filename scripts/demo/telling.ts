/** How the demonstrations talk to their audience. */
let held = 0

export function step(title: string): void {
  process.stdout.write(`\n== ${title}\n`)
}

export function say(text: string): void {
  process.stdout.write(`   ${text}\n`)
}

export function sayLines(text: string): void {
  for (const line of text.split('\n')) if (line !== '') say(`  ${line}`)
}

/** @throws when it is not so */
export function expect(truth: boolean, what: string): void {
  if (!truth) throw new Error(`this should hold and does not: ${what}`)
  held++
  process.stdout.write(`   ✓ ${what}\n`)
}

/** How many expectations have held so far. */
export function heldSoFar(): number {
  return held
}
