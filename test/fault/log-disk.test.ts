import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { CleaningReport } from '../../state/log/embedded/cleaner.ts'
import { type EmbeddedLogOptions, openEmbeddedLog } from '../../state/log/embedded/embedded-log.ts'
import { verifyLog } from '../../state/log/embedded/verify.ts'
import type { Log, LogWriter } from '../../state/log/log.ts'
import { type FileCall, faultyFiles, type Verdict } from '../support/faulty-files.ts'
import { LogFolders } from '../support/log-folders.ts'
import { type LoggedRecord, readAll, writeRecord } from '../support/log-records.ts'

let folders: LogFolders
beforeAll(() => {
  folders = new LogFolders()
})
afterAll(() => folders.remove())

const now = () => 1_000
const ioError = () => Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })

const codeOf = (error: unknown): string => (error instanceof EngineError ? error.code : String(error))

async function commit(writer: LogWriter, values: readonly string[]): Promise<string> {
  for (const value of values) writeRecord(writer, 'a', 0, { key: 'k', value, timestampMs: 1 })
  try {
    await (await writer.commit()).durable
    return 'done'
  } catch (error) {
    return codeOf(error)
  }
}

const valuesOf = async (log: Log): Promise<(string | null)[]> =>
  (await readAll(log, 'a', 0)).map(({ value }) => value)

async function openWith(
  judge: (call: FileCall) => Verdict,
  error?: () => Error,
  tuning: Partial<EmbeddedLogOptions> = {},
) {
  const path = folders.fresh()
  const log = await openEmbeddedLog({
    path,
    now,
    segmentBytes: 1_500,
    files: faultyFiles(judge, error),
    ...tuning,
  })
  await log.createTopic({ name: 'a', partitions: 1 })
  return { path, log, writer: await log.writer('test') }
}

describe('a disk that is full', () => {
  // Commits of two records go through two segments; every call that needs space is one step.
  const commits = Array.from({ length: 8 }, (_, index) => [`a${index}${'x'.repeat(90)}`, `b${index}`])
  const needsSpace = ({ operation }: FileCall) => operation === 'write' || operation === 'open'

  for (const kind of ['refused', 'half'] as const) {
    test(`refuses the commit at every step (${kind}), nothing of it stays, and goes on when there is space`, async () => {
      let steps = 0
      const counting = await openWith((call) => {
        if (needsSpace(call)) steps++
        return 'done'
      })
      const before = steps
      for (const values of commits) expect(await commit(counting.writer, values)).toBe('done')
      await counting.log.close()
      expect(steps).toBeGreaterThan(before + commits.length)

      for (let step = before + 1; step <= steps; step++) {
        let left = step
        // The disk stays full for three calls, so that what is tried next fails as well.
        const { path, log, writer } = await openWith((call) => {
          if (!needsSpace(call)) return 'done'
          left--
          return left <= 0 && left > -3 ? kind : 'done'
        })
        const kept: string[] = []
        let refused = 0
        for (const values of commits) {
          for (;;) {
            const outcome = await commit(writer, values)
            if (outcome === 'done') break
            expect(outcome).toBe('log-disk')
            refused++
            expect(await valuesOf(log)).toEqual(kept)
            expect(writer.sink.count).toBe(2)
            writer.sink.clear()
          }
          kept.push(...values)
        }
        expect(await valuesOf(log)).toEqual(kept)
        // A step that writes an index file, or the mark of the closing, may fail without anybody noticing.
        expect(refused).toBeLessThanOrEqual(3)
        await log.close()
        const again = await openEmbeddedLog({ path, now })
        expect(await valuesOf(again)).toEqual(kept)
        await again.close()
        expect((await verifyLog({ path })).damage).toBeUndefined()
      }
    })
  }

  test('whose half-written frame cannot be cut off either takes no more, and the next opening cuts it', async () => {
    let isFull = false
    const { path, log, writer } = await openWith(({ operation }) => {
      if (!isFull) return 'done'
      return operation === 'write' ? 'half' : 'refused'
    })
    expect(await commit(writer, ['kept'])).toBe('done')
    isFull = true
    expect(await commit(writer, ['lost'])).toBe('log-disk')
    isFull = false
    writer.sink.clear()
    expect(await commit(writer, ['refused'])).toBe('log-disk')
    expect(await valuesOf(log)).toEqual(['kept'])
    await log.close()
    const again = await openEmbeddedLog({ path, now })
    expect(await valuesOf(again)).toEqual(['kept'])
    await again.close()
  })
})

