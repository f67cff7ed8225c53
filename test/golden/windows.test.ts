import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { StreamDriver } from '../../processors/stream/stream-driver.ts'
import type { Database } from '../../state/store/database.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'
import { openRocksdbDatabase } from '../../state/store/rocksdb/rocksdb-database.ts'
import { runWindowCase, windowCases } from './window-cases.ts'

const folder = mkdtempSync(join(tmpdir(), 'headwater-windows-'))
const open: Database[] = []

afterAll(async () => {
  for (const database of open) await database.close()
  rmSync(folder, { recursive: true, force: true })
})

async function inMemory(driver: StreamDriver): Promise<Database> {
  const database = memoryDatabase()
  await driver.save(database)
  return database
}

async function onDisk(path: string, driver: StreamDriver): Promise<Database> {
  const database = await openRocksdbDatabase({ path })
  await driver.save(database)
  await database.close()
  const reopened = await openRocksdbDatabase({ path })
  open.push(reopened)
  return reopened
}

describe('golden windows, joins, timers and tables', () => {
  for (const each of windowCases()) {
    it(`${each.id} gives what ${each.project} gives`, async () => {
      const { status, got, expected } = await runWindowCase(each)
      expect(got).toEqual(expected)
      expect(status).toBe('passed')
    })

    it(`${each.id} gives the same with its state saved to memory and restored in the middle`, async () => {
      const { status, got, expected } = await runWindowCase(each, inMemory)
      expect(got).toEqual(expected)
      expect(status).toBe('passed')
    })

    it(`${each.id} gives the same with its state on disk, closed and opened in the middle`, async () => {
      const { status, got, expected } = await runWindowCase(each, (driver) =>
        onDisk(join(folder, each.id), driver),
      )
      expect(got).toEqual(expected)
      expect(status).toBe('passed')
    })
  }
})
