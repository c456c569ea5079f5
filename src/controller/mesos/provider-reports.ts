import { type Static, Type } from 'typebox'

/** What a machine's provider process says of itself. Fields that only a newer one knows are kept. */
export const ProviderReport = Type.Object({
  agent: Type.Object({
    url: Type.String({ maxLength: 512 }),
    agentId: Type.Optional(Type.String({ maxLength: 255 })),
    state: Type.Optional(Type.String({ maxLength: 64 })),
  }),
  providers: Type.Array(
    Type.Object({
      poolId: Type.String({ maxLength: 64 }),
      providerId: Type.Optional(Type.String({ maxLength: 255 })),
      state: Type.Optional(Type.String({ maxLength: 64 })),
    }),
    { maxItems: 1000 },
  ),
})
export type ProviderReport = Static<typeof ProviderReport>

interface Reported {
  /** ms since 1970. */
  readonly at: number
  readonly report: ProviderReport
}

/** The latest word of every provider process. It is for people, and lives in memory alone. */
export class ProviderReports {
  readonly #reports = new Map<string, Reported>()

  set(nodeId: string, report: ProviderReport, at: number): void {
    this.#reports.set(nodeId, { at, report })
  }

  get(nodeId: string): Reported | undefined {
    return this.#reports.get(nodeId)
  }
}
