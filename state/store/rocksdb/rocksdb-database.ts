import { setImmediate } from 'node:timers/promises'
import RocksDB, { type RocksIterator, type WriteBatch } from 'rocksdb'
import { EngineError } from '../../contracts/engine-error.ts'
import type { Database, DatabaseEntry, DatabaseWrite, KeyRange } from '../database.ts'
import { spaceNameBytes } from '../space-name.ts'
import { holderOf, prepareFolder, signFolder, unsignFolder } from './rocksdb-folder.ts'

const chunkEntries = 512
/** A few ms of filling. In a backlog each turn for others is one of its batches, and the checkpoint has to end some time. */
const fillWrites = 4_096

/**
 * The binding reads a batch of keys one block after the other on a thread of
 * libuv's pool, which has four: blocks that come from the disk are waited for
 * side by side. For fewer keys another batch is not worth its making.
 */
const readThreads = 4
const keysPerThread = 32

/**
 * Compaction and flushes share the cores with the engine, which is one busy
 * thread. The binding has no setting for compression or the size of the cache.
 */
const tuning = { maxBackgroundJobs: 2, writeBufferSize: 32 << 20 } as const

/**
 * A database in a folder, on RocksDB. One process has it open at a time.
 *
 * Key on disk: length of the space's name (1 byte), the name, the key. All
 * spaces share one column family, since the binding writes a batch to one
 * only, and a checkpoint has to be one batch. Nothing is fsynced: after a
 * power cut the tail may be gone, never a part of a batch, and the state is
 * rolled forward from the log.
 *
 * After a write that failed, for want of space say, reads go on and every
 * further write is refused until the database is opened anew: a later batch
 * on the disk without an earlier one would be a state that never was.
 *
 * @throws EngineError `store-locked`, `store-newer-format`, `store-failed`
 */
export async function openRocksdbDatabase({ path }: { readonly path: string }): Promise<Database> {
  try {
    prepareFolder(path)
    const database = new RocksDB(path, tuning)
    await database.ready()
    signFolder(path)
    return new RocksdbDatabase(path, database)
  } catch (error) {
    throw openError(path, error)
  }
}

class RocksdbDatabase implements Database {
  readonly #path: string
  readonly #database: RocksDB
  readonly #prefixes = new Map<string, Buffer>()
  readonly #scans = new Set<RocksIterator>()
  #closing: Promise<void> | undefined
  #failedWrite: unknown

  constructor(path: string, database: RocksDB) {
    this.#path = path
    this.#database = database
  }

  getMany(space: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    if (keys.length === 0) return Promise.resolve([])
    return this.#run('a read', async () => {
      const parts = Math.max(1, Math.min(readThreads, Math.floor(keys.length / keysPerThread)))
      const size = Math.ceil(keys.length / parts)
      const read = await Promise.allSettled(
        Array.from({ length: parts }, (_, part) =>
          this.#getSome(space, keys.slice(part * size, (part + 1) * size)),
        ),
      )
      // Not before all have ended: who is told that a read failed may close the database.
      return read.flatMap((part) => {
        if (part.status === 'rejected') throw part.reason
        return part.value
      })
    })
  }

  async #getSome(space: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
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
  }

  scan(space: string, range: KeyRange = {}): AsyncIterable<readonly DatabaseEntry[]> {
    const prefix = this.#prefix(space)
    const snapshot = this.#closing === undefined ? this.#database.snapshot() : undefined
    return this.#chunks(snapshot, prefix.length, {
      gte: range.from === undefined ? prefix : this.#key(space, range.from),
      lt: range.to === undefined ? successor(prefix) : this.#key(space, range.to),
    })
  }

  write(writes: readonly DatabaseWrite[]): Promise<void> {
    if (writes.length === 0) return Promise.resolve()
    return this.#change('a write', writes.length, async (batch) => {
      for (const [index, { space, key, value }] of writes.entries()) {
        if (value === undefined) batch.tryDelete(this.#key(space, key))
        else batch.tryPut(this.#key(space, key), value)
        // Some µs each: others get their turn between.
        if (index % fillWrites === fillWrites - 1) {
          await setImmediate()
          this.#refuseIfClosed('a write')
        }
      }
    })
  }

  clear(space: string): Promise<void> {
    return this.#change('a clear', 1, async (batch) => {
      const prefix = this.#prefix(space)
      batch.tryDeleteRange(prefix, successor(prefix))
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    try {
      // The binding waits for what runs, and would wait for ever for a scan that its reader has paused.
      for (const scan of this.#scans) scan.destroy()
      await this.#database.close({ force: true })
      unsignFolder(this.#path)
    } catch (error) {
      throw this.#failed('closing', error)
    }
  }

  async *#chunks(
    snapshot: RocksDB | undefined,
    prefixBytes: number,
    bounds: { readonly gte: Buffer; readonly lt: Buffer },
  ): AsyncGenerator<readonly DatabaseEntry[]> {
    this.#refuseIfClosed('a scan')
    if (snapshot === undefined) return
    const iterator = snapshot.iterator(bounds, { capacity: chunkEntries })
    this.#scans.add(iterator)
    try {
      let chunk: DatabaseEntry[] = []
      for await (const { key, value } of iterator) {
        chunk.push({ key: key.subarray(prefixBytes), value })
        if (chunk.length < chunkEntries) continue
        yield chunk
        this.#refuseIfClosed('a scan')
        chunk = []
      }
      if (chunk.length > 0) yield chunk
    } catch (error) {
      // Closing destroys the iterator, which says only that it was destroyed.
      this.#refuseIfClosed('a scan')
      throw this.#failed('a scan', error)
    } finally {
      this.#scans.delete(iterator)
      await snapshot.close()
    }
  }

  #change(operation: string, capacity: number, fill: (batch: WriteBatch) => Promise<void>): Promise<void> {
    return this.#run(operation, async () => {
      if (this.#failedWrite !== undefined) {
        const detail = `an earlier write failed (${detailOf(this.#failedWrite)}), so it must be opened anew first`
        throw new EngineError('store-failed', { path: this.#path, operation, detail })
      }
      const batch = this.#database.write({ capacity })
      try {
        await fill(batch)
        await batch.flush().catch((error: unknown) => {
          this.#failedWrite ??= error
          throw error
        })
      } finally {
        batch.destroy()
      }
    })
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
    if (error instanceof EngineError || error instanceof RangeError) return error
    return new EngineError(
      'store-failed',
      { path: this.#path, operation, detail: detailOf(error) },
      { cause: error },
    )
  }

  #prefix(space: string): Buffer {
    const known = this.#prefixes.get(space)
    if (known !== undefined) return known
    const name = spaceNameBytes(space)
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

function openError(path: string, error: unknown): unknown {
  if (error instanceof EngineError) return error
  const detail = detailOf(error)
  if (detail.startsWith('lock hold by')) {
    return new EngineError('store-locked', { path, holder: 'this process already' }, { cause: error })
  }
  if (/^(While lock file|Failed to create lock file)/.test(detail)) {
    return new EngineError('store-locked', { path, holder: holderOf(path) }, { cause: error })
  }
  return new EngineError('store-failed', { path, operation: 'opening', detail }, { cause: error })
}

/** The binding hides the reason of a failed batch in its cause. */
function detailOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
