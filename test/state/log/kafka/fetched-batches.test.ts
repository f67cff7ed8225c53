import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32c } from '../../../../state/log/crc32c.ts'
import { encodeSection, sealBatch } from '../../../../state/log/kafka/batch-encoder.ts'
import { type AbortedTransaction, readFetched } from '../../../../state/log/kafka/fetched-batches.ts'
import { KafkaBatch } from '../../../../state/log/kafka/kafka-batch.ts'
import { writeInt64 } from '../../../../state/log/kafka/wire.ts'
import type { RecordHeader } from '../../../../state/log/record-batch.ts'
import { SectionSink } from '../../../../state/log/section-sink.ts'
import { TopicCatalog } from '../../../../state/log/topic-catalog.ts'

interface Written {
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

const record = (value: string, key: Buffer | null = null): Written => ({
  timestampMs: 5,
  key,
  value: Buffer.from(value),
  headers: [],
})

/** The batches that a commit of the records is sent as, placed by the broker from `offset` on. */
function batchesOf(
  records: readonly Written[],
  { offset = 0, producerId = 1, maxBytes = 1e6, nowMs = Number.POSITIVE_INFINITY } = {},
): Buffer {
  const catalog = new TopicCatalog()
  catalog.add(1, { name: 't', partitions: 1 })
  const sink = new SectionSink(catalog, 1e6)
  for (const { timestampMs, key, value, headers } of records) {
    const out = sink.begin('t', 0, timestampMs)
    if (key !== null) out.raw(key)
    sink.beginValue()
    if (value !== null) out.raw(value)
    sink.end(headers)
  }
  let next = offset
  const batches = encodeSection(sink.sections[0]!, maxBytes, nowMs).map((batch) => {
    sealBatch(batch, { producerId, epoch: 0 }, 0)
    writeInt64(batch.bytes, next, 0)
    next += batch.count
    return batch.bytes
  })
  return Buffer.concat(batches)
}

/** The marker that ends a transaction of the producer. */
function markerAt(offset: number, producerId: number): Buffer {
  const bytes = batchesOf([record('', Buffer.alloc(4))], { offset, producerId })
  bytes.writeInt16BE(16 | 32, 21)
  bytes.writeUInt32BE(crc32c(bytes, 21), 17)
  return bytes
}

async function columns(bytes: Buffer, from = 0, aborted: readonly AbortedTransaction[] = []) {
  const { batches, nextOffset } = await readFetched(bytes, 0, bytes.length, from, aborted)
  const read: (Written & { offset: number; appendedAtMs: number })[] = []
  for (const visible of batches) {
    const request = { topic: 't', partition: 0, offset: BigInt(from), maxBytes: 1e9 }
    const batch = new KafkaBatch(request, visible.bytes, visible.count)
    batch.add(visible, from)
    batch.finish()
    const part = (start: number, end: number) => (start < 0 ? null : batch.bytes.subarray(start, end))
    for (let index = 0; index < batch.count; index++) {
      read.push({
        offset: Number(batch.baseOffset) + batch.offsetDeltas[index]!,
        timestampMs: batch.timestampsMs[index]!,
        appendedAtMs: batch.appendedAtMs[index]!,
        key: part(batch.keyStart[index]!, batch.keyEnd[index]!),
        value: part(batch.valueStart[index]!, batch.valueEnd[index]!),
        headers: batch.headers(index),
      })
    }
  }
  return { read, nextOffset }
}

const values = async (bytes: Buffer, from = 0, aborted: readonly AbortedTransaction[] = []) =>
  (await columns(bytes, from, aborted)).read.map(({ value }) => value?.toString())

const content = fc.option(fc.uint8Array({ minLength: 1, maxLength: 300 }), { nil: null })
const records = fc.array(
  fc.record({
    timestampMs: fc.oneof(fc.integer(), fc.constantFrom(2 ** 52, -(2 ** 52)), fc.nat(200)),
    key: content.map((bytes) => bytes && Buffer.from(bytes)),
    value: content.map((bytes) => bytes && Buffer.from(bytes)),
    headers: fc.array(
      fc.record({
        name: fc.string(),
        value: fc.uint8Array({ maxLength: 9 }).map((each) => Buffer.from(each)),
      }),
      { maxLength: 3 },
    ),
  }),
  { minLength: 1, maxLength: 40 },
)

describe('what is written is read', () => {
  test('whole, from every offset, however it is cut into batches', async () => {
    const property = fc.asyncProperty(
      records,
      fc.integer({ min: 1, max: 3_000 }),
      fc.integer({ min: -1_000, max: 1_000 }),
      fc.nat(40),
      async (written, maxBytes, nowMs, from) => {
        const { read, nextOffset } = await columns(
          batchesOf(written, { maxBytes, nowMs, offset: 7 }),
          7 + from,
        )
        const expected = written.map((each, index) => ({
          ...each,
          offset: 7 + index,
          appendedAtMs: Math.min(each.timestampMs, nowMs),
        }))
        expect(read).toEqual(expected.slice(from))
        expect(nextOffset).toBe(7 + Math.max(written.length, from))
      },
    )
    await fc.assert(property, { numRuns: 300 })
  })

  test('a batch of 300,000 records, which overflows the stack of kafkajs 2.2.4', async () => {
    const many = Array.from({ length: 300_000 }, () => record('v'))
    const { read, nextOffset } = await columns(batchesOf(many, { maxBytes: 1e9 }))
    expect([read.length, nextOffset]).toEqual([300_000, 300_000])
  })

  test('compressed with gzip, as other programs write', async () => {
    const plain = batchesOf([record('one'), record('two')])
    const packed = Buffer.concat([plain.subarray(0, 61), gzipSync(plain.subarray(61))])
    packed.writeInt32BE(packed.length - 12, 8)
    packed.writeInt16BE(1, 21)
    packed.writeUInt32BE(crc32c(packed, 21), 17)
    expect(await values(packed)).toEqual(['one', 'two'])
  })

  test('with the time of the broker where the topic is set so', async () => {
    const bytes = batchesOf([record('one'), record('two')])
    bytes.writeInt16BE(8, 21)
    writeInt64(bytes, 99, 35)
    bytes.writeUInt32BE(crc32c(bytes, 21), 17)
    expect((await columns(bytes)).read.map(({ timestampMs }) => timestampMs)).toEqual([99, 99])
  })

  test('an answer that ends within a batch gives those before it', async () => {
    const bytes = Buffer.concat([batchesOf([record('one')]), batchesOf([record('two')], { offset: 1 })])
    for (const cut of [1, 30, 70]) {
      const { read, nextOffset } = await columns(bytes.subarray(0, bytes.length - cut))
      expect([read.length, nextOffset]).toEqual([1, 1])
    }
  })
})

describe('what cannot be read is named', () => {
  test('any damaged byte behind the checksum', async () => {
    const bytes = batchesOf([record('value')], { offset: 40 })
    for (let at = 17; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes)
      damaged[at]! ^= 1
      await expect(columns(damaged)).rejects.toMatchObject({ name: 'UnreadableBatch', offset: 40 })
    }
  })

  test('an old format, and a compression without a codec', async () => {
    const old = batchesOf([record('value')])
    old[16] = 1
    await expect(columns(old)).rejects.toThrow('its format is 1')
    const packedWith = (codec: number) => {
      const packed = batchesOf([record('value')])
      packed.writeInt16BE(codec, 21)
      packed.writeUInt32BE(crc32c(packed, 21), 17)
      return columns(packed)
    }
    await expect(packedWith(6)).rejects.toThrow('compressed with number 6; run on Node')
    await expect(packedWith(2)).rejects.toThrow('it cannot be unpacked with snappy')
    await expect(packedWith(3)).rejects.toThrow('it cannot be unpacked with lz4')
  })
})

