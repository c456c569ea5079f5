import { readFileSync } from './builtins.ts'

/** The version of this program, from its package. */
export const VERSION: string = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
