/** Reads what a `ByteWriter` wrote, from the front. Reading past the end throws a RangeError. */
export class ByteCursor {
  readonly bytes: Uint8Array
  at = 0
  readonly #view: DataView

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length
  }

  /** Zig-zag, seven bits a byte, lowest first. */
  varint(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = this.bytes[this.at++]
      if (byte === undefined) throw new RangeError('the bytes end inside a number')
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      scale *= 128
    }
  }

  /** A count of things of which each takes at least a byte. */
  count(): number {
    const count = this.varint()
    if (!(count >= 0 && count <= this.bytes.length - this.at)) {
      throw new RangeError(`${count} things are announced, ${this.bytes.length - this.at} bytes are left`)
    }
    return count
  }

  double(): number {
    const value = this.#view.getFloat64(this.at, true)
    this.at += 8
    return value
  }

  /** The next `size` bytes, not copied. */
  take(size: number): Uint8Array {
    if (!(size >= 0 && size <= this.bytes.length - this.at)) {
      throw new RangeError(`${size} bytes are announced, ${this.bytes.length - this.at} are left`)
    }
    const part = this.bytes.subarray(this.at, this.at + size)
    this.at += size
    return part
  }

  string(): string {
    const part = this.take(this.varint())
    return Buffer.from(part.buffer, part.byteOffset, part.length).toString('utf8')
  }
}
