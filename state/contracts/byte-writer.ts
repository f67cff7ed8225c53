/**
 * A growing byte buffer with the few encodings that the log, the codecs and
 * the stores share. Reused from batch to batch: `reset` keeps the memory.
 */
export class ByteWriter {
  /** The memory behind; bytes from 0 to `length` are written. May be replaced when it grows. */
  bytes: Buffer
  /** The same memory, for generated encoders: a DataView is the fastest way to write a double. */
  data: DataView
  length = 0

  constructor(capacityBytes = 1024) {
    this.bytes = Buffer.allocUnsafe(capacityBytes)
    this.data = viewOf(this.bytes)
  }

  reset(): void {
    this.length = 0
  }

  /** Makes room for `count` more bytes; hot encoders call it once and then write without checks. */
  reserve(count: number): void {
    const needed = this.length + count
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2))
    this.bytes.copy(grown, 0, 0, this.length)
    this.bytes = grown
    this.data = viewOf(grown)
  }

  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.length++] = value
  }

  uint32(value: number): void {
    this.reserve(4)
    this.length = this.bytes.writeUInt32BE(value >>> 0, this.length)
  }

  /** IEEE 754, little-endian, as Avro writes a double. Every NaN is the same bytes: which of them arithmetic gives depends on how it was compiled. */
  double(value: number): void {
    this.reserve(8)
    this.length = this.bytes.writeDoubleLE(Number.isNaN(value) ? Number.NaN : value, this.length)
  }

  /** Zig-zag varint, as Avro writes int and long; a safe integer. */
  varint(value: number): void {
    this.reserve(10)
    const { bytes } = this
    let at = this.length
    if (value >= -0x40000000 && value <= 0x3fffffff) {
      let rest = (value << 1) ^ (value >> 31)
      while (rest & ~0x7f) {
        bytes[at++] = (rest & 0x7f) | 0x80
        rest >>>= 7
      }
      bytes[at++] = rest
    } else {
      // Zig-zag without doubling first: -2v - 1 of a safe integer may not be a safe one.
      let rest = value < 0 ? -value - 1 : value
      bytes[at++] = (rest % 0x40) * 2 + (value < 0 ? 1 : 0) + 0x80
      rest = Math.floor(rest / 0x40)
      while (rest >= 0x80) {
        bytes[at++] = (rest % 0x80) | 0x80
        rest = Math.floor(rest / 0x80)
      }
      bytes[at++] = rest
    }
    this.length = at
  }

  /** Raw bytes, no length before them. */
  raw(source: Uint8Array, start = 0, end: number = source.length): void {
    const count = end - start
    this.reserve(count)
    const { bytes } = this
    let at = this.length
    this.length += count
    // A loop over a few bytes is faster than a view of them.
    if (count <= 32) for (let from = start; from < end; from++) bytes[at++] = source[from]!
    else bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), at)
  }

  /** UTF-8 with its length before it, as Avro writes a string. */
  string(value: string): void {
    const size = Buffer.byteLength(value)
    this.varint(size)
    this.reserve(size)
    this.bytes.write(value, this.length, size, 'utf8')
    this.length += size
  }

  /** A copy of what was written. */
  take(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.length))
  }

  /** What was written, not copied: valid until the next write. */
  view(): Buffer {
    return this.bytes.subarray(0, this.length)
  }
}

const viewOf = (bytes: Buffer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