describe('aborted transactions', () => {
  /** Two transactions that overlap: 1 from 0 and 2 from 1; 2 ends at 4, 1 at 5; then one of 1 that is committed. */
  const overlapping = Buffer.concat([
    batchesOf([record('A1')], { offset: 0, producerId: 1 }),
    batchesOf([record('B1')], { offset: 1, producerId: 2 }),
    batchesOf([record('A2')], { offset: 2, producerId: 1 }),
    batchesOf([record('B2')], { offset: 3, producerId: 2 }),
    markerAt(4, 2),
    markerAt(5, 1),
    batchesOf([record('kept')], { offset: 6, producerId: 1 }),
    markerAt(7, 1),
  ])
  // As brokers list them: in the order of their ends.
  const listed = [
    { producerId: 2, firstOffset: 1 },
    { producerId: 1, firstOffset: 0 },
  ]

  test('are left out wherever the reading begins', async () => {
    for (let from = 0; from <= 6; from++) expect(await values(overlapping, from, listed)).toEqual(['kept'])
    expect((await columns(overlapping, 0, listed)).nextOffset).toBe(8)
  })

  test('a key of four zero bytes is no marker', async () => {
    const bytes = Buffer.concat([
      batchesOf([record('1', Buffer.from('a'))], { offset: 0 }),
      batchesOf([record('2', Buffer.alloc(4))], { offset: 1 }),
      batchesOf([record('3')], { offset: 2 }),
      markerAt(3, 1),
    ])
    expect(await values(bytes, 0, [{ producerId: 1, firstOffset: 0 }])).toEqual([])
  })

  test('one producer aborts, commits and aborts again', async () => {
    const bytes = Buffer.concat([
      batchesOf([record('no')], { offset: 0 }),
      markerAt(1, 1),
      batchesOf([record('yes')], { offset: 2 }),
      markerAt(3, 1),
      batchesOf([record('no')], { offset: 4 }),
      markerAt(5, 1),
    ])
    const twice = [
      { producerId: 1, firstOffset: 0 },
      { producerId: 1, firstOffset: 4 },
    ]
    expect(await values(bytes, 0, twice)).toEqual(['yes'])
  })
})
