import { asHoldfastError } from '../../../src/model/errors.ts'
import type { Random } from '../../../src/simulate/random.ts'
import type { Book } from './book.ts'
import type { System } from './system.ts'

/** An operator deletes a volume through Holdfast: one that may be idle, in use, or being deleted by somebody else. */
export async function deleteVolume(random: Random, book: Book, system: System): Promise<boolean> {
  const volume = random.pick([...book.volumes.values()].filter(({ state }) => state === 'there'))
  if (volume === undefined) return false
  await deleteOne(volume.id, book, system)
  return true
}

export async function deleteOne(id: string, book: Book, system: System): Promise<void> {
  book.leaving(id)
  try {
    await system.rest.rest('DELETE', `/v1/volumes/${id}`)
    book.gone(id)
    book.count('DELETE', 'accepted')
  } catch (thrown) {
    const { code } = asHoldfastError(thrown)
    book.count('DELETE', code)
    if (code === 'not_found') book.gone(id)
    else if (code === 'unreachable' || code === 'unknown_outcome') book.unsure(id)
    else book.stays(id)
  }
}
