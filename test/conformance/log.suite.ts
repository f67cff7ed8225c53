import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { CommitTicket, Log, LogWriter, TopicSpec } from '../../state/log/log.ts'
import type { RecordHeader } from '../../state/log/record-batch.ts'
import { type LoggedRecord, readAll, readFrom, writeRecord } from '../support/log-records.ts'

/** One log under test. */
export interface OpenLog {
  readonly log: Log
  /** Closes the log and opens what it left behind; absent where nothing survives a close. */
  readonly reopen?: () => Promise<Log>
}

export interface LogTraits {
  /** Offsets that a commit leaves unused in each partition it wrote to, behind its records. Default 0. */
  readonly offsetsPerCommit?: number
  /** Runs of the property test, which opens a log each. Default 40. */
  readonly runs?: number
}

const clicks: TopicSpec = { name: 'clicks', partitions: 3, compacted: false }

const codeOf = async (work: () => unknown): Promise<string> => {
  try {
    await work()
  } catch (error) {
    if (error instanceof EngineError) return error.code
    return (error as Error).name
  }
  return 'none'
}

/**
 * What every log adapter does. `open` gives an empty log each time; `dispose`
 * is called after each test.
 */
export function logSuite(
  name: string,
  open: () => Promise<OpenLog>,
  dispose?: () => Promise<void>,
  { offsetsPerCommit = 0, runs = 40 }: LogTraits = {},
): void {
  /** The offset, or end, at which so many records and so many commits lie before in the partition. */
  const after = (records: number, commits: number): bigint => BigInt(records + commits * offsetsPerCommit)
  describe(`the log port, ${name}`, () => {
    const opened: Log[] = []
    const openLog = async (): Promise<OpenLog> => {
      const one = await open()
      opened.push(one.log)
      return one
    }
    afterEach(async () => {
      for (const log of opened.splice(0)) await log.close()
      await dispose?.()
    })

    const withTopic = async (spec: TopicSpec = clicks): Promise<{ log: Log; writer: LogWriter }> => {
      const { log } = await openLog()
      await log.createTopic(spec)
      return { log, writer: await log.writer('test') }
    }

    describe('topics', () => {
      test('a created topic is listed as it was declared', async () => {
        const { log } = await withTopic({
          name: 'a',
          partitions: 2,
          retentionMs: 5,
          retentionBytes: 6,
          compacted: true,
        })
        expect(await log.topics()).toEqual([
          { name: 'a', partitions: 2, retentionMs: 5, retentionBytes: 6, compacted: true },
        ])
      })

      test('creating it again changes nothing, and its records stay', async () => {
        const { log, writer } = await withTopic()
        writeRecord(writer, 'clicks', 1, { key: 'k', value: 'v', timestampMs: 7 })
        await writer.commit()
        await log.createTopic(clicks)
        expect(await log.offsets('clicks', 1)).toEqual({ start: 0n, end: after(1, 1) })
      })

      test('partitions and compaction are fixed; retention is not', async () => {
        const { log } = await withTopic()
        expect(await codeOf(() => log.createTopic({ ...clicks, partitions: 4 }))).toBe('topic-mismatch')
        expect(await codeOf(() => log.createTopic({ ...clicks, compacted: true }))).toBe('topic-mismatch')
        await log.createTopic({ ...clicks, retentionMs: 9 })
        expect(await log.topics()).toEqual([{ ...clicks, retentionMs: 9 }])
      })

      test.each(['', 'a b', '..', 'é', 'x'.repeat(250)])('%j is not a name', async (topic) => {
        const { log } = await openLog()
        expect(await codeOf(() => log.createTopic({ name: topic, partitions: 1 }))).toBe('RangeError')
      })

      test('an unknown topic is named together with those that are known', async () => {
        const { log } = await withTopic()
        const error = await log.offsets('clix', 0).catch((caught: unknown) => caught)
        expect(error).toMatchObject({ code: 'topic-unknown', context: { topic: 'clix', known: ['clicks'] } })
      })

      test('a deleted topic is gone, and one of the same name starts empty', async () => {
        const { log, writer } = await withTopic()
        writeRecord(writer, 'clicks', 0, { key: 'k', value: 'v', timestampMs: 7 })
        await writer.commit()
        await log.deleteTopic('clicks')
        expect(await codeOf(() => log.offsets('clicks', 0))).toBe('topic-unknown')
        expect(await log.topics()).toEqual([])
        await log.createTopic(clicks)
        expect(await log.offsets('clicks', 0)).toEqual({ start: 0n, end: 0n })
        writeRecord(writer, 'clicks', 0, { key: 'k', value: 'w', timestampMs: 8 })
        await writer.commit()
        expect((await readAll(log, 'clicks', 0)).map(({ value }) => value)).toEqual(['w'])
      })

      test('records begun for a topic that is deleted before the commit stop the commit', async () => {
        const { log, writer } = await withTopic()
        writeRecord(writer, 'clicks', 0, { key: 'k', value: 'v', timestampMs: 7 })
        await log.deleteTopic('clicks')
        expect(await codeOf(() => writer.commit())).toBe('topic-unknown')
        expect(writer.sink.count).toBe(1)
        writer.sink.clear()
        await writer.commit()
      })
    })

    describe('writing', () => {
      test('a commit gives the first offset of each topic partition', async () => {
        const { log, writer } = await withTopic()
        await log.createTopic({ name: 'views', partitions: 1 })
        const commit = async (): Promise<CommitTicket> => {
          writeRecord(writer, 'clicks', 2, { key: 'a', value: '1', timestampMs: 1 })
          writeRecord(writer, 'views', 0, { key: 'b', value: '2', timestampMs: 2 })
          writeRecord(writer, 'clicks', 2, { key: 'c', value: '3', timestampMs: 3 })
          return await writer.commit()
        }
        const first = await commit()
        const second = await commit()
        await second.durable
        await first.durable
        expect([...first.firstOffsets]).toEqual([
          ['clicks\x002', 0n],
          ['views\x000', 0n],
        ])
        expect([...second.firstOffsets]).toEqual([
          ['clicks\x002', after(2, 1)],
          ['views\x000', after(1, 1)],
        ])
      })

      test('nothing is visible before the commit, all of it after', async () => {
        const { log, writer } = await withTopic()
        writeRecord(writer, 'clicks', 0, { key: 'a', value: '1', timestampMs: 1 })
        writeRecord(writer, 'clicks', 1, { key: 'b', value: '2', timestampMs: 2 })
        expect([await readAll(log, 'clicks', 0), await readAll(log, 'clicks', 1)]).toEqual([[], []])
        expect([writer.sink.count, writer.sink.sizeBytes]).toEqual([2, 4])
        await writer.commit()
        expect([writer.sink.count, writer.sink.sizeBytes]).toEqual([0, 0])
        expect((await readAll(log, 'clicks', 0)).length + (await readAll(log, 'clicks', 1)).length).toBe(2)
      })

      test('an empty commit is durable and gives no offsets', async () => {
        const { writer } = await withTopic()
        const ticket = await writer.commit()
        await ticket.durable
        expect(ticket.firstOffsets.size).toBe(0)
      })

      test('a cancelled record leaves no trace, a cleared sink neither', async () => {
        const { log, writer } = await withTopic()
        writeRecord(writer, 'clicks', 0, { key: 'a', value: '1', timestampMs: 1 })
        writer.sink.begin('clicks', 0, 2).raw(Buffer.from('zzz'))
        writer.sink.cancel()
        writeRecord(writer, 'clicks', 0, { key: 'b', value: '2', timestampMs: 3 })
        await writer.commit()
        writeRecord(writer, 'clicks', 0, { key: 'c', value: '3', timestampMs: 4 })
        writer.sink.clear()
        await writer.commit()
        expect((await readAll(log, 'clicks', 0)).map(({ key }) => key)).toEqual(['a', 'b'])
      })

      test('an over-long record is refused and the others stay', async () => {
        const { log, writer } = await withTopic()
        writeRecord(writer, 'clicks', 0, { key: 'a', value: '1', timestampMs: 1 })
        const out = writer.sink.begin('clicks', 0, 2)
        writer.sink.beginValue()
        out.raw(Buffer.alloc((16 << 20) + 1))
        expect(await codeOf(() => writer.sink.end())).toBe('record-too-large')
        writeRecord(writer, 'clicks', 0, { key: 'b', value: '2', timestampMs: 3 })
        await writer.commit()
        expect((await readAll(log, 'clicks', 0)).map(({ key }) => key)).toEqual(['a', 'b'])
      })

      test('mistakes of the program are told apart from failures', async () => {
        const { writer } = await withTopic()
        const { sink } = writer
        expect(await codeOf(() => sink.begin('clicks', 3, 0))).toBe('RangeError')
        expect(await codeOf(() => sink.begin('clicks', 0, Number.NaN))).toBe('RangeError')
        expect(await codeOf(() => sink.begin('nope', 0, 0))).toBe('topic-unknown')
        expect(await codeOf(() => sink.end())).toBe('TypeError')
        sink.begin('clicks', 0, 0)
        expect(await codeOf(() => sink.begin('clicks', 0, 0))).toBe('TypeError')
        sink.cancel()
      })

      test('a newer writer of the same id ends the older one, a writer of another id does not', async () => {
        const { log, writer } = await withTopic()
        const other = await log.writer('other')
        const newer = await log.writer('test')
        writeRecord(writer, 'clicks', 0, { key: 'old', value: '1', timestampMs: 1 })
        writeRecord(other, 'clicks', 0, { key: 'other', value: '1', timestampMs: 1 })
        writeRecord(newer, 'clicks', 0, { key: 'new', value: '1', timestampMs: 1 })
        expect(await codeOf(() => writer.commit())).toBe('writer-fenced')
        await other.commit()
        await newer.commit()
        expect((await readAll(log, 'clicks', 0)).map(({ key }) => key)).toEqual(['other', 'new'])
      })

      test('a sink beside the first is committed by itself, and ends with its writer', async () => {
        const { log, writer } = await withTopic()
        const beside = writer.beside()
        writeRecord(writer, 'clicks', 0, { key: 'first', value: '1', timestampMs: 1 })
        writeRecord(beside, 'clicks', 0, { key: 'beside', value: '1', timestampMs: 1 })
        await beside.commit()
        expect(writer.sink.count).toBe(1)
        await writer.commit()
        expect((await readAll(log, 'clicks', 0)).map(({ key }) => key)).toEqual(['beside', 'first'])
        const another = beside.beside()
        writeRecord(beside, 'clicks', 0, { key: 'dropped', value: '1', timestampMs: 1 })
        await beside.close()
        writeRecord(writer, 'clicks', 0, { key: 'later', value: '1', timestampMs: 1 })
        await writer.commit()
        expect((await readAll(log, 'clicks', 0)).map(({ key }) => key)).toEqual(['beside', 'first', 'later'])
        await log.writer('test')
        writeRecord(another, 'clicks', 0, { key: 'fenced', value: '1', timestampMs: 1 })
        expect(await codeOf(() => another.commit())).toBe('writer-fenced')
      })

      test('a closed writer and a closed log say so', async () => {
        const { log, writer } = await withTopic()
        await writer.close()
        expect(await codeOf(() => writer.commit())).toBe('log-closed')
        await log.close()
        expect(await codeOf(() => log.topics())).toBe('log-closed')
        expect(await codeOf(() => log.writer('test'))).toBe('log-closed')
      })
    })

    describe('reading', () => {
      test('keys, values, headers and times come back, null keys and tombstones too', async () => {
        const { log, writer } = await withTopic()
        const header = (text: string): RecordHeader => ({ name: text, value: Buffer.from(text) })
        const records: LoggedRecord[] = [
          { offset: 0, timestampMs: 1_700_000_000_000, key: 'k', value: 'v', headers: [] },
          {
            offset: 1,
            timestampMs: -5,
            key: null,
            value: 'é'.repeat(300),
            headers: [header('trace'), header('')],
          },
          { offset: 2, timestampMs: 2 ** 52, key: 'x'.repeat(200), value: null, headers: [] },
          { offset: 3, timestampMs: -(2 ** 52), key: null, value: null, headers: [header('only')] },
        ]
        for (const record of records) writeRecord(writer, 'clicks', 1, record)
        await writer.commit()
        expect(await readAll(log, 'clicks', 1)).toEqual(records)
      })

      test('a batch names its topic, partition and offsets', async () => {
        const { log, writer } = await withTopic()
        for (let index = 0; index < 5; index++) {
          writeRecord(writer, 'clicks', 2, { key: 'k', value: `${index}`, timestampMs: index })
          if (index % 2 === 1) await writer.commit()
        }
        await writer.commit()
        const batch = await log.read({ topic: 'clicks', partition: 2, offset: 1n, maxBytes: 1e6 })
        const { topic, partition, count, baseOffset, nextOffset } = batch
        expect({ topic, partition, count, baseOffset, nextOffset }).toEqual({
          topic: 'clicks',
          partition: 2,
          count: 4,
          baseOffset: 1n,
          nextOffset: after(5, 3),
        })
        const offsets = [after(1, 0), after(2, 1), after(3, 1), after(4, 2)]
        expect([...batch.offsetDeltas]).toEqual(offsets.map((offset) => Number(offset - 1n)))
        expect([...batch.timestampsMs]).toEqual([1, 2, 3, 4])
        expect(batch.appendedAtMs).toHaveLength(4)
      })

      test('the end gives an empty batch, beyond it and before the start an error', async () => {
        const { log, writer } = await withTopic()
        writeRecord(writer, 'clicks', 0, { key: 'k', value: 'v', timestampMs: 1 })
        await writer.commit()
        const read = (offset: bigint) => log.read({ topic: 'clicks', partition: 0, offset, maxBytes: 100 })
        const end = after(1, 1)
        expect(await read(end)).toMatchObject({ count: 0, baseOffset: end, nextOffset: end })
        const error = await read(end + 1n).catch((caught: unknown) => caught)
        expect(error).toMatchObject({
          code: 'offset-out-of-range',
          context: { topic: 'clicks', partition: 0, offset: end + 1n, start: 0n, end },
        })
        expect(await codeOf(() => read(-1n))).toBe('offset-out-of-range')
        expect(await codeOf(() => log.read({ topic: 'clicks', partition: 9, offset: 0n, maxBytes: 1 }))).toBe(
          'RangeError',
        )
        expect(await codeOf(() => log.read({ topic: 'clicks', partition: 0, offset: 0n, maxBytes: 0 }))).toBe(
          'RangeError',
        )
      })

      test('maxRecords is kept exactly, maxBytes about, and one record always comes', async () => {
        const { log, writer } = await withTopic()
        for (let index = 0; index < 100; index++) {
          writeRecord(writer, 'clicks', 0, { key: 'k', value: 'v'.repeat(99), timestampMs: index })
          if (index % 7 === 0) await writer.commit()
        }
        await writer.commit()
        const request = { topic: 'clicks', partition: 0, offset: 10n }
        expect((await log.read({ ...request, maxBytes: 1e6, maxRecords: 13 })).count).toBe(13)
        expect((await log.read({ ...request, maxBytes: 1 })).count).toBe(1)
        const { count } = await log.read({ ...request, maxBytes: 2_000 })
        expect(count).toBeGreaterThan(5)
        expect(count).toBeLessThanOrEqual(20)
      })

      test('a read that is full at the end of a commit does not pass over the next one', async () => {
        const { log, writer } = await withTopic()
        const sizes = [10, 500, 10, 10]
        for (const [index, size] of sizes.entries()) {
          writeRecord(writer, 'clicks', 0, { key: 'k', value: 'v'.repeat(size), timestampMs: index })
          if (index > 0) await writer.commit()
        }
        // From the second record of the first commit on, which alone is more than the limit.
        const request = { topic: 'clicks', partition: 0, offset: 1n, maxBytes: 400 }
        expect(await log.read(request)).toMatchObject({ count: 1, nextOffset: after(2, 1) })
        const offsets = [after(1, 0), after(2, 1), after(3, 2)].map(Number)
        expect((await readAll(log, 'clicks', 0, 1, 400)).map(({ offset }) => offset)).toEqual(offsets)
      })

      test('a batch keeps its bytes while later commits are written', async () => {
        const { log, writer } = await withTopic()
        writeRecord(writer, 'clicks', 0, { key: 'first', value: 'value', timestampMs: 1 })
        await writer.commit()
        const batch = await log.read({ topic: 'clicks', partition: 0, offset: 0n, maxBytes: 1e6 })
        for (let index = 0; index < 50; index++) {
          writeRecord(writer, 'clicks', 0, { key: 'later', value: 'x'.repeat(50_000), timestampMs: 2 })
          await writer.commit()
        }
        expect(batch.bytes.toString('utf8', batch.valueStart[0], batch.valueEnd[0])).toBe('value')
      })

      test('appended wakes at the next commit or at the abort', async () => {
        const { log, writer } = await withTopic()
        const never = new AbortController()
        const woken = log.appended(never.signal)
        writeRecord(writer, 'clicks', 0, { key: 'k', value: 'v', timestampMs: 1 })
        await writer.commit()
        await woken
        const aborted = new AbortController()
        const waiting = log.appended(aborted.signal)
        aborted.abort()
        await waiting
        await log.appended(aborted.signal)
      })
    })

    describe('the offset for a time', () => {
      test('is the first at or after it, also where times go back', async () => {
        const { log, writer } = await withTopic()
        for (const [index, timestampMs] of [10, 5, 30, 20, 30, 40].entries()) {
          writeRecord(writer, 'clicks', 0, { key: 'k', value: `${index}`, timestampMs })
          if (index % 2 === 1) await writer.commit()
        }
        await writer.commit()
        const offsets: bigint[] = []
        for (const atMs of [-1, 10, 11, 30, 31, 40, 41])
          offsets.push(await log.offsetForTime('clicks', 0, atMs))
        const [first, third, last] = [after(0, 0), after(2, 1), after(5, 2)]
        expect(offsets).toEqual([first, first, third, third, last, last, after(6, 3)])
        expect(await log.offsetForTime('clicks', 1, 0)).toBe(0n)
      })
    })

    test('random commits, reads and reopenings agree with an array', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
          const one = await openLog()
          let { log } = one
          await log.createTopic(clicks)
          let writer = await log.writer('test')
          const model: LoggedRecord[][] = [[], [], []]
          const ends = [0, 0, 0]
          for (const { partition, records, reopen, from, maxBytes, maxRecords } of steps) {
            for (const record of records) {
              const to = (partition + record.timestampMs) % 3
              writeRecord(writer, 'clicks', to, record)
              model[to]!.push({ ...record, offset: ends[to]!++, headers: [] })
            }
            await writer.commit()
            for (const to of new Set(records.map(({ timestampMs }) => (partition + timestampMs) % 3))) {
              ends[to]! += offsetsPerCommit
            }
            if (reopen && one.reopen !== undefined) {
              await writer.close()
              log = await one.reopen()
              opened.push(log)
              writer = await log.writer('test')
            }
            const held = model[partition]!
            const index = Math.floor(from * held.length)
            const expected = held.slice(index)
            const offset = expected[0]?.offset ?? ends[partition]!
            const some = await readFrom(log, {
              topic: 'clicks',
              partition,
              offset: BigInt(offset),
              maxBytes,
              maxRecords,
            })
            expect(some).toEqual(expected.slice(0, some.length))
            expect(some.length > 0 || expected.length === 0).toBe(true)
            expect(await readAll(log, 'clicks', partition, offset, maxBytes)).toEqual(expected)
            expect(await log.offsets('clicks', partition)).toEqual({
              start: 0n,
              end: BigInt(ends[partition]!),
            })
          }
          await log.close()
          await dispose?.()
        }),
        { numRuns: runs },
      )
    })
  })
}

const text = fc.option(fc.string({ minLength: 1, maxLength: 200 }), { nil: null })

const step = fc.record({
  partition: fc.nat(2),
  records: fc.array(fc.record({ key: text, value: text, timestampMs: fc.nat() }), { maxLength: 12 }),
  reopen: fc.boolean(),
  from: fc.double({ min: 0, max: 1, noNaN: true }),
  maxBytes: fc.integer({ min: 1, max: 2_000 }),
  maxRecords: fc.integer({ min: 1, max: 20 }),
})
