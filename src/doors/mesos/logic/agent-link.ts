import { AgentClient } from '../../../mesos/agent-client.ts'
import { MesosHttp } from '../../../mesos/http.ts'
import { type AgentFiles, readAgentAccess } from '../agent-access.ts'

const CALL_MS = 10_000

/**
 * The agent's operator API: one client for as long as the files say the same.
 * @returns throws invalid_option while one of them can't be used
 */
export function agentOf(url: string, files: AgentFiles): () => AgentClient {
  let known: { readonly access: string; readonly http: MesosHttp; readonly client: AgentClient } | undefined
  return () => {
    const { credential: credentials, ca } = readAgentAccess(files)
    const access = JSON.stringify({ credentials, ca })
    if (known?.access === access) return known.client
    void known?.http.close()
    const http = new MesosHttp({ credentials, ca, timeoutMs: CALL_MS })
    known = { access, http, client: new AgentClient(http, url.replace(/\/$/, '')) }
    return known.client
  }
}
