import { DEFAULT_ROOTS } from '../../doors/csi/config.ts'
import { parseMasterSpec } from '../../mesos/master-spec.ts'
import { isName } from '../../model/names.ts'
import {
  choice,
  count,
  type Field,
  flag,
  isHttpUrl,
  isListen,
  isPath,
  labels,
  type Read,
  section,
  sectionOrOff,
  text,
  texts,
} from './fields.ts'

const PATH = 'an absolute path'
const URL_TEXT = 'a URL like http://127.0.0.1:7420'
const NAME = 'a name: a letter or digit, then at most 62 letters, digits, "_", "." or "-"'

export const DEFAULT_API = 'http://127.0.0.1:7420'
export const CONTROLLER_STATE = '/var/lib/holdfast/controller'
const NODE_STATE = '/var/lib/holdfast/node'
const NODE_SOCKET = '/run/holdfast/node.sock'
export const OUTPUTS = ['table', 'json', 'yaml'] as const

function path(doc: string): Field<string | undefined> {
  return text(doc, undefined, PATH, isPath)
}

function pathOr(doc: string, fallback: string): Field<string> {
  return text(doc, fallback, PATH, isPath)
}

function secret(doc: string): Field<string | undefined> {
  return text(doc, undefined, 'a token: printable characters without blanks', (value) =>
    /^[\x21-\x7e]{1,512}$/.test(value),
  )
}

function url(doc: string): Field<string> {
  return text(doc, DEFAULT_API, URL_TEXT, isHttpUrl)
}

/** Not a text field: what is wrong with it is told without the password that may be in it. */
function masters(): Field<string | undefined> {
  const read = (value: unknown) => {
    parseMasterSpec(String(value))
    return String(value)
  }
  return {
    kind: 'field',
    doc: '`zk://host:2181,host2:2181/mesos`, or `https://host:5050,https://host2:5050`.',
    fallback: undefined,
    read,
  }
}

const docker = sectionOrOff('The Docker volume plugin; `false` turns it off.', {
  name: text('What containers write after `--volume-driver`.', 'holdfast', NAME, isName),
  socket: path('Its unix socket; `/run/docker/plugins/NAME.sock` if not given.'),
  roles: texts('Roles that containers may name; the first is the default.', ['default']),
  trashHours: count('Hours that a volume removed by Docker stays in the trash; 0 deletes at once.', 24, 0, 8784),
  api: path("Docker's own API socket, to find users whose unmount was skipped."),
})

const csi = sectionOrOff(
  'The CSI plugin; `true`, or any of its settings, turns it on.',
  {
    socket: pathOr('Its unix socket.', '/run/holdfast/csi.sock'),
    roles: texts('Roles that its callers act for; the first is the default.', ['default']),
    trashHours: count('Hours that a volume deleted by CSI stays in the trash; 0 deletes at once.', 0, 0, 8784),
    roots: texts(
      'Directories under which its callers may choose where volumes are shown to containers.',
      DEFAULT_ROOTS,
    ),
    mesos: flag("Mesos' isolator `volume/csi` uses it: what that does after a reboot is answered so that it recovers."),
  },
  false,
)

