/**
 * Stands in for `dvdcli` of rexray, version 0.2: its arguments, its calls of the Docker volume plugin protocol and what
 * it prints. Run as `node dvdcli-stand-in.ts FOLDER-OF-SOCKETS mount|unmount --volumedriver=… --volumename=… …`.
 */
import { request } from 'node:http'
import { join } from 'node:path'

const ACCEPT = 'application/vnd.docker.plugins.v1.2+json'
const [folder = '', command = '', ...flags] = process.argv.slice(2)
const driver = flag('volumedriver')
const Name = flag('volumename')

try {
  await call('/Plugin.Activate', {})
  if (command === 'mount') process.stdout.write(`${await mount()}\n`)
  else if (command === 'unmount') await unmount()
  else throw new Error(`the command ${command} is not known`)
} catch (thrown) {
  const why = thrown instanceof Error ? thrown.message : String(thrown)
  process.stderr.write(`level=error msg=${JSON.stringify(why)} volumeName=${Name}\n`)
  process.exitCode = 1
}

/** Any failure of Get counts as "there is no such volume". */
async function mount(): Promise<string> {
  const exists = await call('/VolumeDriver.Get', { Name }).then(
    ({ Volume }) => Volume !== null && Volume !== undefined,
    () => false,
  )
  if (!exists) await call('/VolumeDriver.Create', { Name, Opts: options() })
  const { Mountpoint } = await call('/VolumeDriver.Mount', { Name })
  return String(Mountpoint)
}

async function unmount(): Promise<void> {
  const { Volume } = await call('/VolumeDriver.Get', { Name })
  if (Volume === null || Volume === undefined) throw new Error('no such volume')
  await call('/VolumeDriver.Unmount', { Name })
}

function flag(name: string): string {
  const prefix = `--${name}=`
  return flags.find((each) => each.startsWith(prefix))?.slice(prefix.length) ?? ''
}

/** `a=b,c=d` are two options, and of `a=b=c` the last part is lost. */
function options(): Record<string, string> {
  const texts = flags.filter((each) => each.startsWith('--volumeopts=')).map((each) => each.slice(13))
  const pairs = texts.flatMap((text) => text.split(',')).map((text) => text.split('='))
  return Object.fromEntries(pairs.map(([key = '', value = '']) => [key, value]))
}

function call(path: string, body: object): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const socketPath = join(folder, `${driver}.sock`)
    const sent = request({ socketPath, path, method: 'POST', headers: { accept: ACCEPT } }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => {
        const answer = JSON.parse(text) as Record<string, unknown>
        const error = typeof answer.Err === 'string' ? answer.Err : ''
        if (response.statusCode === 200 && error === '') resolve(answer)
        else reject(new Error(error === '' ? text : error))
      })
    })
    sent.on('error', reject)
    sent.end(JSON.stringify(body))
  })
}
