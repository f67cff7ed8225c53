import type { Database, DatabaseWrite } from '../../state/store/database.ts'

const spaces = ['a', 'b', 'positions'] as const
const keyBytes = 8

/**
 * Batch `number`: a few entries in each of three spaces, `valueBytes` each,
 * all of which say the number; it also deletes those of the batch 20 before
 * it, and moves the one position that all batches share.
 */
export function numberedBatch(number: number, valueBytes: number): DatabaseWrite[] {
  const value = Buffer.alloc(Math.max(4, valueBytes), number & 0xff)
  value.writeUInt32BE(number)
  const writes: DatabaseWrite[] = []
  for (const space of ['a', 'b'] as const) {
    for (const index of [0, 1, 2]) {
      writes.push({ space, key: keyOf(number, index), value })
      if (number >= 20) writes.push({ space, key: keyOf(number - 20, index) })
    }
  }
  writes.push({ space: 'positions', key: Buffer.from('at'), value: value.subarray(0, 4) })
  return writes
}

/**
 * The number of the last batch of which a database shows anything, -1 for
 * none, and what is there against what batches 0 to that one leave: equal
 * unless a batch is there in part or one is missing.
 */
export async function stateOf(
  database: Database,
  valueBytes: number,
): Promise<{
  readonly last: number
  readonly found: readonly string[]
  readonly expected: readonly string[]
}> {
  const found: string[] = []
  let last = -1
  for (const space of spaces) {
    for await (const chunk of database.scan(space)) {
      for (const { key, value } of chunk) {
        found.push(line(space, key, value))
        last = Math.max(last, Buffer.from(value).readUInt32BE())
      }
    }
  }
  const entries = new Map<string, string>()
  for (let number = Math.max(0, last - 40); number <= last; number++) {
    for (const { space, key, value } of numberedBatch(number, valueBytes)) {
      const at = `${space} ${Buffer.from(key).toString('hex')}`
      if (value === undefined) entries.delete(at)
      else entries.set(at, line(space, key, value))
    }
  }
  return { last, found: found.sort(), expected: [...entries.values()].sort() }
}

function keyOf(number: number, index: number): Buffer {
  const key = Buffer.alloc(keyBytes)
  key.writeUInt32BE(number)
  key.writeUInt32BE(index, 4)
  return key
}

const line = (space: string, key: Uint8Array, value: Uint8Array): string =>
  `${space} ${Buffer.from(key).toString('hex')} ${Buffer.from(value).toString('hex')}`
