/** What the logic is given by the program that started the holder. Secrets are in files, which are read at each start. */
export interface LogicSettings {
  /** URL of the agent. */
  readonly agent: string
  /** File with the name and secret for the agent's operator API: JSON as Mesos' `--credential` has it. */
  readonly agentCredential?: string | undefined
  /** PEM files of the authorities that signed the certificates, where they are not public ones. */
  readonly agentCa?: string | undefined
  readonly apiCa?: string | undefined
  /** URL of the controller. */
  readonly api: string
  /** File with the node's credential. */
  readonly tokenFile: string
  /** The node daemon's local socket. */
  readonly nodeSocket: string
  /** How long a task may wait for its volumes, s; an older holder does not say. */
  readonly publishSeconds?: number | undefined
  readonly logLevel: string
}

export const PUBLISH_SECONDS = 55
