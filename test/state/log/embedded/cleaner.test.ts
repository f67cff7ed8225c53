import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CleaningReport } from '../../../../state/log/embedded/cleaner.ts'
import { type EmbeddedLogOptions, openEmbeddedLog } from '../../../../state/log/embedded/embedded-log.ts'
import { verifyLog } from '../../../../state/log/embedded/verify.ts'
import type { Log, LogWriter } from '../../../../state/log/log.ts'
import { LogFolders, segmentsIn } from '../../../support/log-folders.ts'
import { type LoggedRecord, readAll, writeRecord } from '../../../support/log-records.ts'

let folders: LogFolders
beforeAll(() => {
  folders = new LogFolders()
})
afterAll(() => folders.remove())

const tableSpec = { name: 'table', partitions: 2, compacted: true }

/** Commits until a cleaning has freed something, and gives back what it said. */
async function untilCleaned(reports: readonly CleaningReport[], step: () => Promise<void>): Promise<void> {
  const before = reports.length
  for (let tries = 0; reports.length === before; tries++) {
    if (tries > 5_000) throw new Error('nothing was cleaned')
    await step()
    await delay(0)
  }
}

interface Opened {
  readonly log: Log
  readonly writer: LogWriter
  readonly reports: CleaningReport[]
  readonly failures: unknown[]
}

async function open(path: string, tuning: Partial<EmbeddedLogOptions> = {}): Promise<Opened> {
  const reports: CleaningReport[] = []
  const failures: unknown[] = []
  const log = await openEmbeddedLog({
    path,
    now: () => 1_000,
    segmentBytes: 4_000,
    tailBytes: 0,
    onCleaned: (report) => reports.push(report),
    onCleaningFailed: (error) => failures.push(error),
    ...tuning,
  })
  return { log, writer: await log.writer('test'), reports, failures }
}

/** The last value of every key of a partition; a tombstone takes its key away. */
const fold = (records: readonly LoggedRecord[]): Record<string, string> => {
  const table: Record<string, string> = {}
  for (const { key, value } of records) {
    if (value === null) delete table[key!]
    else table[key!] = value
  }
  return table
}

/** All of a partition, what lies from `offset` on, and where its time is, with no cleaning in between. */
async function readAtOnce(log: Log, partition: number, offset: number) {
  for (;;) {
    const kept = await readAll(log, 'table', partition, 0)
    const later = await readAll(log, 'table', partition, offset, 200)
    const atTime = await log.offsetForTime('table', partition, offset * 10)
    if ((await readAll(log, 'table', partition, 0)).length === kept.length) return { kept, later, atTime }
  }
}