describe('a sync that fails', () => {
  test('fails every commit that waits for it and every later one, though the disk would say yes', async () => {
    let syncs = 0
    let failAt = Number.POSITIVE_INFINITY
    const { log, writer } = await openWith(({ operation }) => {
      if (operation !== 'syncLater') return 'done'
      return ++syncs === failAt ? 'refused' : 'done'
    }, ioError)
    expect(await commit(writer, ['durable'])).toBe('done')
    failAt = syncs + 1
    const durables: Promise<void>[] = []
    for (const value of ['x', 'y', 'z']) {
      writeRecord(writer, 'a', 0, { key: 'k', value, timestampMs: 1 })
      durables.push(Promise.resolve(writer.commit()).then(({ durable }) => durable))
    }
    const outcomes = await Promise.allSettled(durables)
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'log-disk' } })
    }
    await delay(5)
    writeRecord(writer, 'a', 0, { key: 'k', value: 'later', timestampMs: 1 })
    const error = await Promise.resolve()
      .then(() => writer.commit())
      .catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'log-disk', context: { operation: 'fdatasync' } })
    expect((error as Error).message).toContain('until it is opened again')
    expect(await log.createTopic({ name: 'b', partitions: 1 }).catch(codeOf)).toBe('log-disk')
    expect(syncs).toBe(failAt)
    // What was written before can be read still.
    expect((await valuesOf(log))[0]).toBe('durable')
    await log.close()
  })

  test('while a segment is sealed fails the commits that wait, whatever a later sync says', async () => {
    let isFailing = false
    const { log, writer } = await openWith(
      ({ operation }) => (isFailing && operation === 'sync' ? 'refused' : 'done'),
      ioError,
      { segmentBytes: 900 },
    )
    expect(await commit(writer, ['v'])).toBe('done')
    isFailing = true
    const durables: Promise<string>[] = []
    for (let index = 0; index < 20; index++) {
      writeRecord(writer, 'a', 0, { key: 'k', value: 'x'.repeat(50), timestampMs: 1 })
      try {
        const { durable } = await writer.commit()
        durables.push(durable.then(() => 'done', codeOf))
      } catch (error) {
        expect(codeOf(error)).toBe('log-disk')
        break
      }
    }
    isFailing = false
    expect(durables.length).toBeGreaterThan(0)
    expect(durables.length).toBeLessThan(20)
    expect(await durables.at(-1)).toBe('log-disk')
    writer.sink.clear()
    expect(await commit(writer, ['later'])).toBe('log-disk')
    await log.close()
  })
})

