import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../../../../state/store/database.ts'
import { openRocksdbDatabase } from '../../../../state/store/rocksdb/rocksdb-database.ts'
import { databaseSuite } from '../../../conformance/database.suite.ts'
import { spawnHolder } from '../../../support/store-children.ts'

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

  it('is refused while this process has it open, and can be opened when it is closed', async () => {
    const path = folder()
    const first = await openRocksdbDatabase({ path })
    await expect(openRocksdbDatabase({ path })).rejects.toMatchObject({
      code: 'store-locked',
      context: { path, holder: 'this process already' },
    })
    await first.close()
    await (await openRocksdbDatabase({ path })).close()
  })

  it('is refused while another process has it open, and the error names that process', async () => {
    const path = folder()
    const holder = spawnHolder(path)
    try {
      await holder.opened
      await expect(openRocksdbDatabase({ path })).rejects.toMatchObject({
        code: 'store-locked',
        retriable: true,
        context: { path, holder: `process ${holder.pid}` },
      })
      rmSync(join(path, 'PID'))
      await expect(openRocksdbDatabase({ path })).rejects.toMatchObject({
        context: { path, holder: `another process (lsof ${join(path, 'LOCK')} names it)` },
      })
    } finally {
      await holder.kill()
    }
    // The lock of a dead process is no lock.
    await (await openRocksdbDatabase({ path })).close()
  })

  it('does not take a path with "lock" in it for a lock', async () => {
    const path = join(folder(), 'block', 'clock')
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, '')
    await expect(openRocksdbDatabase({ path })).rejects.toMatchObject({ code: 'store-failed' })
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

  it("is refused when its version cannot be read, and another program's database is left alone", async () => {
    const path = folder()
    await (await openRocksdbDatabase({ path })).close()
    writeFileSync(join(path, 'FORMAT'), '')
    await expect(openRocksdbDatabase({ path })).rejects.toMatchObject({
      code: 'store-failed',
      context: { operation: 'opening', detail: expect.stringContaining('FORMAT says ""') },
    })
    rmSync(join(path, 'FORMAT'))
    await expect(openRocksdbDatabase({ path })).rejects.toMatchObject({
      code: 'store-failed',
      context: { operation: 'opening', detail: expect.stringContaining('another program wrote it') },
    })
  })

  // An administrator may write anywhere, so there is no such folder for one.
  it.skipIf(process.getuid?.() === 0)('says that it may not be written to', async () => {
    const path = folder()
    await (await openRocksdbDatabase({ path })).close()
    chmodSync(path, 0o555)
    try {
      await expect(openRocksdbDatabase({ path })).rejects.toMatchObject({
        code: 'store-failed',
        context: { path, operation: 'opening', detail: expect.stringMatching(/permission denied/i) },
      })
    } finally {
      chmodSync(path, 0o755)
    }
  })

  it('has a cleared space empty and the others whole when it is opened again', async () => {
    const path = folder()
    const first = await openRocksdbDatabase({ path })
    const write = (space: string) => ({ space, key: Buffer.from('k'), value: Buffer.from(space) })
    await first.write([write('a'), write('aa'), write('b')])
    await first.clear('a')
    await first.close()
    const second = await openRocksdbDatabase({ path })
    const found = await Promise.all(
      ['a', 'aa', 'b'].map((space) => second.getMany(space, [Buffer.from('k')])),
    )
    expect(found.map(([value]) => value && Buffer.from(value).toString())).toEqual([undefined, 'aa', 'b'])
    await second.close()
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
