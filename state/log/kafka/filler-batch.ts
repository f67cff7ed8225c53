import { gzipSync } from 'node:zlib'
import { ByteWriter } from '../../contracts/byte-writer.ts'
import { EncodedBatch } from './batch-encoder.ts'
import { batchAt, batchAttributes, batchHeaderBytes } from './batch-format.ts'

const gzip = 1
const fillerKey = 0x2d

/**
 * A batch of `count` records that nobody is to read: small, as it is
 * compressed. They have a key, since a compacted topic takes no record
 * without one.
 */
export function fillerBatch(count: number): EncodedBatch {
  const records = new ByteWriter(count * 12)
  for (let delta = 0; delta < count; delta++) {
    // Length, attributes, time delta, offset delta, key, no value, no headers.
    records.varint(zigZagBytes(delta) + 6)
    records.byte(0)
    records.varint(0)
    records.varint(delta)
    records.varint(1)
    records.byte(fillerKey)
    records.varint(-1)
    records.varint(0)
  }
  const body = gzipSync(records.view(), { level: 1 })
  const bytes = Buffer.alloc(batchHeaderBytes + body.length)
  body.copy(bytes, batchHeaderBytes)
  bytes.writeInt32BE(bytes.length - batchAt.leaderEpoch, batchAt.length)
  bytes.writeInt32BE(-1, batchAt.leaderEpoch)
  bytes[batchAt.version] = 2
  bytes.writeInt16BE(batchAttributes.transactional | gzip, batchAt.attributes)
  bytes.writeInt32BE(count - 1, batchAt.lastOffsetDelta)
  bytes.writeInt32BE(count, batchAt.count)
  return new EncodedBatch(bytes, count)
}

const zigZagBytes = (value: number): number =>
  value < 64 ? 1 : value < 8_192 ? 2 : value < 1_048_576 ? 3 : 4