describe('a cleaning that is interrupted', () => {
  /** Fills a compacted table beside a topic that is deleted, until a cleaning ended; gives back what was written. */
  const work = async (path: string, judge: (call: FileCall) => Verdict) => {
    const reports: CleaningReport[] = []
    const failures: unknown[] = []
    const log = await openEmbeddedLog({
      path,
      now,
      segmentBytes: 2_500,
      tailBytes: 0,
      files: faultyFiles(judge),
      onCleaned: (report) => reports.push(report),
      onCleaningFailed: (error) => failures.push(error),
    })
    await log.createTopic({ name: 'a', partitions: 1, compacted: true })
    await log.createTopic({ name: 'short', partitions: 1, retentionBytes: 2_000 })
    await log.createTopic({ name: 'bulk', partitions: 1 })
    const writer = await log.writer('test')
    const written: LoggedRecord[] = []
    for (let round = 0; round < 8; round++) {
      for (let index = 0; index < 5; index++) {
        const offset = written.length
        const record = { key: `k${offset % 4}`, value: `v${offset}${'x'.repeat(40)}`, timestampMs: offset }
        writeRecord(writer, 'a', 0, record)
        writeRecord(writer, 'short', 0, record)
        writeRecord(writer, 'bulk', 0, { ...record, value: 'b'.repeat(150) })
        written.push({ ...record, offset, headers: [] })
      }
      try {
        await (await writer.commit()).durable
      } catch (error) {
        expect(codeOf(error)).toBe('log-disk')
        written.length -= 5
        break
      }
      await delay(0)
    }
    // All segments are half dead at once then, and several become one.
    await log.deleteTopic('bulk').catch((error: unknown) => expect(codeOf(error)).toBe('log-disk'))
    const before = reports.length + failures.length
    for (let turn = 0; turn < 60 && reports.length + failures.length === before; turn++) await delay(0)
    return { log, written, reports, failures }
  }

  const table = (records: readonly LoggedRecord[]) =>
    Object.fromEntries(records.map(({ key, value }) => [key, value]))

  const check = async (log: Log, written: readonly LoggedRecord[]) => {
    const kept = await readAll(log, 'a', 0)
    for (const record of kept.slice(0, written.length)) {
      if (record.offset < written.length) expect(record).toEqual(written[record.offset])
    }
    const acknowledged = kept.filter(({ offset }) => offset < written.length)
    const later = new Set(kept.filter(({ offset }) => offset >= written.length).map(({ key }) => key))
    const current = table(acknowledged)
    for (const [key, value] of Object.entries(table(written))) {
      if (!later.has(key)) expect(current[key]).toBe(value)
    }
  }

  test('by a death at any change of the folder leaves the old segments or the new, and every record', async () => {
    const calls: FileCall[] = []
    const counted = await work(folders.fresh(), (call) => {
      calls.push(call)
      return 'done'
    })
    await counted.log.close()
    expect(counted.reports.length).toBeGreaterThan(0)
    const operations = new Set(calls.map(({ operation }) => operation))
    for (const operation of ['write', 'sync', 'syncLater', 'syncFolder', 'rename', 'remove']) {
      expect(operations).toContain(operation)
    }
    const firstDraft = calls.findIndex(({ path }) => path.endsWith('.cleaning'))
    for (let step = firstDraft; step < calls.length; step++) {
      for (const verdict of ['refused', 'half'] as const) {
        if (verdict === 'half' && calls[step]!.operation !== 'write') continue
        const path = folders.fresh()
        let left = step
        // The step is done by half or not, and nothing after it: the process is dead.
        const { log, written } = await work(path, () => {
          left--
          if (left >= 0) return 'done'
          return left === -1 ? verdict : 'refused'
        })
        const dead = folders.copy(path)
        await log.close().catch(() => {})
        const reader = await openEmbeddedLog({ path: dead, now, readOnly: true })
        await check(reader, written)
        await reader.close()
        const again = await openEmbeddedLog({ path: dead, now })
        await check(again, written)
        await again.close()
        expect((await verifyLog({ path: dead })).damage).toBeUndefined()
      }
    }
  })

  test('by a death while retention removes segments leaves every record from the start on', async () => {
    const run = async (path: string, judge: (call: FileCall) => Verdict) => {
      const log = await openEmbeddedLog({ path, now, segmentBytes: 1_500, files: faultyFiles(judge) })
      await log.createTopic({ name: 'short', partitions: 1, retentionBytes: 1_500 })
      const writer = await log.writer('test')
      let acknowledged = 0
      for (; acknowledged < 20; acknowledged++) {
        writeRecord(writer, 'short', 0, { key: 'k', value: 'y'.repeat(200), timestampMs: acknowledged })
        try {
          await (await writer.commit()).durable
        } catch (error) {
          expect(codeOf(error)).toBe('log-disk')
          break
        }
      }
      return { log, acknowledged }
    }
    const calls: FileCall[] = []
    const counted = await run(folders.fresh(), (call) => {
      calls.push(call)
      return 'done'
    })
    await counted.log.close()
    const removals = calls.filter(({ operation, path }) => operation === 'remove' && path.endsWith('.log'))
    expect(removals.length).toBeGreaterThan(2)
    const first = calls.findIndex(({ operation, path }) => operation === 'write' && path.includes('02.log'))
    for (let step = first; step < calls.length; step++) {
      const path = folders.fresh()
      let left = step
      const { log, acknowledged } = await run(path, () => (left-- > 0 ? 'done' : 'refused'))
      const dead = folders.copy(path)
      await log.close().catch(() => {})
      for (const readOnly of [true, false]) {
        const again = await openEmbeddedLog({ path: dead, now, readOnly })
        const offsets = (await readAll(again, 'short', 0)).map(({ offset }) => offset)
        const { start, end } = await again.offsets('short', 0)
        expect(end).toBeGreaterThanOrEqual(BigInt(acknowledged))
        expect(offsets).toEqual(
          Array.from({ length: Number(end - start) }, (_, index) => Number(start) + index),
        )
        await again.close()
      }
      expect((await verifyLog({ path: dead })).damage).toBeUndefined()
    }
  })

  test('by one refused step changes nothing for those who write and read, and a later one succeeds', async () => {
    const isDraft = ({ path }: FileCall) => path.endsWith('.cleaning')
    let steps = 0
    const counted = await work(folders.fresh(), (call) => {
      if (isDraft(call)) steps++
      return 'done'
    })
    await counted.log.close()
    expect(steps).toBeGreaterThan(10)
    for (let step = 0; step < steps; step++) {
      const path = folders.fresh()
      let left = step
      let operation = ''
      const { log, written, failures, reports } = await work(path, (call) => {
        if (!isDraft(call) || left-- !== 0) return 'done'
        operation = call.operation
        return 'refused'
      })
      await check(log, written)
      // A draft that cannot be removed before it is made is no failure: there is none.
      if (operation !== '' && operation !== 'remove') expect(failures.length).toBeGreaterThan(0)
      for (const failure of failures) expect(codeOf(failure)).toBe('log-disk')
      expect(reports.length + failures.length).toBeGreaterThan(0)
      await log.close()
      const again = await openEmbeddedLog({ path, now })
      await check(again, written)
      await again.close()
    }
  })
})
