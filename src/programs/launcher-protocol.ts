import type { ErrorCode } from '../model/errors.ts'
import type { AbandonedChild, RunResult } from './run.ts'

/** What the daemon asks of its launcher. */
export type LauncherRequest =
  | {
      readonly kind: 'run'
      readonly id: number
      readonly program: string
      readonly args: readonly string[]
      readonly deadlineMs: number
      readonly whileProgressing: boolean
      readonly reportsWritten: boolean
      readonly accept: readonly number[] | undefined
    }
  | { readonly kind: 'abort'; readonly id: number }

/** What the launcher answers. */
export type LauncherAnswer =
  | { readonly kind: 'written'; readonly id: number; readonly bytes: number }
  | {
      readonly kind: 'result'
      readonly id: number
      readonly result: RunResult
      readonly abandoned: readonly AbandonedChild[]
    }
  | {
      readonly kind: 'failure'
      readonly id: number
      readonly code: ErrorCode
      readonly message: string
      readonly data: Readonly<Record<string, unknown>>
      readonly abandoned: readonly AbandonedChild[]
    }
