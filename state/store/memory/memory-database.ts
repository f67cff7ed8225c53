import BTreeModule from 'sorted-btree'
import { EngineError } from '../../contracts/engine-error.ts'
import type { Database, DatabaseEntry, DatabaseWrite, KeyRange } from '../database.ts'
import { spaceNameBytes } from '../space-name.ts'

// The package is CommonJS with an ES default: Node hands over the module, bundlers the class.
const BTree = ((BTreeModule as { default?: unknown }).default ?? BTreeModule) as typeof BTreeModule.default
type Space = InstanceType<typeof BTree<Uint8Array, Uint8Array>>

const chunkEntries = 512

/**
 * A database that is gone when its process is: for tests, scratch state and
 * engines without a folder. It keeps the keys and values that it is given,
 * not copies of them, and gives out the same ones.
 */
export function memoryDatabase(): Database {
  return new MemoryDatabase()
}

class MemoryDatabase implements Database {
  readonly #spaces = new Map<string, Space>()
  #isClosed = false

  async getMany(space: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    this.#refuseIfClosed('a read')
    const entries = this.#space(space)
    return keys.map((key) => entries.get(key))
  }

  scan(space: string, range: KeyRange = {}): AsyncIterable<readonly DatabaseEntry[]> {
    // A clone shares its nodes until one side writes, so the snapshot costs nothing.
    return this.#chunks(this.#space(space).clone(), range)
  }

  async write(batch: readonly DatabaseWrite[]): Promise<void> {
    this.#refuseIfClosed('a write')
    // All names are checked first: a batch is written whole or not at all.
    for (const { space } of batch) this.#space(space)
    for (const { space, key, value } of batch) {
      if (value === undefined) this.#space(space).delete(key)
      else this.#space(space).set(key, value)
    }
  }

  async clear(space: string): Promise<void> {
    this.#refuseIfClosed('a clear')
    this.#space(space)
    // Scans that run keep their clone.
    this.#spaces.delete(space)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#spaces.clear()
  }

  async *#chunks(space: Space, { from, to }: KeyRange): AsyncGenerator<readonly DatabaseEntry[]> {
    this.#refuseIfClosed('a scan')
    let chunk: DatabaseEntry[] = []
    for (const [key, value] of space.entries(from)) {
      if (to !== undefined && Buffer.compare(key, to) >= 0) break
      chunk.push({ key, value })
      if (chunk.length < chunkEntries) continue
      yield chunk
      this.#refuseIfClosed('a scan')
      chunk = []
    }
    if (chunk.length > 0) yield chunk
  }

  #space(name: string): Space {
    const known = this.#spaces.get(name)
    if (known !== undefined) return known
    spaceNameBytes(name)
    const space = new BTree<Uint8Array, Uint8Array>(undefined, Buffer.compare)
    this.#spaces.set(name, space)
    return space
  }

  #refuseIfClosed(operation: string): void {
    if (!this.#isClosed) return
    throw new EngineError('store-failed', { path: 'memory', operation, detail: 'the database is closed' })
  }
}
