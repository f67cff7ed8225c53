import zlib, { gunzipSync } from 'node:zlib'
import kafkajs from 'kafkajs'
import { crc32c } from '../crc32c.ts'
import { batchAt, batchAttributes, batchHeaderBytes } from './batch-format.ts'
import { unlz4, unsnappy } from './decompress.ts'
import { readInt64 } from './wire.ts'

/** A transaction that was rolled back: all records of the producer from this offset to its next marker. */
export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

/** One record batch of which the reader may see the records. */
export interface VisibleBatch {
  /** Holds the records from `at` to `end`: the answer itself, or what was compressed in it. */
  readonly bytes: Buffer
  readonly at: number
  readonly end: number
  readonly count: number
  readonly baseOffset: number
  /** Where the next batch begins at the earliest. */
  readonly nextOffset: number
  readonly baseTimestampMs: number
  readonly maxTimestampMs: number
  /** The times are those of the broker: every record has `maxTimestampMs`. */
  readonly hasBrokerTime: boolean
}

export class UnreadableBatch extends Error {
  override readonly name = 'UnreadableBatch'
  readonly offset: number

  constructor(offset: number, detail: string) {
    super(detail)
    this.offset = offset
  }
}

export interface FetchedBatches {
  readonly batches: readonly VisibleBatch[]
  /** Past the last batch, visible or not. */
  readonly nextOffset: number
}

/**
 * The batches of `bytes[start, end)`, which a broker sent for offset `from`:
 * checked, without control batches and without those of aborted transactions.
 * A batch that the answer cuts off at its end is left for the next answer.
 *
 * @throws UnreadableBatch when a checksum is wrong, or a batch is of a format or compression that is not known here
 */
export async function readFetched(
  bytes: Buffer,
  start: number,
  end: number,
  from: number,
  aborted: readonly AbortedTransaction[],
): Promise<FetchedBatches> {
  const batches: VisibleBatch[] = []
  const filter = new AbortFilter(aborted)
  let nextOffset = from
  for (let at = start; at + batchHeaderBytes <= end; ) {
    const baseOffset = readInt64(bytes, at)
    if (bytes[at + batchAt.version] !== 2) {
      throw new UnreadableBatch(
        baseOffset,
        `its format is ${bytes[at + batchAt.version]}, this version reads format 2, which Kafka writes since 0.11`,
      )
    }
    const stop = at + batchAt.leaderEpoch + bytes.readInt32BE(at + batchAt.length)
    if (stop > end) break
    checkSum(bytes, at, stop, baseOffset)
    const isVisible = filter.sees(bytes, at, baseOffset)
    nextOffset = Math.max(nextOffset, baseOffset + bytes.readInt32BE(at + batchAt.lastOffsetDelta) + 1)
    if (isVisible && bytes.readInt32BE(at + batchAt.count) > 0 && nextOffset > from) {
      batches.push(await visibleBatch(bytes, at, stop, baseOffset))
    }
    at = stop
  }
  return { batches, nextOffset }
}

function checkSum(bytes: Buffer, at: number, stop: number, offset: number): void {
  const isWhole =
    stop - at >= batchHeaderBytes &&
    crc32c(bytes, at + batchAt.attributes, stop) === bytes.readUInt32BE(at + batchAt.checksum)
  if (!isWhole) {
    throw new UnreadableBatch(
      offset,
      'its checksum is wrong; read it from another replica, the broker that sent it has a damaged file',
    )
  }
}

/**
 * Which batches a reader of committed records sees.
 *
 * kafkajs takes at most one aborted transaction a message, in the order in
 * which they ended, and takes a record with a key of four zero bytes for the
 * marker of an abort. Here all that began before a batch count, in the order
 * in which they began, and a marker is known by its batch. When kafkajs does
 * the same, its own fetch can take the place of this file, checksums aside.
 */
class AbortFilter {
  readonly #pending: readonly AbortedTransaction[]
  #next = 0
  readonly #aborting = new Set<number>()

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#pending = [...aborted].sort((left, right) => left.firstOffset - right.firstOffset)
  }

  sees(bytes: Buffer, at: number, baseOffset: number): boolean {
    const attributes = bytes.readInt16BE(at + batchAt.attributes)
    const lastOffset = baseOffset + bytes.readInt32BE(at + batchAt.lastOffsetDelta)
    const producerId = readInt64(bytes, at + batchAt.producerId)
    for (; this.#next < this.#pending.length; this.#next++) {
      const began = this.#pending[this.#next]!
      if (began.firstOffset > lastOffset) break
      this.#aborting.add(began.producerId)
    }
    if ((attributes & batchAttributes.control) !== 0) {
      // Commit or abort, the producer's transaction ends here; another of its own begins after it.
      this.#aborting.delete(producerId)
      return false
    }
    return (attributes & batchAttributes.transactional) === 0 || !this.#aborting.has(producerId)
  }
}

async function visibleBatch(
  bytes: Buffer,
  at: number,
  stop: number,
  baseOffset: number,
): Promise<VisibleBatch> {
  const attributes = bytes.readInt16BE(at + batchAt.attributes)
  const described = {
    count: bytes.readInt32BE(at + batchAt.count),
    baseOffset,
    nextOffset: baseOffset + bytes.readInt32BE(at + batchAt.lastOffsetDelta) + 1,
    baseTimestampMs: readInt64(bytes, at + batchAt.baseTimestamp),
    maxTimestampMs: readInt64(bytes, at + batchAt.maxTimestamp),
    hasBrokerTime: (attributes & batchAttributes.brokerTime) !== 0,
  }
  const compression = attributes & batchAttributes.compression
  if (compression === 0) return { ...described, bytes, at: at + batchHeaderBytes, end: stop }
  const packed = bytes.subarray(at + batchHeaderBytes, stop)
  const records = await unpack(packed, compression, baseOffset)
  return { ...described, bytes: records, at: 0, end: records.length }
}

const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

const zstdDecompress = (zlib as { readonly zstdDecompressSync?: (packed: Buffer) => Buffer })
  .zstdDecompressSync

/** Node's own gzip and, from 22.15 on, zstd; snappy and lz4 of this folder; else what the program registered with kafkajs. */
async function unpack(packed: Buffer, compression: number, offset: number): Promise<Buffer> {
  const name = codecNames[compression] ?? `number ${compression}`
  try {
    if (compression === 1) return gunzipSync(packed)
    if (compression === 2) return unsnappy(packed)
    if (compression === 3) return unlz4(packed)
    if (compression === 4 && zstdDecompress !== undefined) return zstdDecompress(packed)
  } catch (error) {
    throw new UnreadableBatch(offset, `it cannot be unpacked with ${name}: ${(error as Error).message}`)
  }
  let codec: { decompress(packed: Buffer): Promise<Buffer> }
  try {
    codec = kafkajs.CompressionCodecs[compression as 2]()
  } catch (error) {
    throw new UnreadableBatch(
      offset,
      `it is compressed with ${name}; run on Node 22.15 or later, register a codec in CompressionCodecs of kafkajs, or let the producer use another (${(error as Error).message})`,
    )
  }
  return await codec.decompress(packed)
}
