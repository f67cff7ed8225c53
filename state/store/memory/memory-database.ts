import BTreeModule from 'sorted-btree'
import { EngineError } from '../../contracts/engine-error.ts'
import type { Database, DatabaseEntry, KeyRange } from '../database.ts'

const BTree = ((BTreeModule as { default?: unknown }).default ?? BTreeModule) as typeof BTreeModule.default
type Space = InstanceType<typeof BTree<Uint8Array, Uint8Array>>

const chunkEntries = 512

/** A database that is gone when its process is: for tests, scratch state and engines without a folder. */
export function memoryDatabase(): Database {
  const spaces = new Map<string, Space>()
  let isClosed = false
  const spaceOf = (name: string): Space => {
    const known = spaces.get(name)
    if (known !== undefined) return known
    const space = new BTree<Uint8Array, Uint8Array>(undefined, Buffer.compare)
    spaces.set(name, space)
    return space
  }
  const refuseIfClosed = (operation: string) => {
    if (isClosed) {
      throw new EngineError('store-failed', { path: 'memory', operation, detail: 'the database is closed' })
    }
  }
  return {
    async getMany(space, keys) {
      refuseIfClosed('a read')
      const entries = spaceOf(space)
      return keys.map((key) => entries.get(key))
    },
    async *scan(space, range = {}) {
      refuseIfClosed('a scan')
      // A clone shares its nodes until one side writes, so the snapshot costs nothing.
      yield* chunksOf(spaceOf(space).clone(), range)
    },
    async write(batch) {
      refuseIfClosed('a write')
      for (const { space, key, value } of batch) {
        if (value === undefined) spaceOf(space).delete(key)
        else spaceOf(space).set(key, value)
      }
    },
    async clear(space) {
      refuseIfClosed('a clear')
      spaces.delete(space)
    },
    async close() {
      isClosed = true
      spaces.clear()
    },
  }
}

function* chunksOf(space: Space, { from, to }: KeyRange): Generator<readonly DatabaseEntry[]> {
  let chunk: DatabaseEntry[] = []
  for (const [key, value] of space.entries(from)) {
    if (to !== undefined && Buffer.compare(key, to) >= 0) break
    chunk.push({ key, value })
    if (chunk.length < chunkEntries) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}
