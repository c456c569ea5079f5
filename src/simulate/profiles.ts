/** What goes wrong in a run, and how often. Chances are per call, message or commit; pace is ms between faults. */
export interface Profile {
  readonly name: string
  /** Mean ms from one fault to the next. */
  readonly pace: number
  readonly clients: { readonly count: number; readonly pauseMs: number }
  /** Everybody wants the same few volumes, on the same machines, for short times. */
  readonly crowded: boolean
  readonly faults: Readonly<Record<FaultName, number>>
  readonly network: { readonly loss: number; readonly repeat: number; readonly slowness: number }
  readonly store: { readonly fault: number; readonly slowness: number }
  readonly storage: { readonly fail: number; readonly lost: number; readonly hang: number; readonly slowness: number }
}

export type FaultName =
  | 'kill-daemon'
  | 'pause-daemon'
  | 'reboot'
  | 'power-off'
  | 'pause-machine'
  | 'partition'
  | 'cut-streams'
  | 'storage-outage'
  | 'kill-controller'
  | 'pause-controller'
  | 'second-leader'
  | 'store-crash'
  | 'clock-jump'
  | 'slow-network'

const BUSY = { count: 5, pauseMs: 1500 }

const ALL: Record<FaultName, number> = {
  'kill-daemon': 4,
  'pause-daemon': 2,
  reboot: 2,
  'power-off': 1,
  'pause-machine': 2,
  partition: 5,
  'cut-streams': 2,
  'storage-outage': 2,
  'kill-controller': 3,
  'pause-controller': 2,
  'second-leader': 1,
  'store-crash': 1,
  'clock-jump': 1,
  'slow-network': 1,
}

export const PROFILES: readonly Profile[] = [
  {
    name: 'calm',
    pace: 15_000,
    faults: ALL,
    clients: BUSY,
    crowded: false,
    network: { loss: 0.001, repeat: 0.01, slowness: 5 },
    store: { fault: 0.001, slowness: 3 },
    storage: { fail: 0.005, lost: 0.005, hang: 0.001, slowness: 60 },
  },
  {
    name: 'rough',
    pace: 3000,
    faults: ALL,
    clients: BUSY,
    crowded: false,
    network: { loss: 0.02, repeat: 0.05, slowness: 30 },
    store: { fault: 0.01, slowness: 8 },
    storage: { fail: 0.03, lost: 0.03, hang: 0.01, slowness: 150 },
  },
  {
    name: 'leaders',
    pace: 4000,
    faults: { ...ALL, 'second-leader': 15, 'pause-controller': 10, 'kill-controller': 5, partition: 12 },
    clients: BUSY,
    crowded: false,
    network: { loss: 0.01, repeat: 0.03, slowness: 15 },
    store: { fault: 0.02, slowness: 20 },
    storage: { fail: 0.01, lost: 0.01, hang: 0.002, slowness: 80 },
  },
  {
    name: 'clocks',
    pace: 4000,
    faults: { ...ALL, 'clock-jump': 20 },
    clients: BUSY,
    crowded: false,
    network: { loss: 0.005, repeat: 0.02, slowness: 10 },
    store: { fault: 0.005, slowness: 5 },
    storage: { fail: 0.01, lost: 0.01, hang: 0.002, slowness: 60 },
  },
  {
    name: 'disks',
    pace: 5000,
    faults: { ...ALL, 'storage-outage': 15, 'kill-daemon': 8 },
    clients: BUSY,
    crowded: false,
    network: { loss: 0.002, repeat: 0.02, slowness: 10 },
    store: { fault: 0.005, slowness: 5 },
    storage: { fail: 0.08, lost: 0.08, hang: 0.05, slowness: 800 },
  },
  {
    name: 'quiet',
    pace: 12_000,
    faults: { ...ALL, 'second-leader': 25 },
    clients: { count: 2, pauseMs: 5000 },
    crowded: false,
    network: { loss: 0.05, repeat: 0.02, slowness: 10 },
    store: { fault: 0.005, slowness: 5 },
    storage: { fail: 0.01, lost: 0.01, hang: 0.002, slowness: 60 },
  },
  {
    name: 'echo',
    pace: 8000,
    faults: { ...ALL, 'slow-network': 10 },
    clients: BUSY,
    crowded: true,
    network: { loss: 0.01, repeat: 0.4, slowness: 40 },
    store: { fault: 0.01, slowness: 10 },
    storage: { fail: 0.02, lost: 0.02, hang: 0.005, slowness: 500 },
  },
  {
    name: 'nodes',
    pace: 4000,
    faults: { ...ALL, reboot: 6, 'power-off': 8, partition: 15, 'pause-machine': 8, 'pause-daemon': 8 },
    clients: BUSY,
    crowded: false,
    network: { loss: 0.005, repeat: 0.08, slowness: 20 },
    store: { fault: 0.005, slowness: 5 },
    storage: { fail: 0.02, lost: 0.02, hang: 0.02, slowness: 300 },
  },
]
