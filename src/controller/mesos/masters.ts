import { askMaster, isSameMaster, type OneMaster } from '../../mesos/any-master.ts'
import type { MasterDetector } from '../../mesos/detector.ts'
import type { MesosHttp } from '../../mesos/http.ts'
import type { Master } from '../../mesos/leading-master.ts'
import { asHoldfastError } from '../../model/errors.ts'

export interface AskedMasters {
  /** The leading one, if one is known, first. */
  readonly leading: OneMaster | undefined
  /** All others that are known: any of them may lead next. */
  readonly others: readonly OneMaster[]
  /** Why not all masters may be among them. */
  readonly trouble?: string
}

/** Asks every master for its flags, leading or not. One that does not answer is among them with its trouble. */
export async function askMasters(
  http: MesosHttp,
  detector: Pick<MasterDetector, 'standing'>,
  leader: Master | undefined,
): Promise<AskedMasters> {
  const { masters, trouble } = await standing(detector)
  const others: OneMaster[] = []
  for (const addresses of masters) {
    if (leader !== undefined && addresses.includes(leader.url)) continue
    if (leader !== undefined && (await isSameMaster(http, addresses, leader.id))) continue
    others.push(await askMaster(http, addresses))
  }
  const leading = leader === undefined ? undefined : await askMaster(http, [leader.url])
  return { leading, others, ...(trouble === undefined ? {} : { trouble }) }
}

async function standing(detector: Pick<MasterDetector, 'standing'>) {
  try {
    return { masters: await detector.standing() }
  } catch (thrown) {
    return { masters: [], trouble: asHoldfastError(thrown).message }
  }
}
