/**
 * A Docker volume plugin for tests: a directory for each volume, kept while the plugin is away. It counts users by their
 * ids, as Docker's documentation wants it; `faults` makes it misbehave.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'

export type Body = { Name?: string; ID?: string; Opts?: Record<string, string> }
/** What it does in place of answering properly. */
export type Fault =
  | { readonly status: number; readonly text: string }
  /** Does what was asked, and then answers this. */
  | { readonly done: true; readonly text: string }
  | 'hang'
  /** Closes without a word, before or after it has done what was asked. */
  | 'cut'
  | 'cut after'
  /** Closes in the middle of its answer. */
  | 'half'
  | 'no http'

export interface VolumePluginOptions {
  readonly dir: string
  readonly socket: string
  /** Volumes are mounted at `DIR/mnt/NAME` while they are used; else they are always at `DIR/store/NAME`. */
  readonly mounts?: boolean
  /** Counts calls of Mount and Unmount, and not users, as REX-Ray does. */
  readonly countsCalls?: boolean
  /** Calls that it does not know. */
  readonly without?: readonly string[]
  readonly scope?: string
}

export class VolumePlugin {
  readonly options: VolumePluginOptions
  /** By method; asked with each body, undefined to behave. */
  readonly faults = new Map<string, (body: Body) => Fault | undefined>()
  /** `Method Name` of all calls, as they came. */
  readonly calls: string[] = []
  /** What each volume was created with. */
  readonly created = new Map<string, Record<string, string>>()
  readonly users = new Map<string, string[]>()
  #server: Server | undefined

  constructor(options: VolumePluginOptions) {
    this.options = options
    for (const name of ['store', 'mnt']) mkdirSync(join(options.dir, name), { recursive: true })
  }

  get volumes(): string[] {
    return readdirSync(join(this.options.dir, 'store')).sort()
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#serve(request, response))
    this.#server = server
    await new Promise<void>((resolve) => server.listen(this.options.socket, resolve))
  }

  async stop(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }

  /** Ends it, and takes its mounts away. */
  async dispose(): Promise<void> {
    await this.stop()
    for (const name of readdirSync(join(this.options.dir, 'mnt'))) this.#unmount(name)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const text = Buffer.concat(parts).toString('utf8')
    const body = (text === '' ? {} : JSON.parse(text)) as Body
    const method = request.url?.split('.').at(-1) ?? ''
    this.calls.push(`${method} ${body.Name ?? ''}`.trim())
    if (this.options.without?.includes(method)) return void response.writeHead(404).end('404 page not found\n')
    const fault = this.faults.get(method)?.(body)
    if (fault === undefined) return void response.end(JSON.stringify(this.#do(method, body)))
    this.#misbehave(fault, request, response, () => this.#do(method, body))
  }

  #misbehave(fault: Fault, request: IncomingMessage, response: ServerResponse, work: () => object): void {
    if (fault === 'hang') return
    if (fault === 'no http') return void request.socket.end('hello\n')
    if (fault === 'cut') return void request.socket.destroy()
    if (typeof fault === 'object' && 'status' in fault) return void response.writeHead(fault.status).end(fault.text)
    const answer = JSON.stringify(work())
    if (typeof fault === 'object') return void response.end(fault.text)
    if (fault === 'cut after') return void request.socket.destroy()
    response.writeHead(200, { 'content-length': answer.length })
    response.write(answer.slice(0, -2), () => request.socket.destroy())
  }

  #do(method: string, body: Body): object {
    const { Name: name = '' } = body
    if (method === 'Activate') return { Implements: ['VolumeDriver'] }
    if (method === 'Capabilities') return { Capabilities: { Scope: this.options.scope ?? 'global' } }
    if (method === 'List') return { Volumes: this.volumes.map((each) => this.#show(each)), Err: '' }
    if (method === 'Create') return this.#create(name, body.Opts ?? {})
    if (!this.volumes.includes(name)) return { Err: `no such volume: ${name}` }
    if (method === 'Get') return { Volume: this.#show(name), Err: '' }
    if (method === 'Path') return { Mountpoint: this.#show(name).Mountpoint, Err: '' }
    if (method === 'Mount') return this.#mount(name, body.ID ?? '')
    return method === 'Unmount' ? this.#release(name, body.ID ?? '') : this.#remove(name)
  }

  #create(name: string, options: Record<string, string>): object {
    if (!this.created.has(name)) this.created.set(name, options)
    mkdirSync(join(this.options.dir, 'store', name), { recursive: true })
    return { Err: '' }
  }

  #remove(name: string): object {
    if ((this.users.get(name)?.length ?? 0) > 0) return { Err: `volume ${name} is in use` }
    rmSync(join(this.options.dir, 'store', name), { recursive: true })
    this.created.delete(name)
    return { Err: '' }
  }

  #mount(name: string, id: string): object {
    const users = this.users.get(name) ?? []
    const { mounts, countsCalls, dir } = this.options
    if (mounts === true && users.length === 0) {
      mkdirSync(join(dir, 'mnt', name), { recursive: true })
      execFileSync('mount', ['--bind', join(dir, 'store', name), join(dir, 'mnt', name)])
    }
    if (countsCalls === true || !users.includes(id)) users.push(id)
    this.users.set(name, users)
    return { Mountpoint: this.#place(name), Err: '' }
  }

  #release(name: string, id: string): object {
    const users = this.users.get(name) ?? []
    const at = users.indexOf(id)
    if (at === -1) return { Err: `volume ${name} is not mounted` }
    users.splice(at, 1)
    if (users.length === 0) this.#unmount(name)
    return { Err: '' }
  }

  #unmount(name: string): void {
    const place = join(this.options.dir, 'mnt', name)
    if (!existsSync(place)) return
    const table = () => readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
    while (table().some((line) => line.split(' ')[4] === place)) execFileSync('umount', [place])
    rmSync(place, { recursive: true })
  }

  #place(name: string): string {
    return join(this.options.dir, this.options.mounts === true ? 'mnt' : 'store', name)
  }

  #show(name: string) {
    const used = (this.users.get(name)?.length ?? 0) > 0
    return { Name: name, Mountpoint: used ? this.#place(name) : '' }
  }
}
