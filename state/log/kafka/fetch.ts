import { type AbortedTransaction, type FetchedBatches, readFetched } from './fetched-batches.ts'
import type { KafkaApi, KafkaConnections } from './kafka-cluster.ts'
import { checkCode } from './kafka-failure.ts'
import { WireWriter } from './wire.ts'

const fetchApi: KafkaApi = { key: 1, name: 'Fetch', version: 11, throttleAt: 0 }
const listOffsetsApi: KafkaApi = { key: 2, name: 'ListOffsets', version: 2, throttleAt: 0 }
const readCommitted = 1
const noReplica = -1

/** One partition in a fetch, by the name that the cluster has for its topic. */
export interface FetchFrom {
  readonly name: string
  readonly partition: number
  readonly offset: number
}

/** What one fetch brought of one partition. */
export interface Fetched extends FetchedBatches {
  /** The offset that was asked for. */
  readonly offset: number
  /** Where the committed records end: the oldest transaction still open, or the end of the log. */
  readonly stableEnd: number
  readonly sizeBytes: number
}

export interface FetchLimits {
  readonly maxBytes: number
  /** How long the broker may wait for a first record. */
  readonly maxWaitMs: number
}

export interface FetchedPartition {
  readonly name: string
  readonly partition: number
  readonly code: number
  /** Throws what the batches throw when they cannot be read. */
  batches(): Promise<Fetched>
}

/**
 * Fetches committed records of partitions that `node` leads. A partition that
 * the answer leaves out, as under a quota, is left out here.
 *
 * @throws what the connection throws
 */
export async function fetchPartitions(
  connections: KafkaConnections,
  node: number,
  wanted: readonly FetchFrom[],
  { maxBytes, maxWaitMs }: FetchLimits,
): Promise<FetchedPartition[]> {
  const request = new WireWriter().int32(noReplica).int32(maxWaitMs).int32(1).int32(0x7fffffff)
  request.int8(readCommitted).int32(0).int32(-1)
  request.array(topicsOf(wanted), ([name, partitions]) => {
    request.string(name).array(partitions, ({ partition, offset }) => {
      request.int32(partition).int32(-1).int64(offset).int64(-1).int32(maxBytes)
    })
  })
  request.int32(0).string('')
  const answer = await connections.call(node, fetchApi, request, maxWaitMs + 10_000)
  answer.int32()
  checkCode(answer.int16())
  answer.int32()
  const fetched: FetchedPartition[] = []
  answer.array(() => {
    const name = answer.string() ?? ''
    answer.array(() => {
      const partition = answer.int32()
      const code = answer.int16()
      answer.int64()
      const stableEnd = answer.int64()
      answer.int64()
      const aborted: AbortedTransaction[] = answer.array(() => ({
        producerId: answer.int64(),
        firstOffset: answer.int64(),
      }))
      answer.int32()
      const sizeBytes = Math.max(answer.int32(), 0)
      const start = answer.at
      answer.at += sizeBytes
      const from = wanted.find((each) => each.name === name && each.partition === partition)
      if (from === undefined) return
      const { offset } = from
      fetched.push({
        name,
        partition,
        code,
        async batches() {
          const read = await readFetched(answer.bytes, start, start + sizeBytes, offset, aborted)
          // Nothing below the stable end and no error: compaction took what was there.
          const nextOffset = sizeBytes === 0 ? Math.max(offset, stableEnd) : read.nextOffset
          return { batches: read.batches, nextOffset, offset, stableEnd, sizeBytes }
        },
      })
    })
  })
  return fetched
}

export const earliest = -2
export const latest = -1

/** The offset for a time, or for `earliest` or `latest`; -1 if there is none. Of committed records. */
export async function listOffset(
  connections: KafkaConnections,
  name: string,
  partition: number,
  at: number,
): Promise<number> {
  const node = await connections.leader(name, partition)
  const request = new WireWriter().int32(noReplica).int8(readCommitted).int32(1).string(name)
  request.int32(1).int32(partition).int64(at)
  const answer = await connections.call(node, listOffsetsApi, request)
  answer.int32()
  let offset = -1
  answer.array(() => {
    answer.string()
    answer.array(() => {
      answer.int32()
      checkCode(answer.int16(), `${name}[${partition}]`)
      answer.int64()
      offset = answer.int64()
    })
  })
  return offset
}

function topicsOf(wanted: readonly FetchFrom[]): [string, FetchFrom[]][] {
  const byName = new Map<string, FetchFrom[]>()
  for (const from of wanted) {
    const partitions = byName.get(from.name)
    if (partitions === undefined) byName.set(from.name, [from])
    else partitions.push(from)
  }
  return [...byName]
}
