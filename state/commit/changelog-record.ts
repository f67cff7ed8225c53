import type { ByteWriter } from '../contracts/byte-writer.ts'
import { EngineError } from '../contracts/engine-error.ts'
import type { RecordBatch } from '../log/record-batch.ts'
import type { RecordSink } from '../log/record-sink.ts'
import type { DatabaseWrite } from '../store/database.ts'
import { spaceNameBytes } from '../store/space-name.ts'

/*
 * One record a database key, so that compaction keeps what the database would.
 *
 *     key      length of the space's name (1 to 255) | name | database key
 *     value    0 | database value        whole
 *              1 | number of parts       uint32, the parts stand before it
 *              none                      the key is deleted
 *
 * A long value has its parts in records of their own, in order, just before:
 *
 *     key      0 | number of the part, uint32 | the key as above
 *     value    the part
 *
 * Parts that a shorter value left behind are kept by compaction, and belong to
 * no value: only those that stand right before it do.
 */

const wholeValue = 0
const partedValue = 1
const partMark = 0
/** Far below the shortest limit of a record that a cluster is given. */
const partBytes = 64 << 10

export interface ChangelogPlace {
  readonly topic: string
  readonly partition: number
}

/** A database key with its space, as the key of a record. */
export function changelogKey(space: string, key: Uint8Array): Buffer {
  const name = spaceNameBytes(space)
  return Buffer.concat([Buffer.of(name.length), name, key])
}

/** What `changelogKey` was made of. */
export function splitChangelogKey(key: Buffer): { readonly space: string; readonly key: Buffer } {
  const at = 1 + key[0]!
  return { space: key.toString('utf8', 1, at), key: key.subarray(at) }
}

/** Puts writes into a sink, as records of the changelog. */
export class ChangelogEncoder {
  readonly #sink: RecordSink
  readonly #place: ChangelogPlace
  /** By space: what its keys begin with. */
  readonly #prefixes = new Map<string, Buffer>()

  constructor(sink: RecordSink, place: ChangelogPlace) {
    this.#sink = sink
    this.#place = place
  }

  put({ space, key, value }: DatabaseWrite, atMs: number): void {
    const parts = value !== undefined && value.length > partBytes ? Math.ceil(value.length / partBytes) : 0
    for (let part = 0; part < parts; part++) {
      const out = this.#begin(atMs)
      out.byte(partMark)
      out.uint32(part)
      this.#key(out, space, key)
      this.#sink.beginValue()
      out.raw(value!, part * partBytes, Math.min(value!.length, (part + 1) * partBytes))
      this.#sink.end()
    }
    const out = this.#begin(atMs)
    this.#key(out, space, key)
    this.#sink.beginValue()
    if (parts > 0) {
      out.byte(partedValue)
      out.uint32(parts)
    } else if (value !== undefined) {
      out.byte(wholeValue)
      out.raw(value)
    }
    this.#sink.end()
  }

  /** Deletes a record by its own key, a part's included. */
  bury(recordKey: Uint8Array, atMs: number): void {
    this.#begin(atMs).raw(recordKey)
    this.#sink.beginValue()
    this.#sink.end()
  }

  #begin(atMs: number): ByteWriter {
    return this.#sink.begin(this.#place.topic, this.#place.partition, atMs)
  }

  #key(out: ByteWriter, space: string, key: Uint8Array): void {
    let prefix = this.#prefixes.get(space)
    if (prefix === undefined) {
      prefix = changelogKey(space, Buffer.alloc(0))
      this.#prefixes.set(space, prefix)
    }
    out.raw(prefix)
    out.raw(key)
  }
}

/**
 * Turns records back into writes, in order. Keys and values are copies.
 *
 * Compaction works up to some point of the log, which may lie between the
 * parts of a later value: those before the point have taken the place of older
 * parts, and the older value's own record is still there. Such a value is
 * passed over, as a later one is behind it.
 */
export class ChangelogDecoder {
  /** Keys whose last value so far lacks parts. */
  readonly incomplete = new Set<string>()
  #partsOf = Buffer.alloc(0)
  #parts: Buffer[] = []

  /** Undefined for a part, which comes with the record of its value, and for a value that lacks parts. */
  decode(batch: RecordBatch, index: number): DatabaseWrite | undefined {
    const { bytes, keyStart, keyEnd, valueStart, valueEnd } = batch
    const from = keyStart[index]!
    const key = from < 0 ? Buffer.alloc(0) : bytes.subarray(from, keyEnd[index])
    if (key.length === 0) throw unreadable(batch, index, 'it has no key')
    const value = valueStart[index]! < 0 ? undefined : bytes.subarray(valueStart[index], valueEnd[index])
    if (key[0] === partMark) {
      if (value !== undefined) this.#addPart(key, value)
      return undefined
    }
    if (this.incomplete.size > 0) this.incomplete.delete(key.toString('latin1'))
    const { space, key: inSpace } = splitChangelogKey(Buffer.from(key))
    if (value === undefined) return { space, key: inSpace }
    if (value[0] === wholeValue) return { space, key: inSpace, value: Buffer.from(value.subarray(1)) }
    if (value[0] !== partedValue || value.length !== 5)
      throw unreadable(batch, index, 'it is of another form')
    const count = value.readUInt32BE(1)
    const found = this.#partsOf.equals(key) ? this.#parts : []
    const parts: Buffer[] = []
    for (let part = 0; part < count; part++) {
      const bytesOfPart = found[part]
      if (bytesOfPart !== undefined) parts.push(bytesOfPart)
    }
    if (parts.length === count) return { space, key: inSpace, value: Buffer.concat(parts) }
    this.incomplete.add(key.toString('latin1'))
    return undefined
  }

  #addPart(key: Buffer, value: Buffer): void {
    const number = key.readUInt32BE(1)
    const owner = key.subarray(5)
    if (number === 0 || !this.#partsOf.equals(owner)) {
      this.#partsOf = Buffer.from(owner)
      this.#parts = []
    }
    this.#parts[number] = value
  }
}

function unreadable(
  { topic, baseOffset, offsetDeltas }: RecordBatch,
  index: number,
  reason: string,
): EngineError {
  const offset = Number(baseOffset) + offsetDeltas[index]!
  return new EngineError('record-undecodable', {
    topic,
    reason: `${reason} (offset ${offset}); delete the topic, and the state is folded from the inputs`,
  })
}
