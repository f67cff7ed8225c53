import { ByteWriter } from '../contracts/byte-writer.ts'
import type { Database, DatabaseWrite } from '../store/database.ts'
import type { StateStore } from '../store/state-store.ts'
import type { TaskPosition } from './commit-protocol.ts'

const space = '__positions'

/** The position at which the database's state stands; undefined for a new database. */
export async function readCheckpoint(database: Database, task: string): Promise<TaskPosition | undefined> {
  const [value] = await database.getMany(space, [Buffer.from(task)])
  if (value === undefined) return undefined
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  const offsets: number[] = []
  for (let at = 8; at < value.byteLength; at += 8) offsets.push(view.getFloat64(at, true))
  return { sequence: view.getFloat64(0, true), offsets }
}

/** Everything that changed since the last checkpoint, and the position it stands at, as one atomic batch. */
export function collectCheckpoint(
  task: string,
  position: TaskPosition,
  stores: readonly StateStore[],
): DatabaseWrite[] {
  const writes: DatabaseWrite[] = []
  for (const store of stores) store.collect(writes)
  const out = new ByteWriter(8 * (position.offsets.length + 1))
  out.double(position.sequence)
  for (const offset of position.offsets) out.double(offset)
  writes.push({ space, key: Buffer.from(task), value: out.take() })
  return writes
}

/** Forgets a task's position, so that its state is folded anew from the inputs. */
export async function dropCheckpoint(
  database: Database,
  task: string,
  stores: readonly StateStore[],
): Promise<void> {
  await database.write([{ space, key: Buffer.from(task) }])
  for (const store of stores) {
    await database.clear(store.name)
    store.clear()
  }
}
