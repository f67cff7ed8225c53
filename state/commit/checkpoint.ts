import { ByteWriter } from '../contracts/byte-writer.ts'
import type { TimestampMs } from '../contracts/units.ts'
import type { Database, DatabaseWrite } from '../store/database.ts'
import type { StateStore } from '../store/state-store.ts'
import type { TaskPosition } from './commit-protocol.ts'

/** The space of the positions: one entry a task, under its id. */
export const positionsSpace = '__positions'

/** Where a database's state stands, and of what declaration it is the fold. */
export interface Checkpoint {
  readonly position: TaskPosition
  /** Greatest event time processed; -Infinity before the first. */
  readonly streamTimeMs: TimestampMs
  /** Names the inputs and stores of the declaration: state of another layout is another fold. */
  readonly layout: string
  /** Names of the stores that it holds. */
  readonly stores: readonly string[]
}

/** The last checkpoint of a task; undefined for a new database. */
export async function readCheckpoint(database: Database, task: string): Promise<Checkpoint | undefined> {
  const [value] = await database.getMany(positionsSpace, [Buffer.from(task)])
  return value && checkpointOf(value)
}

/** What the position's value says. */
export function checkpointOf(value: Uint8Array): Checkpoint {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const count = bytes.readDoubleLE(16)
  const end = 24 + count * 8
  const [layout = '', ...stores] = bytes.toString('utf8', end).split('\n')
  return {
    position: {
      sequence: bytes.readDoubleLE(0),
      offsets: Array.from({ length: count }, (_, index) => bytes.readDoubleLE(24 + index * 8)),
    },
    streamTimeMs: bytes.readDoubleLE(8),
    layout,
    stores,
  }
}

/**
 * Everything that changed since the last checkpoint, and where it stands, as
 * one atomic batch; the position is the last write. `early` was collected of
 * it before, and is given up.
 */
export function collectCheckpoint(
  task: string,
  { position, streamTimeMs, layout }: Omit<Checkpoint, 'stores'>,
  stores: readonly StateStore[],
  early: DatabaseWrite[] = [],
): DatabaseWrite[] {
  const writes = early
  for (const store of stores) store.collect(writes)
  const out = new ByteWriter(256)
  for (const value of [position.sequence, streamTimeMs, position.offsets.length, ...position.offsets]) {
    out.double(value)
  }
  out.raw(Buffer.from([layout, ...stores.map(({ name }) => name)].join('\n')))
  writes.push({ space: positionsSpace, key: Buffer.from(task), value: out.take() })
  return writes
}

/** Forgets a task's state, so that it is folded anew from the log. */
export async function dropCheckpoint(
  database: Database,
  task: string,
  stores: readonly string[],
): Promise<void> {
  // The position goes first: state without one is not used.
  await database.write([{ space: positionsSpace, key: Buffer.from(task) }])
  for (const store of stores) await database.clear(store)
}
