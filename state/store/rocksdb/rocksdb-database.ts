import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import RocksDB from 'rocksdb'
import { EngineError } from '../../contracts/engine-error.ts'
import type { Database, DatabaseEntry, DatabaseWrite, KeyRange } from '../database.ts'

/** Version of the layout below; in the file FORMAT of the folder. */
const format = 1

const chunkEntries = 512

/**
 * A database in a folder, on RocksDB. One process has it open at a time.
 *
 * Key on disk: length of the space's name (1 byte), the name, the key. All
 * spaces share one column family, since the binding writes a batch to one
 * only, and a checkpoint has to be one batch. Nothing is fsynced: after a
 * power cut the tail may be gone, never a part of a batch, and the state is
 * rolled forward from the log.
 *
 * @throws EngineError `store-locked`, `store-newer-format`, `store-failed`
 */
export async function openRocksdbDatabase({ path }: { readonly path: string }): Promise<Database> {
  try {
    mkdirSync(path, { recursive: true })
    checkFormat(path)
    const database = new RocksDB(path)
    await database.ready()
    writeFormat(path)
    return new RocksdbDatabase(path, database)
  } catch (error) {
    throw openError(path, error)
  }
}

class RocksdbDatabase implements Database {
  readonly #path: string
  readonly #database: RocksDB
  readonly #prefixes = new Map<string, Buffer>()
  #closing: Promise<void> | undefined

  constructor(path: string, database: RocksDB) {
    this.#path = path
    this.#database = database
  }

  getMany(space: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    if (keys.length === 0) return Promise.resolve([])
    return this.#run('a read', async () => {
      const batch = this.#database.read({ capacity: keys.length })
      try {
        const found = keys.map((key) => batch.get(this.#key(space, key)))
        // A read that fails rejects each of these and the flush; one rejection is enough to tell.
        const values = Promise.all(found)
        values.catch(() => {})
        await batch.flush()
        return (await values).map((value) => value ?? undefined)
      } finally {
        batch.destroy()
      }
    })
  }

  async *scan(space: string, range: KeyRange = {}): AsyncIterable<readonly DatabaseEntry[]> {
    this.#refuseIfClosed('a scan')
    const prefix = this.#prefix(space)
    const snapshot = this.#database.snapshot()
    try {
      const bounds = {
        gte: range.from === undefined ? prefix : this.#key(space, range.from),
        lt: range.to === undefined ? successor(prefix) : this.#key(space, range.to),
      }
      let chunk: DatabaseEntry[] = []
      for await (const { key, value } of snapshot.iterator(bounds, { capacity: chunkEntries })) {
        chunk.push({ key: key.subarray(prefix.length), value })
        if (chunk.length < chunkEntries) continue
        yield chunk
        this.#refuseIfClosed('a scan')
        chunk = []
      }
      if (chunk.length > 0) yield chunk
    } catch (error) {
      throw this.#failed('a scan', error)
    } finally {
      await snapshot.close()
    }
  }

  write(writes: readonly DatabaseWrite[]): Promise<void> {
    if (writes.length === 0) return Promise.resolve()
    return this.#run('a write', async () => {
      const batch = this.#database.write({ capacity: writes.length })
      try {
        for (const { space, key, value } of writes) {
          if (value === undefined) batch.tryDelete(this.#key(space, key))
          else batch.tryPut(this.#key(space, key), value)
        }
        await batch.flush()
      } finally {
        batch.destroy()
      }
    })
  }

  clear(space: string): Promise<void> {
    return this.#run('a clear', async () => {
      const prefix = this.#prefix(space)
      const batch = this.#database.write({ capacity: 1 })
      try {
        batch.tryDeleteRange(prefix, successor(prefix))
        await batch.flush()
      } finally {
        batch.destroy()
      }
    })
  }

  close(): Promise<void> {
    // The binding waits for running operations, and for open iterators.
    this.#closing ??= this.#database.close({ force: true })
    return this.#closing
  }

  async #run<Result>(operation: string, work: () => Promise<Result>): Promise<Result> {
    this.#refuseIfClosed(operation)
    try {
      return await work()
    } catch (error) {
      throw this.#failed(operation, error)
    }
  }

  /** The binding would touch freed memory. */
  #refuseIfClosed(operation: string): void {
    if (this.#closing === undefined) return
    throw new EngineError('store-failed', {
      path: this.#path,
      operation,
      detail: 'the database is closed',
    })
  }

  #failed(operation: string, error: unknown): unknown {
    if (error instanceof EngineError) return error
    return new EngineError(
      'store-failed',
      { path: this.#path, operation, detail: detailOf(error) },
      { cause: error },
    )
  }

  #prefix(space: string): Buffer {
    const known = this.#prefixes.get(space)
    if (known !== undefined) return known
    const name = Buffer.from(space)
    if (name.length === 0 || name.length > 255) {
      throw new RangeError(`the name of a space has 1 to 255 bytes, got ${name.length}: "${space}"`)
    }
    const prefix = Buffer.concat([Buffer.of(name.length), name])
    this.#prefixes.set(space, prefix)
    return prefix
  }

  #key(space: string, key: Uint8Array): Buffer {
    const prefix = this.#prefix(space)
    const bytes = Buffer.allocUnsafe(prefix.length + key.length)
    bytes.set(prefix)
    bytes.set(key, prefix.length)
    return bytes
  }
}

/** The first bytes after everything that begins with the prefix; its last byte is UTF-8, so never 0xff. */
function successor(prefix: Buffer): Buffer {
  const next = Buffer.from(prefix)
  next[next.length - 1] = (next[next.length - 1] as number) + 1
  return next
}

function checkFormat(path: string): void {
  const file = join(path, 'FORMAT')
  if (!existsSync(file)) return
  const found = Number(readFileSync(file, 'utf8'))
  if (found === format) return
  throw new EngineError('store-newer-format', { path, found, supported: format })
}

function writeFormat(path: string): void {
  const file = join(path, 'FORMAT')
  if (!existsSync(file)) writeFileSync(file, `${format}\n`)
}

function openError(path: string, error: unknown): unknown {
  if (error instanceof EngineError) return error
  const detail = detailOf(error)
  if (/lock/i.test(detail)) return new EngineError('store-locked', { path }, { cause: error })
  return new EngineError('store-failed', { path, operation: 'opening', detail }, { cause: error })
}

/** The binding hides the reason of a failed batch in its cause. */
function detailOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
