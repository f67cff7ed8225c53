import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Database } from '../../state/store/database.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'
import { openRocksdbDatabase } from '../../state/store/rocksdb/rocksdb-database.ts'
import { pointInTimeCases, runPointInTimeCase } from './point-in-time-cases.ts'
import type { DatabaseOf } from './view-runs.ts'

const folder = mkdtempSync(join(tmpdir(), 'headwater-point-in-time-'))
const open: Database[] = []

afterAll(async () => {
  for (const database of open) await database.close()
  rmSync(folder, { recursive: true, force: true })
})

const inMemory: DatabaseOf = async (save) => {
  const database = memoryDatabase()
  await save(database)
  return database
}

const onDisk =
  (path: string): DatabaseOf =>
  async (save) => {
    const database = await openRocksdbDatabase({ path })
    await save(database)
    await database.close()
    const reopened = await openRocksdbDatabase({ path })
    open.push(reopened)
    return reopened
  }

/** What feature views cannot be asked; each other case has an answer. */
const notApplicable = [
  'chronon.psi_kll',
  'chronon.label_window.offsets',
  'metarank.diversity.numeric',
  'metarank.diversity.strings',
]

describe('golden reads at a point in time', () => {
  for (const each of pointInTimeCases()) {
    it(`${each.id} is read as expected, with and without a restart in the middle`, async () => {
      const plain = await runPointInTimeCase(each)
      const status = notApplicable.includes(each.id) ? 'not-applicable' : 'passed'
      expect(plain).toMatchObject({ status })
      if (status === 'not-applicable') return
      expect(await runPointInTimeCase(each, inMemory)).toEqual(plain)
      expect(await runPointInTimeCase(each, onDisk(join(folder, each.id)))).toEqual(plain)
    })
  }
})
