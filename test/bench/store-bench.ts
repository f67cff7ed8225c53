import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { featureView } from '../../processors/feature/feature-view.ts'
import { ViewState } from '../../processors/feature/view-state.ts'
import type { DatabaseWrite } from '../../state/store/database.ts'
import { orderedStore } from '../../state/store/ordered-store.ts'
import { openRocksdbDatabase } from '../../state/store/rocksdb/rocksdb-database.ts'
import type { OrderedKey } from '../../state/store/state-store.ts'
import { count, days, event, hours, max, mean, min, minutes, sum } from '../../topology/index.ts'

/*
 * How fast the state stores are here, and the read of a window of 720 full
 * tiles: one JSON object a line, operations a second.
 *
 *     node --import tsx test/bench/store-bench.ts [entries]
 */

const entries = Number(process.argv[2] ?? 500_000)
const root = mkdtempSync(join(tmpdir(), 'headwater-store-bench-'))

/** A fixed permutation of 0 to 2^32 - 1, so that keys come in no order. */
const scattered = (index: number): number => Math.imul(index, 2_654_435_761) >>> 0

async function rate(what: string, count: number, work: () => void | Promise<void>): Promise<void> {
  const cpuBefore = process.cpuUsage()
  const start = process.hrtime.bigint()
  await work()
  const seconds = Number(process.hrtime.bigint() - start) / 1e9
  const { user, system } = process.cpuUsage(cpuBefore)
  const perSecond = Math.round(count / seconds)
  const cpuMicros = Math.round(((user + system) / count) * 100) / 100
  process.stdout.write(`${JSON.stringify({ what, count, perSecond, cpuMicros })}\n`)
}

async function rocksdb(): Promise<void> {
  const database = await openRocksdbDatabase({ path: join(root, 'rocksdb') })
  const key = (index: number): Buffer => {
    const bytes = Buffer.alloc(16)
    bytes.writeUInt32BE(scattered(index))
    return bytes
  }
  const value = Buffer.from(Array.from({ length: 100 }, (_, at) => scattered(at) & 0xff))
  const perBatch = 1_000
  await rate('RocksDB: write, batches of 1000, key 16 B, value 100 B', entries, async () => {
    for (let from = 0; from < entries; from += perBatch) {
      const batch: DatabaseWrite[] = []
      for (let index = from; index < Math.min(entries, from + perBatch); index++) {
        batch.push({ space: 'bench', key: key(index), value })
      }
      await database.write(batch)
    }
  })
  for (const perRead of [1, 100, 1_000]) {
    const reads = Math.ceil((perRead === 1 ? 5_000 : 100_000) / perRead)
    await rate(`RocksDB: getMany of ${perRead}, keys`, reads * perRead, async () => {
      for (let read = 0; read < reads; read++) {
        const keys = Array.from({ length: perRead }, (_, at) => key(scattered(read * perRead + at) % entries))
        await database.getMany('bench', keys)
      }
    })
  }
  await rate('RocksDB: scan, entries', entries, async () => {
    let seen = 0
    for await (const chunk of database.scan('bench')) seen += chunk.length
    if (seen !== entries) throw new RangeError(`${seen} entries, expected ${entries}`)
  })
  await database.close()
}

async function ordered(): Promise<void> {
  const database = await openRocksdbDatabase({ path: join(root, 'ordered') })
  for (const [parts, key] of [
    [1, (index: number): OrderedKey => [scattered(index)]],
    [2, (index: number): OrderedKey => [`entity-${scattered(index) % 5_000}`, index]],
  ] as const) {
    const name = `ordered store, keys of ${parts}`
    const store = orderedStore<{ count: number; sum: number }>(`bench-${parts}`)
    await rate(`${name}: put, new`, entries, () => {
      for (let index = 0; index < entries; index++) store.put(key(index), { count: index, sum: index / 3 })
    })
    await rate(`${name}: get, then put`, entries, () => {
      for (let index = 0; index < entries; index++) {
        const found = store.get(key(index))!
        store.put(key(index), { count: found.count + 1, sum: found.sum })
      }
    })
    await rate(`${name}: range over all`, entries, () => {
      for (const [, { count }] of store.range()) if (count < 0) throw new RangeError('no such count')
    })
    const writes: DatabaseWrite[] = []
    await rate(`${name}: collect`, entries, () => store.collect(writes))
    await rate(`${name}: write of all, one batch`, entries, () => database.write(writes))
    const restored = orderedStore(store.name)
    await rate(`${name}: restore`, entries, () => restored.restore(database))
  }
  await database.close()
}

/** Five features of one key over 30 days of hourly tiles, all of them full, read as each of its events comes. */
async function denseKey(): Promise<void> {
  const sale = event('sale', { shop: 'int', amount: 'double', at: 'timestamp' }, { key: 'shop', time: 'at' })
  const window = { over: days(30), hop: hours(1) }
  const view = featureView('shop', {
    entity: 'shop',
    owner: 'bench',
    description: 'What a busy shop took',
    features: {
      count: count(sale, window),
      sum: sum(sale, 'amount', window),
      mean: mean(sale, 'amount', window),
      min: min(sale, 'amount', window),
      max: max(sale, 'amount', window),
    },
  })
  const everyMs = minutes(1)
  const events = days(60) / everyMs
  const state = new ViewState(view)
  const vector = new Float64Array(state.featureNames.length)
  let nowMs = 1_700_000_000_000
  const fold = () => {
    state.update(sale.topic, nowMs, { shop: 1, amount: scattered(nowMs) % 1_000, at: nowMs })
    nowMs += everyMs
  }
  const read = (atMs: number) => state.readOne(1, atMs, vector, 0)
  // Twice the window: until all its tiles are full, and the code is compiled.
  for (let index = 0; index < events; index++) {
    fold()
    read(nowMs)
  }
  await rate('dense key: fold, no read', events / 2, () => {
    for (let index = 0; index < events / 2; index++) fold()
  })
  await rate('dense key: fold, then read 30 days in 720 tiles', events, () => {
    for (let index = 0; index < events; index++) {
      fold()
      read(nowMs)
    }
  })
  const reads = 1_000_000
  await rate('dense key: read 30 days in 720 tiles', reads, () => {
    for (let index = 0; index < reads; index++) read(nowMs + (index % everyMs))
  })
  const [counted] = vector
  const expected = days(30) / everyMs + minutes(60) / everyMs
  if (counted! > expected || counted! < expected - 61) throw new RangeError(`${counted} events in 30 days`)
}

try {
  await denseKey()
  await rocksdb()
  await ordered()
} finally {
  rmSync(root, { recursive: true, force: true })
}
