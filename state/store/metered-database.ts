import type { Database, DatabaseEntry, DatabaseWrite, KeyRange } from './database.ts'

/** One finished call on a database. */
export interface DatabaseOperation {
  readonly operation: 'getMany' | 'scan' | 'write' | 'clear'
  /** Keys asked for, entries given, writes in the batch; 0 for a clear. */
  readonly entries: number
  /** Of keys and values, both ways. */
  readonly bytes: number
  /** From the call to the result; for a scan the time that its chunks were waited for, without the reader's own. */
  readonly ms: number
  /** It ended in an error; `entries` and `bytes` count what was asked or given before. */
  readonly isFailed: boolean
}

/**
 * The same database, which tells `observe` of every call when it is done.
 * `nowMs` is a clock that never goes back. A scan is told of when it ends or
 * its reader leaves it, and not at all if nobody reads it. Closing is not
 * counted.
 */
export function meteredDatabase(
  database: Database,
  observe: (operation: DatabaseOperation) => void,
  nowMs: () => number,
): Database {
  return new MeteredDatabase(database, observe, nowMs)
}

class MeteredDatabase implements Database {
  readonly #database: Database
  readonly #observe: (operation: DatabaseOperation) => void
  readonly #nowMs: () => number

  constructor(database: Database, observe: (operation: DatabaseOperation) => void, nowMs: () => number) {
    this.#database = database
    this.#observe = observe
    this.#nowMs = nowMs
  }

  getMany(space: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    let bytes = 0
    for (const key of keys) bytes += key.length
    return this.#time(
      'getMany',
      keys.length,
      bytes,
      () => this.#database.getMany(space, keys),
      (values) => {
        let found = 0
        for (const value of values) found += value?.length ?? 0
        return found
      },
    )
  }

  scan(space: string, range?: KeyRange): AsyncIterable<readonly DatabaseEntry[]> {
    // Called now and read later: a scan is a snapshot of the moment of the call.
    return this.#chunks(this.#database.scan(space, range))
  }

  write(batch: readonly DatabaseWrite[]): Promise<void> {
    let bytes = 0
    for (const { key, value } of batch) bytes += key.length + (value?.length ?? 0)
    return this.#time('write', batch.length, bytes, () => this.#database.write(batch))
  }

  clear(space: string): Promise<void> {
    return this.#time('clear', 0, 0, () => this.#database.clear(space))
  }

  close(): Promise<void> {
    return this.#database.close()
  }

  async #time<Result>(
    operation: DatabaseOperation['operation'],
    entries: number,
    bytes: number,
    call: () => Promise<Result>,
    bytesOf: (result: Result) => number = () => 0,
  ): Promise<Result> {
    const start = this.#nowMs()
    let isFailed = true
    let given = 0
    try {
      const result = await call()
      given = bytesOf(result)
      isFailed = false
      return result
    } finally {
      this.#observe({ operation, entries, bytes: bytes + given, ms: this.#nowMs() - start, isFailed })
    }
  }

  async *#chunks(scan: AsyncIterable<readonly DatabaseEntry[]>): AsyncGenerator<readonly DatabaseEntry[]> {
    let entries = 0
    let bytes = 0
    let ms = 0
    let isFailed = true
    let since = this.#nowMs()
    try {
      for await (const chunk of scan) {
        ms += this.#nowMs() - since
        entries += chunk.length
        for (const { key, value } of chunk) bytes += key.length + value.length
        // Leaving at the yield is no failure, whatever follows it.
        isFailed = false
        yield chunk
        isFailed = true
        since = this.#nowMs()
      }
      ms += this.#nowMs() - since
      isFailed = false
    } finally {
      this.#observe({ operation: 'scan', entries, bytes, ms, isFailed })
    }
  }
}
