import { ByteWriter } from '../../contracts/byte-writer.ts'

/** Writes the parts of a request, big-endian as Kafka's protocol has them. */
export class WireWriter {
  readonly out: ByteWriter

  constructor(capacityBytes = 256) {
    this.out = new ByteWriter(capacityBytes)
  }

  int8(value: number): this {
    this.out.byte(value & 0xff)
    return this
  }

  int16(value: number): this {
    this.out.byte((value >> 8) & 0xff)
    this.out.byte(value & 0xff)
    return this
  }

  int32(value: number): this {
    this.out.uint32(value)
    return this
  }

  /** A whole number; exact up to 2^53 on both sides. */
  int64(value: number): this {
    this.out.reserve(8)
    writeInt64(this.out.bytes, value, this.out.length)
    this.out.length += 8
    return this
  }

  /** Null is written as a length of -1. */
  string(value: string | null): this {
    if (value === null) return this.int16(-1)
    const size = Buffer.byteLength(value)
    this.int16(size)
    this.out.reserve(size)
    this.out.bytes.write(value, this.out.length, size, 'utf8')
    this.out.length += size
    return this
  }

  /** As the flexible versions of a request have a string, below 127 bytes. */
  compactString(value: string): this {
    const bytes = Buffer.from(value)
    let rest = bytes.length + 1
    for (; rest > 0x7f; rest >>>= 7) this.out.byte((rest & 0x7f) | 0x80)
    this.out.byte(rest)
    this.out.raw(bytes)
    return this
  }

  array<Item>(items: readonly Item[], write: (item: Item) => void): this {
    this.int32(items.length)
    for (const item of items) write(item)
    return this
  }
}

/** Reads the parts of an answer. */
export class WireReader {
  readonly bytes: Buffer
  at: number

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes
    this.at = at
  }

  int8(): number {
    return this.bytes.readInt8(this.at++)
  }

  int16(): number {
    this.at += 2
    return this.bytes.readInt16BE(this.at - 2)
  }

  int32(): number {
    this.at += 4
    return this.bytes.readInt32BE(this.at - 4)
  }

  int64(): number {
    this.at += 8
    return readInt64(this.bytes, this.at - 8)
  }

  string(): string | null {
    const size = this.int16()
    if (size < 0) return null
    this.at += size
    return this.bytes.toString('utf8', this.at - size, this.at)
  }

  /** A null array reads as an empty one. */
  array<Item>(read: () => Item): Item[] {
    const items: Item[] = []
    for (let count = this.int32(); count > 0; count--) items.push(read())
    return items
  }
}

export function writeInt64(bytes: Buffer, value: number, at: number): void {
  const high = Math.floor(value / 0x1_0000_0000)
  bytes.writeInt32BE(high, at)
  bytes.writeUInt32BE(value - high * 0x1_0000_0000, at + 4)
}

/** Exact up to 2^53 on both sides. */
export const readInt64 = (bytes: Buffer, at: number): number =>
  bytes.readInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4)
