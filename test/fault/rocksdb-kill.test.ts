import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openRocksdbDatabase } from '../../state/store/rocksdb/rocksdb-database.ts'
import { stateOf } from '../support/numbered-batches.ts'
import { seeded } from '../support/shop-topology.ts'
import { fillLimited, spawnWriter } from '../support/store-children.ts'

/** `STORE_KILLS=200 npx vitest run test/fault/rocksdb-kill.test.ts` for a long run. */
const kills = Number(process.env['STORE_KILLS'] ?? 8)
const seed = Number(process.env['STORE_SEED'] ?? 20_261_123)

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-store-kill-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

test(`${kills} kills leave every batch whole or absent, and every acknowledged one there`, {
  timeout: 60_000 + kills * 5_000,
}, async () => {
  const random = seeded(seed)
  const path = join(root, 'killed')
  let next = 0
  for (let kill = 0; kill < kills; kill++) {
    const child = spawnWriter(path, next)
    await child.opened
    await sleep(Math.floor(random() * 150))
    await child.kill()
    const acknowledged = child.lines.length === 0 ? next - 1 : Number(child.lines.at(-1))
    const database = await openRocksdbDatabase({ path })
    const { last, found, expected } = await stateOf(database, 40)
    await database.close()
    expect(found).toEqual(expected)
    expect(last).toBeGreaterThanOrEqual(acknowledged)
    next = last + 1
  }
  // Kills before the first batch prove nothing.
  expect(next).toBeGreaterThan(kills * 10)
})

test('a disk that fills up refuses further writes, keeps what was acknowledged and is whole when opened anew', async () => {
  const path = join(root, 'full')
  const report = JSON.parse(await fillLimited(path, 10_000, 1_024)) as { readonly written: number }
  expect(report).toMatchObject({
    errors: ['store-failed', 'store-failed', 'store-failed'],
    detail: expect.stringContaining('opened anew'),
    lastIsThere: true,
  })
  expect(report.written).toBeGreaterThan(20)
  const database = await openRocksdbDatabase({ path })
  const { last, found, expected } = await stateOf(database, 2_000)
  await database.close()
  expect(last).toBe(report.written - 1)
  expect(found).toEqual(expected)
})
