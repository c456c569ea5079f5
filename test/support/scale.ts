/**
 * How many times a property or a simulation runs: `n` in a normal run, times HOLDFAST_SCALE (a factor, 1 if unset)
 * in a long one such as `npm run soak`. At least 1.
 */
export function scaled(n: number): number {
  const factor = Number(process.env.HOLDFAST_SCALE ?? '1')
  if (!(factor > 0)) throw new Error(`HOLDFAST_SCALE is '${process.env.HOLDFAST_SCALE}', but must be a number above 0`)
  return Math.max(1, Math.round(n * factor))
}
