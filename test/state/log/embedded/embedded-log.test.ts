import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openEmbeddedLog } from '../../../../state/log/embedded/embedded-log.ts'
import { verifyLog } from '../../../../state/log/embedded/verify.ts'
import { logSuite } from '../../../conformance/log.suite.ts'
import { readAll, writeRecord } from '../../../support/log-records.ts'

let root = ''
let folders = 0
const folder = () => join(root, String(folders++))
const now = () => 1_000

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-log-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const sizes = [
  ['with the default sizes', {}],
  ['with tiny segments and no tail in memory', { segmentBytes: 6_000, tailBytes: 0 }],
] as const

for (const [name, tuning] of sizes) {
  logSuite(`embedded, ${name}`, async () => {
    const path = folder()
    const log = await openEmbeddedLog({ path, now, ...tuning })
    let current = log
    return {
      log,
      reopen: async () => {
        await current.close()
        current = await openEmbeddedLog({ path, now, ...tuning })
        return current
      },
    }
  })
}

describe('an embedded log', () => {
  const append = async (path: string, values: readonly string[], tuning = {}) => {
    const log = await openEmbeddedLog({ path, now, ...tuning })
    await log.createTopic({ name: 'a', partitions: 1 })
    const writer = await log.writer('test')
    for (const [index, value] of values.entries()) {
      writeRecord(writer, 'a', 0, { key: 'k', value, timestampMs: index })
      await (await writer.commit()).durable
    }
    return { log, writer }
  }

  test('is refused to a second writer, with the name of the first', async () => {
    const path = folder()
    const { log } = await append(path, ['v'])
    await expect(openEmbeddedLog({ path, now })).rejects.toMatchObject({
      code: 'log-locked',
      context: { holder: expect.stringContaining(`process ${process.pid} on `) },
    })
    await log.close()
    await (await openEmbeddedLog({ path, now })).close()
  })

  test('can be read beside its writer, and the reader sees what comes', async () => {
    const path = folder()
    const { log, writer } = await append(path, ['v0'], { segmentBytes: 600 })
    const reader = await openEmbeddedLog({ path, now, readOnly: true })
    expect((await readAll(reader, 'a', 0)).map(({ value }) => value)).toEqual(['v0'])
    const appended = reader.appended(new AbortController().signal)
    for (let index = 1; index < 40; index++) {
      writeRecord(writer, 'a', 0, { key: 'k', value: `v${index}`, timestampMs: index })
      await writer.commit()
    }
    await appended
    expect((await readAll(reader, 'a', 0)).map(({ value }) => value)).toEqual(
      Array.from({ length: 40 }, (_, index) => `v${index}`),
    )
    expect(readdirSync(path).filter((name) => name.endsWith('.log')).length).toBeGreaterThan(3)
    await reader.createTopic({ name: 'a', partitions: 1 })
    await expect(reader.createTopic({ name: 'a', partitions: 2 })).rejects.toMatchObject({
      code: 'topic-mismatch',
    })
    await expect(reader.createTopic({ name: 'b', partitions: 1 })).rejects.toMatchObject({
      code: 'log-read-only',
    })
    await reader.close()
    await log.close()
  })

  test('is whole to verify, with the counts of what it holds', async () => {
    const path = folder()
    const { log } = await append(path, ['v0', 'v1', 'v2'])
    await log.close()
    const report = await verifyLog({ path })
    expect(report).toMatchObject({ segments: 1, records: 3, tornBytes: 0 })
    expect(report.damage).toBeUndefined()
    appendFileSync(join(path, '0000000000000001.log'), 'half a frame')
    expect(await verifyLog({ path })).toMatchObject({ records: 3, tornBytes: 12 })
  })
})
