import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseWrite } from '../../state/store/database.ts'
import { orderedStore } from '../../state/store/ordered-store.ts'
import { openRocksdbDatabase } from '../../state/store/rocksdb/rocksdb-database.ts'
import type { OrderedKey } from '../../state/store/state-store.ts'

/*
 * How fast the state stores are here: one JSON object a line, operations a
 * second.
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

try {
  await rocksdb()
  await ordered()
} finally {
  rmSync(root, { recursive: true, force: true })
}
