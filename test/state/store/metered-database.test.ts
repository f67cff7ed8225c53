import { describe, expect, it } from 'vitest'
import type { Database, DatabaseEntry } from '../../../state/store/database.ts'
import { memoryDatabase } from '../../../state/store/memory/memory-database.ts'
import { type DatabaseOperation, meteredDatabase } from '../../../state/store/metered-database.ts'
import { databaseSuite } from '../../conformance/database.suite.ts'

databaseSuite(async () =>
  meteredDatabase(
    memoryDatabase(),
    () => {},
    () => 0,
  ),
)

const bytes = (text: string) => Buffer.from(text)

/** A database on a clock that only its calls move: each takes as many milliseconds as it is told. */
function metered(costMs: number): {
  readonly database: Database
  readonly seen: DatabaseOperation[]
  readonly wait: (ms: number) => void
} {
  const seen: DatabaseOperation[] = []
  const inner = memoryDatabase()
  let now = 1_000
  const slow = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    now += 1
    await Promise.resolve()
    now += costMs - 1
    return work()
  }
  const database: Database = {
    getMany: (space, keys) => slow(() => inner.getMany(space, keys)),
    async *scan(space, range) {
      for await (const chunk of inner.scan(space, range)) {
        now += costMs
        yield chunk
      }
    },
    write: (batch) => slow(() => inner.write(batch)),
    clear: (space) => slow(() => inner.clear(space)),
    close: () => inner.close(),
  }
  const wait = (ms: number) => {
    now += ms
  }
  return {
    database: meteredDatabase(
      database,
      (each) => seen.push(each),
      () => now,
    ),
    seen,
    wait,
  }
}

describe('a metered database', () => {
  it('tells of entries, bytes and time, call by call', async () => {
    const { database, seen } = metered(5)
    await database.write([
      { space: 'a', key: bytes('k1'), value: bytes('value') },
      { space: 'a', key: bytes('k2') },
    ])
    await database.getMany('a', [bytes('k1'), bytes('k2')])
    await database.clear('a')
    expect(seen).toEqual([
      { operation: 'write', entries: 2, bytes: 9, ms: 5, isFailed: false },
      { operation: 'getMany', entries: 2, bytes: 9, ms: 5, isFailed: false },
      { operation: 'clear', entries: 0, bytes: 0, ms: 5, isFailed: false },
    ])
  })

  it('counts of a scan what was read, without the time that its reader took', async () => {
    const { database, seen, wait } = metered(3)
    await database.write(
      Array.from({ length: 600 }, (_, index) => ({
        space: 'a',
        key: Buffer.of(index >> 8, index & 255),
        value: bytes('v'),
      })),
    )
    seen.length = 0
    const sizes: number[] = []
    const read = async (until: (chunk: readonly DatabaseEntry[]) => boolean) => {
      for await (const chunk of database.scan('a')) {
        sizes.push(chunk.length)
        wait(100)
        if (until(chunk)) break
      }
    }
    await read(() => false)
    await read(() => true)
    expect(sizes).toEqual([512, 88, 512])
    expect(seen).toEqual([
      { operation: 'scan', entries: 600, bytes: 1_800, ms: 6, isFailed: false },
      { operation: 'scan', entries: 512, bytes: 1_536, ms: 3, isFailed: false },
    ])
  })

  it('tells of what failed, and lets the error through', async () => {
    const { database, seen } = metered(2)
    await database.close()
    await expect(database.getMany('a', [bytes('k')])).rejects.toMatchObject({ code: 'store-failed' })
    await expect(database.scan('a')[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'store-failed',
    })
    expect(seen).toEqual([
      { operation: 'getMany', entries: 1, bytes: 1, ms: 2, isFailed: true },
      { operation: 'scan', entries: 0, bytes: 0, ms: 0, isFailed: true },
    ])
  })
})
