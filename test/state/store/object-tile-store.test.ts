import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Database, DatabaseWrite } from '../../../state/store/database.ts'
import { memoryDatabase } from '../../../state/store/memory/memory-database.ts'
import type { ObjectTileLayout } from '../../../state/store/object-tile-layout.ts'
import { ObjectTileStore } from '../../../state/store/object-tile-store.ts'
import type { PackedKey } from '../../../state/store/packed-key.ts'
import { openRocksdbDatabase } from '../../../state/store/rocksdb/rocksdb-database.ts'

const hopMs = 10
const disorderMs = 15
const windowMs = 60

/** Every value of the window in ascending order, so that a lost or doubled one shows. */
const values: ObjectTileLayout = {
  id: 'values',
  hopMs,
  retentionMs: windowMs,
  disorderMs,
  init: () => [[]],
  add(states, [input]) {
    const list = states[0] as number[]
    list.push(input as number)
    list.sort((a, b) => a - b)
  },
  merge: ([older], [newer]) => [[...(older as number[]), ...(newer as number[])].sort((a, b) => a - b)],
  write([list], out) {
    for (const value of list as number[]) out.varint(value)
  },
  // Values below 64 take one byte, zigzag.
  read: (bytes) => [Array.from(bytes, (byte) => byte >> 1)],
}

interface Event {
  readonly key: number
  readonly atMs: number
  readonly value: number
}

/** In order of arrival, each at most the disorder behind the newest. */
const events = fc
  .array(
    fc.record({
      key: fc.integer({ min: 1, max: 6 }),
      stepMs: fc.integer({ min: 0, max: 12 }),
      lateMs: fc.integer({ min: 0, max: disorderMs }),
      value: fc.integer({ min: 0, max: 63 }),
    }),
    { minLength: 20, maxLength: 60 },
  )
  .map((steps) => {
    let nowMs = 1_000
    return steps.map(({ key, stepMs, lateMs, value }): Event => {
      nowMs += stepMs
      return { key, atMs: nowMs - lateMs, value }
    })
  })

const start = (maxKeys: number) =>
  new ObjectTileStore({ name: 'values', layout: values, keyParts: 1, maxKeys })

async function checkpoint(store: ObjectTileStore, database: Database): Promise<void> {
  const writes: DatabaseWrite[] = []
  store.collect(writes)
  await database.write(writes)
  store.evict()
}

/** Stops after `stopAt` events, opens the database again and folds the rest. */
async function windowsOf(
  fed: readonly Event[],
  stopAt: number,
  maxKeys: number,
  open: () => Promise<Database>,
  isKept: boolean,
): Promise<unknown> {
  let database = await open()
  let store = start(maxKeys)
  const prefetch = async (key: number): Promise<void> => {
    if (store.isMissing(key as PackedKey)) await store.prefetch(database, [key as PackedKey])
  }
  for (const [index, { key, atMs, value }] of fed.entries()) {
    if (index === stopAt) {
      await checkpoint(store, database)
      if (!isKept) {
        await database.close()
        database = await open()
      }
      store = start(maxKeys)
      await store.restore(database)
    } else if (index % 7 === 0) await checkpoint(store, database)
    await prefetch(key)
    store.add(key as PackedKey, atMs, [value])
  }
  const read: unknown[] = []
  for (const key of [1, 2, 3, 4, 5, 6]) {
    await prefetch(key)
    read.push(store.readWindow(key as PackedKey, askedAt(fed, key), windowMs)?.states[0] ?? [])
  }
  await database.close()
  return read
}

const askedAt = (fed: readonly Event[], key: number): number =>
  Math.max(0, ...fed.filter((each) => each.key === key).map(({ atMs }) => atMs)) + 1

const expected = (fed: readonly Event[]): unknown =>
  [1, 2, 3, 4, 5, 6].map((key) => {
    const beforeMs = askedAt(fed, key)
    const fromMs = Math.floor((beforeMs - windowMs) / hopMs) * hopMs
    return fed
      .filter((each) => each.key === key && each.atMs >= fromMs && each.atMs < beforeMs)
      .map(({ value }) => value)
      .sort((a, b) => a - b)
  })

for (const maxKeys of [2, 100]) {
  it(`windows hold exactly their events after a restart in memory with ${maxKeys} keys at a time`, async () => {
    await fc.assert(
      fc.asyncProperty(events, fc.nat(19), async (fed, stopAt) => {
        const database = memoryDatabase()
        const got = await windowsOf(fed, stopAt, maxKeys, async () => database, true)
        expect(got).toEqual(expected(fed))
      }),
      { numRuns: 60 },
    )
  })

  it(`windows hold exactly their events after RocksDB was closed and opened with ${maxKeys} keys at a time`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'headwater-object-tiles-'))
    let runs = 0
    try {
      await fc.assert(
        fc.asyncProperty(events, fc.nat(19), async (fed, stopAt) => {
          const path = join(folder, `${runs++}`)
          const got = await windowsOf(fed, stopAt, maxKeys, () => openRocksdbDatabase({ path }), false)
          expect(got).toEqual(expected(fed))
        }),
        { numRuns: 8 },
      )
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
}
