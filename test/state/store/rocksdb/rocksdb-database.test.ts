import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../../../../state/store/database.ts'
import { openRocksdbDatabase } from '../../../../state/store/rocksdb/rocksdb-database.ts'
import { databaseSuite } from '../../../conformance/database.suite.ts'

let root = ''
let folders = 0
const folder = () => join(root, String(folders++))

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-rocksdb-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

databaseSuite(() => openRocksdbDatabase({ path: folder() }))

describe('a RocksDB folder', () => {
  const text = async (database: Database, key: string) => {
    const [value] = await database.getMany('a', [Buffer.from(key)])
    return value && Buffer.from(value).toString()
  }

  it('has everything again when it is opened again', async () => {
    const path = folder()
    const first = await openRocksdbDatabase({ path })
    await first.write([{ space: 'a', key: Buffer.from('k'), value: Buffer.from('v') }])
    await first.close()
    const second = await openRocksdbDatabase({ path })
    expect(await text(second, 'k')).toBe('v')
    await second.close()
  })

  it('is refused while it is open, and the error names it', async () => {
    const path = folder()
    const first = await openRocksdbDatabase({ path })
    await expect(openRocksdbDatabase({ path })).rejects.toMatchObject({
      code: 'store-locked',
      context: { path },
    })
    await first.close()
  })

  it('is refused when a newer version wrote it, and stays as it is', async () => {
    const path = folder()
    await (await openRocksdbDatabase({ path })).close()
    expect(readFileSync(join(path, 'FORMAT'), 'utf8')).toBe('1\n')
    writeFileSync(join(path, 'FORMAT'), '2\n')
    await expect(openRocksdbDatabase({ path })).rejects.toMatchObject({
      code: 'store-newer-format',
      context: { found: 2, supported: 1 },
    })
    expect(readFileSync(join(path, 'FORMAT'), 'utf8')).toBe('2\n')
  })

  it('says what is wrong with a path that is a file', async () => {
    const path = folder()
    writeFileSync(path, '')
    await expect(openRocksdbDatabase({ path })).rejects.toMatchObject({
      code: 'store-failed',
      context: { path, operation: 'opening' },
    })
  })
})
