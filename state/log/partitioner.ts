/**
 * Which partition a key belongs to, exactly as Kafka's default partitioner
 * decides it, so that a topic written here and one written by any Kafka
 * producer agree.
 */

const multiplier = 0x5bd1e995
const seed = 0x9747b28c

/**
 * Hash of `bytes[start, end)` as a signed 32-bit integer.
 *
 * Source: A. Appleby, MurmurHash2 (public domain), 2008, with the seed that
 * Apache Kafka uses; vectors from Kafka's own tests are in the test.
 */
export function murmur2(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  const length = end - start
  let hash = seed ^ length
  let at = start
  for (const stop = start + (length & ~3); at < stop; at += 4) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    const mixed = Math.imul(word, multiplier)
    hash = Math.imul(hash, multiplier) ^ Math.imul(mixed ^ (mixed >>> 24), multiplier)
  }
  const rest = length & 3
  if (rest > 0) {
    if (rest === 3) hash ^= (bytes[at + 2] as number) << 16
    if (rest >= 2) hash ^= (bytes[at + 1] as number) << 8
    hash = Math.imul(hash ^ (bytes[at] as number), multiplier)
  }
  hash = Math.imul(hash ^ (hash >>> 13), multiplier)
  return hash ^ (hash >>> 15)
}

/** The partition, from 0 to `partitions - 1`, of the key `bytes[start, end)`. */
export function partitionOf(bytes: Uint8Array, start: number, end: number, partitions: number): number {
  return (murmur2(bytes, start, end) & 0x7fffffff) % partitions
}

/**
 * Spreads records without a key: partition 0, 1, 2, … and round again, one
 * counter a topic. Whoever writes holds one, so that the same program writes
 * the same partitions again.
 */
export class KeylessPartitioner {
  readonly #next = new Map<string, number>()

  partitionFor(topic: string, partitions: number): number {
    const partition = (this.#next.get(topic) ?? 0) % partitions
    this.#next.set(topic, partition + 1)
    return partition
  }
}