/** Every setting there is. The file has these sections; the environment and flags are named after the keys. */
export const SCHEMA = {
  client: section('For commands that ask a controller.', {
    api: url('URL of the controller.'),
    token: secret('The token itself; better kept in a file of its own.'),
    tokenFile: path("File with the token; the controller's `admin.token` if that is there and readable."),
    ca: path("PEM file of the authority that signed the controller's certificate."),
    output: choice('How results are printed.', OUTPUTS, 'table'),
  }),
  controller: section('For `holdfast controller run`.', {
    listen: text('Address and port of the API.', '127.0.0.1:7420', 'HOST:PORT', isListen),
    state: pathOr('Where it keeps everything.', CONTROLLER_STATE),
    tls: section('Certificate of the API, both or neither.', {
      cert: path('PEM file, with intermediate certificates.'),
      key: path('PEM file.'),
    }),
    insecure: flag('Serve plain HTTP beyond loopback.'),
    leaseSeconds: count('How long a node is trusted without a word from it.', 15, 2, 3600),
    log: choice('How much is logged.', ['debug', 'info', 'warn', 'error'], 'info'),
    mesos: section(
      'Masters of the Mesos that is shown pools; without them nothing is shown on several agents at once.',
      {
        masters: masters(),
        principal: text(
          'Of all reservations and volumes shown; with a secret, of the calls to masters and agents as well.',
          'holdfast',
          'a principal: printable characters without blanks or ":"',
          (value) => /^[\x21-\x39\x3b-\x7e]{1,255}$/.test(value),
        ),
        secretFile: path('File with the secret alone, for masters and agents that authenticate.'),
        ca: path('PEM file of the authority that signed their certificates.'),
        tls: flag('Speak TLS with the masters that ZooKeeper names.'),
      },
    ),
  }),
  node: section('For `holdfast node run`.', {
    name: text('Name of this node; the host name if not given.', undefined, NAME, isName),
    api: url('URL of the controller.'),
    ca: path("PEM file of the authority that signed the controller's certificate."),
    state: pathOr('Where it keeps its journal and its credential.', NODE_STATE),
    joinToken: secret('The join token itself, needed once; better kept in a file of its own.'),
    joinTokenFile: path('File with the join token.'),
    mountRoot: pathOr('Where volumes are mounted.', '/var/lib/holdfast/mnt'),
    mountRoots: texts('Directories under which callers may choose a mount point themselves.', []),
    programDirectories: texts('Directories with programs of drivers, besides the usual ones of the system.', []),
    labels: labels('Labels of this node.'),
    watchdog: path('Watchdog device, for pools with `fence: self`.'),
    leaseSeconds: count("The controller's `leaseSeconds`.", 15, 2, 3600),
    log: choice('How much is logged.', ['debug', 'info', 'warn', 'error'], 'info'),
    socket: pathOr('Socket for other processes of this machine, such as the provider for Mesos.', NODE_SOCKET),
    doors: section('Ways in for users on this node.', { docker, csi }),
  }),
  mesos: section('For `holdfast mesos provider`.', {
    agent: text(
      'URL of the agent, e.g. `http://127.0.0.1:5051`.',
      undefined,
      'a URL like http://127.0.0.1:5051',
      isHttpUrl,
    ),
    agentCredential: path(
      "File with principal and secret for the agent's API, as Mesos' `--credential` has it; read anew for each attempt.",
    ),
    agentCa: path("PEM file of the authority that signed the agent's certificate; read anew for each attempt."),
    api: url('URL of the controller.'),
    ca: path("PEM file of the authority that signed the controller's certificate."),
    state: pathOr('Where it keeps what it owes.', '/var/lib/holdfast/mesos'),
    nodeSocket: pathOr("The node daemon's local socket.", NODE_SOCKET),
    credential: pathOr("The node daemon's state directory, where its credential is.", NODE_STATE),
    publishSeconds: count('How long a task may wait for its volumes before it fails.', 55, 5, 58),
    stopSeconds: count('How long withdrawing in good order may take when it is stopped.', 60, 5, 3600),
    log: choice('How much is logged.', ['debug', 'info', 'warn', 'error'], 'info'),
  }),
  csi: section('For `holdfast csi controller`.', {
    socket: pathOr('Its unix socket.', '/run/holdfast/csi-controller.sock'),
    api: url('URL of the controller.'),
    ca: path("PEM file of the authority that signed the controller's certificate."),
    tokenFile: path('File with the token of an operator.'),
    roles: texts('Roles that its callers act for; the first is the default.', ['default']),
    trashHours: count('Hours that a volume deleted by CSI stays in the trash; 0 deletes at once.', 0, 0, 8784),
    pool: text('Pool of volumes whose parameters name none; chosen if not given.', undefined),
    fs: choice('Filesystem of mounted volumes that ask for none.', ['ext4', 'xfs', 'btrfs', 'directory'], 'ext4'),
    log: choice('How much is logged.', ['debug', 'info', 'warn', 'error'], 'info'),
  }),
}

export type Config = Read<{ [K in keyof typeof SCHEMA]: (typeof SCHEMA)[K] }>
export type ClientConfig = Config['client']
export type NodeConfig = Config['node']
