import { cursor, readLong, readSize, readText } from '../../state/contracts/byte-reader.ts'

/** Reads a written state from front to back. Bytes that end early throw. */
export class StateReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isDone(): boolean {
    return this.#at >= this.#bytes.length
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#at++)
  }

  varint(): number {
    const value = readLong(this.#bytes, this.#at, this.#bytes.length)
    this.#at = cursor.at
    return value
  }

  double(): number {
    const value = this.#bytes.readDoubleLE(this.#at)
    this.#at += 8
    return value
  }

  string(): string {
    const size = readSize(this.#bytes, this.#at, this.#bytes.length)
    const start = cursor.at
    this.#at = start + size
    return readText(this.#bytes, start, size)
  }

  /** Valid as long as the bytes that are read from. */
  raw(size: number): Uint8Array {
    const start = this.#at
    this.#at += size
    if (this.#at > this.#bytes.length)
      throw new RangeError(`a state of ${this.#bytes.length} bytes ends early`)
    return this.#bytes.subarray(start, this.#at)
  }

  /** The bytes after a length, as a state within a state is written. */
  nested(): Uint8Array {
    return this.raw(this.varint())
  }
}