describe('cleaning', () => {
  test('keeps the last record of every key at its offset, and gives space back', async () => {
    const path = folders.fresh()
    const { log, writer, reports } = await open(path)
    await log.createTopic(tableSpec)
    const written: LoggedRecord[] = []
    const step = async () => {
      for (let index = 0; index < 10; index++) {
        const offset = written.length
        const record = { key: `k${offset % 7}`, value: `v${offset}`, timestampMs: offset }
        writeRecord(writer, 'table', 1, record)
        written.push({ ...record, offset, headers: [] })
      }
      await writer.commit()
    }
    await untilCleaned(reports, step)
    await untilCleaned(reports, step)
    const kept = await readAll(log, 'table', 1, 0)
    expect(kept.length).toBeLessThan(written.length / 2)
    for (const record of kept) expect(record).toEqual(written[record.offset])
    expect(fold(kept)).toEqual(fold(written))
    expect(await log.offsets('table', 1)).toEqual({ start: 0n, end: BigInt(written.length) })
    for (const { before, after } of reports) expect(after).toBeLessThan(before)
    await log.close()
    const again = await open(path)
    expect(await readAll(again.log, 'table', 1, 0)).toEqual(kept)
    // Every offset can be read from, those of dropped records too.
    for (let from = 0; from < written.length; from += 13) {
      const expected = kept.filter(({ offset }) => offset >= from)
      expect(await readAll(again.log, 'table', 1, from, 300)).toEqual(expected)
    }
    await again.log.close()
    expect((await verifyLog({ path })).damage).toBeUndefined()
  })

  test('drops an old tombstone only when nothing is left for it to hide', async () => {
    const { log, writer, reports } = await open(folders.fresh(), { tombstoneMs: 0, now: () => Date.now() })
    await log.createTopic(tableSpec)
    writeRecord(writer, 'table', 0, { key: 'gone', value: 'v', timestampMs: 1 })
    await writer.commit()
    let time = 1
    const fill = async () => {
      time++
      for (let index = 0; index < 10; index++) {
        writeRecord(writer, 'table', 0, { key: 'other', value: `${time}`, timestampMs: time })
      }
      await writer.commit()
    }
    const ofGone = async () =>
      (await readAll(log, 'table', 0, 0)).filter(({ key }) => key === 'gone').map(({ value }) => value)
    for (let count = 0; count < 30; count++) await fill()
    writeRecord(writer, 'table', 0, { key: 'gone', value: null, timestampMs: 2 })
    await writer.commit()
    const states = [await ofGone()]
    for (let count = 0; count < 1_000 && states.at(-1)!.length > 0; count++) {
      await fill()
      await delay(0)
      const state = await ofGone()
      if (state.length !== states.at(-1)!.length) states.push(state)
    }
    expect(states).toEqual([['v', null], [null], []])
    expect(reports.length).toBeGreaterThan(1)
    await log.close()
  })

  test('takes the place of deleted topics, and of what retention dropped, out of segments that others live in', async () => {
    const path = folders.fresh()
    const { log, writer, reports } = await open(path)
    for (const name of ['kept', 'big']) await log.createTopic({ name, partitions: 1 })
    for (let index = 0; index < 40; index++) {
      writeRecord(writer, 'kept', 0, { key: 'k', value: `${index}`, timestampMs: index })
      writeRecord(writer, 'big', 0, { key: 'k', value: 'x'.repeat(900), timestampMs: index })
      await writer.commit()
    }
    const before = await readAll(log, 'kept', 0)
    const count = segmentsIn(path).length
    await log.deleteTopic('big')
    await untilCleaned(reports, async () => {})
    expect(segmentsIn(path).length).toBeLessThan(count / 2)
    expect(await readAll(log, 'kept', 0)).toEqual(before)
    await log.close()
    const again = await open(path)
    expect(await readAll(again.log, 'kept', 0)).toEqual(before)
    await again.log.close()
    expect((await verifyLog({ path })).damage).toBeUndefined()
  })

  test('retention by size and by time moves the start up and removes whole segments', async () => {
    const path = folders.fresh()
    const { log, writer } = await open(path)
    await log.createTopic({ name: 'sized', partitions: 1, retentionBytes: 6_000 })
    await log.createTopic({ name: 'timed', partitions: 1, retentionMs: 10 })
    for (let index = 0; index < 60; index++) {
      for (const name of ['sized', 'timed']) {
        writeRecord(writer, name, 0, { key: 'k', value: 'x'.repeat(300), timestampMs: index })
      }
      await writer.commit()
    }
    for (const name of ['sized', 'timed']) {
      const { start, end } = await log.offsets(name, 0)
      expect(end).toBe(60n)
      expect(start).toBeGreaterThan(30n)
      expect((await readAll(log, name, 0)).map(({ offset }) => offset)).toEqual(
        Array.from({ length: Number(end - start) }, (_, index) => Number(start) + index),
      )
      await expect(
        log.read({ topic: name, partition: 0, offset: start - 1n, maxBytes: 1 }),
      ).rejects.toMatchObject({ code: 'offset-out-of-range' })
    }
    // The newest record of a topic with retention by time is 59, so 49 must still be there.
    expect((await log.offsets('timed', 0)).start).toBeLessThanOrEqual(49n)
    const starts = await Promise.all(['sized', 'timed'].map((name) => log.offsets(name, 0)))
    await log.close()
    expect(segmentsIn(path).length).toBeLessThan(10)
    const again = await open(path)
    expect(await Promise.all(['sized', 'timed'].map((name) => again.log.offsets(name, 0)))).toEqual(starts)
    await again.log.close()
  })

  test('leaves a log that can be opened after every commit, whatever was removed since the last snapshot', async () => {
    const path = folders.fresh()
    const { log, writer } = await open(path, { segmentBytes: 2_000 })
    await log.createTopic({ name: 'short', partitions: 1, retentionBytes: 1_500 })
    let removals = 0
    for (let time = 0; time < 60; time++) {
      writeRecord(writer, 'short', 0, { key: 'k', value: 'y'.repeat(200), timestampMs: time })
      await writer.commit()
      await delay(1)
      const copy = folders.copy(path)
      if (!segmentsIn(copy).includes('0000000000000001.log')) removals++
      expect((await verifyLog({ path: copy })).damage).toBeUndefined()
      const again = await openEmbeddedLog({ path: copy, now: () => 0 })
      expect((await readAll(again, 'short', 0)).at(-1)).toMatchObject({ offset: time })
      expect(await again.offsets('short', 0)).toEqual(await log.offsets('short', 0))
      await again.close()
    }
    expect(removals).toBeGreaterThan(10)
    await log.close()
  })

  test('a reader beside the writer survives cleaning and retention', async () => {
    const path = folders.fresh()
    const { log, writer, reports } = await open(path)
    await log.createTopic(tableSpec)
    await log.createTopic({ name: 'short', partitions: 1, retentionBytes: 3_000 })
    const reader = await openEmbeddedLog({ path, now: () => 0, readOnly: true })
    let time = 0
    const step = async () => {
      for (let index = 0; index < 10; index++, time++) {
        writeRecord(writer, 'table', 0, { key: `k${time % 5}`, value: `${time}`, timestampMs: time })
        writeRecord(writer, 'short', 0, { key: 'k', value: `${time}`, timestampMs: time })
      }
      await writer.commit()
    }
    for (let round = 0; round < 6; round++) {
      await untilCleaned(reports, step)
      expect(fold(await readAll(reader, 'table', 0, 0))).toEqual(fold(await readAll(log, 'table', 0, 0)))
      expect(await reader.offsets('short', 0)).toEqual(await log.offsets('short', 0))
      expect(await readAll(reader, 'short', 0)).toEqual(await readAll(log, 'short', 0))
    }
    await reader.close()
    await log.close()
  })

  test('a reader that slept while its segment and the next ones were removed goes on with those there are', async () => {
    const path = folders.fresh()
    const { log, writer } = await open(path, { segmentBytes: 2_000 })
    await log.createTopic({ name: 'short', partitions: 1, retentionBytes: 1_500 })
    const reader = await openEmbeddedLog({ path, now: () => 0, readOnly: true })
    const waiting = reader.appended(new AbortController().signal)
    for (let time = 0; time < 40; time++) {
      writeRecord(writer, 'short', 0, { key: 'k', value: 'y'.repeat(300), timestampMs: time })
      await writer.commit()
    }
    expect(segmentsIn(path)[0]).not.toBe('0000000000000001.log')
    expect(segmentsIn(path)[0]).not.toBe('0000000000000002.log')
    await waiting
    expect(await reader.offsets('short', 0)).toEqual(await log.offsets('short', 0))
    expect(await readAll(reader, 'short', 0)).toEqual(await readAll(log, 'short', 0))
    await reader.close()
    await log.close()
  })

  test('random tables, cleaned, reopened and read from anywhere, agree with a map', async () => {
    const step = fc.record({
      records: fc.array(
        fc.record({
          partition: fc.nat(1),
          key: fc.integer({ min: 0, max: 12 }),
          value: fc.option(fc.integer({ min: 1, max: 300 }), { nil: null, freq: 6 }),
        }),
        { minLength: 1, maxLength: 40 },
      ),
      reopen: fc.integer({ min: 0, max: 9 }).map((dice) => dice === 0),
      from: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    let cleanings = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), fc.nat(1), async (steps, few) => {
        const path = folders.fresh()
        // With few keys at once a partition is searched in slices.
        const tuning = {
          cleanerKeys: few === 0 ? 3 : 1_000,
          tailBytes: few === 0 ? 0 : 64 << 20,
          segmentBytes: 3_000,
        }
        let opened = await open(path, tuning)
        await opened.log.createTopic(tableSpec)
        const written: LoggedRecord[][] = [[], []]
        for (const { records, reopen, from } of steps) {
          for (const { partition, key, value } of records) {
            const held = written[partition]!
            const text = value === null ? null : 'v'.repeat(value) + held.length
            const record = { key: `k${key}`, value: text, timestampMs: held.length * 10 }
            writeRecord(opened.writer, 'table', partition, record)
            held.push({ ...record, offset: held.length, headers: [] })
          }
          await opened.writer.commit()
          await delay(0)
          if (reopen) {
            await opened.log.close()
            cleanings += opened.reports.length
            expect(opened.failures).toEqual([])
            opened = await open(path, tuning)
          }
          for (const [partition, held] of written.entries()) {
            const offset = Math.floor(from * held.length)
            const { kept, later, atTime } = await readAtOnce(opened.log, partition, offset)
            for (const record of kept) expect(record).toEqual(held[record.offset])
            expect(fold(kept)).toEqual(fold(held))
            expect(later).toEqual(kept.filter((record) => record.offset >= offset))
            const first = kept.find(({ timestampMs }) => timestampMs >= offset * 10)
            expect(atTime).toBe(BigInt(first?.offset ?? held.length))
          }
        }
        await opened.log.close()
        cleanings += opened.reports.length
        expect((await verifyLog({ path })).damage).toBeUndefined()
      }),
      { numRuns: 6, endOnFailure: true },
    )
    expect(cleanings).toBeGreaterThan(6)
  })
})
