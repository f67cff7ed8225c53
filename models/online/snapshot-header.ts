import type { ByteWriter } from '../../state/contracts/byte-writer.ts'
import { ByteCursor } from './byte-cursor.ts'

/** Every snapshot starts with four letters for its form and the name of its learner. */
export function startSnapshot(out: ByteWriter, magic: string, name: string): void {
  for (let index = 0; index < magic.length; index++) out.byte(magic.charCodeAt(index))
  out.string(name)
}

/** A cursor behind the header. Throws a RangeError that says what is wrong with it. */
export function openSnapshot(snapshot: Uint8Array, magic: string, name: string): ByteCursor {
  const cursor = new ByteCursor(snapshot)
  for (let index = 0; index < magic.length; index++) {
    if (snapshot[index] !== magic.charCodeAt(index))
      throw new RangeError('these bytes are no snapshot of its kind')
  }
  cursor.at = magic.length
  const found = cursor.string()
  if (found !== name) throw new RangeError(`the snapshot is of ${found}`)
  return cursor
}
