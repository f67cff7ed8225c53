/**
 * The two compressions of Kafka's producers that Node does not bring.
 *
 * Sources: Google, "Snappy compressed format description" (2011); Yann Collet,
 * "LZ4 Block Format Description" and "LZ4 Frame Format Description" (v1.6.x).
 */

/** The header that the Java client puts before its snappy blocks, each with its length. */
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0])
const xerialHeaderBytes = 16
const largestBytes = 2 ** 30

/**
 * One block, as most clients write it, or the blocks of the Java client.
 *
 * @throws RangeError when it is damaged
 */
export function unsnappy(packed: Buffer): Buffer {
  if (!packed.subarray(0, xerialMagic.length).equals(xerialMagic)) return snappyBlock(packed)
  const blocks: Buffer[] = []
  for (let at = xerialHeaderBytes; at < packed.length; ) {
    const size = packed.readInt32BE(at)
    at += 4
    if (size < 0 || at + size > packed.length) throw damaged('snappy')
    blocks.push(snappyBlock(packed.subarray(at, at + size)))
    at += size
  }
  return Buffer.concat(blocks)
}

function snappyBlock(packed: Buffer): Buffer {
  let at = 0
  let size = 0
  for (let scale = 1; ; scale *= 128) {
    const byte = packed.readUInt8(at++)
    size += (byte & 0x7f) * scale
    if (byte <= 0x7f) break
  }
  if (size > largestBytes) throw damaged('snappy')
  const out = Buffer.alloc(size)
  let end = 0
  while (at < packed.length) {
    const tag = packed[at++]!
    const kind = tag & 3
    if (kind === 0) {
      let length = tag >>> 2
      if (length >= 60) {
        const bytes = length - 59
        length = packed.readUIntLE(at, bytes)
        at += bytes
      }
      length++
      if (at + length > packed.length || end + length > size) throw damaged('snappy')
      packed.copy(out, end, at, at + length)
      at += length
      end += length
      continue
    }
    const length = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1
    let distance: number
    if (kind === 1) distance = ((tag >>> 5) << 8) | packed.readUInt8(at++)
    else {
      distance = packed.readUIntLE(at, kind === 2 ? 2 : 4)
      at += kind === 2 ? 2 : 4
    }
    if (distance === 0 || distance > end || end + length > size) throw damaged('snappy')
    end = repeat(out, end, distance, length)
  }
  if (end !== size) throw damaged('snappy')
  return out
}

const lz4Magic = 0x184d2204
const lz4Flags = { dictionary: 1, contentChecksum: 4, contentSize: 8, blockChecksum: 16 } as const

/**
 * Frames of LZ4, one after the other. The checksums inside are not looked at:
 * Kafka's own, over the whole batch, was.
 *
 * @throws RangeError when it is damaged
 */
export function unlz4(packed: Buffer): Buffer {
  const out = new Growing(packed.length * 4)
  for (let at = 0; at < packed.length; ) {
    if (packed.readUInt32LE(at) !== lz4Magic) throw damaged('lz4')
    const flags = packed.readUInt8(at + 4)
    const blockBytes = 1 << (8 + 2 * ((packed.readUInt8(at + 5) >>> 4) & 7))
    at += 7
    if (flags & lz4Flags.contentSize) at += 8
    if (flags & lz4Flags.dictionary) throw damaged('lz4 with a dictionary')
    for (;;) {
      const word = packed.readUInt32LE(at)
      at += 4
      if (word === 0) break
      const size = word & 0x7fffffff
      if (at + size > packed.length) throw damaged('lz4')
      out.reserve(blockBytes)
      if (word > 0x7fffffff) out.append(packed, at, at + size)
      else lz4Block(packed, at, at + size, out)
      at += size
      if (flags & lz4Flags.blockChecksum) at += 4
    }
    if (flags & lz4Flags.contentChecksum) at += 4
  }
  return out.bytes.subarray(0, out.length)
}

function lz4Block(packed: Buffer, start: number, stop: number, out: Growing): void {
  let at = start
  const longer = (length: number): number => {
    if (length !== 15) return length
    let sum = 15
    for (;;) {
      const byte = packed.readUInt8(at++)
      sum += byte
      if (byte !== 255) return sum
    }
  }
  while (at < stop) {
    const token = packed[at++]!
    const literals = longer(token >>> 4)
    if (at + literals > stop) throw damaged('lz4')
    out.append(packed, at, at + literals)
    at += literals
    // The last sequence of a block has literals only.
    if (at >= stop) return
    const distance = packed.readUInt16LE(at)
    at += 2
    const length = longer(token & 15) + 4
    if (distance === 0 || distance > out.length) throw damaged('lz4')
    out.reserve(length)
    out.length = repeat(out.bytes, out.length, distance, length)
  }
}

/** Copies what was written `distance` before, which may overlap with what it writes. */
function repeat(bytes: Buffer, end: number, distance: number, length: number): number {
  if (distance >= length) bytes.copyWithin(end, end - distance, end - distance + length)
  else for (let index = end; index < end + length; index++) bytes[index] = bytes[index - distance]!
  return end + length
}

class Growing {
  bytes: Buffer
  length = 0

  constructor(capacity: number) {
    this.bytes = Buffer.alloc(Math.max(capacity, 256))
  }

  reserve(count: number): void {
    const wanted = this.length + count
    if (wanted <= this.bytes.length) return
    if (wanted > largestBytes) throw damaged('lz4')
    const grown = Buffer.alloc(Math.max(wanted, this.bytes.length * 2))
    this.bytes.copy(grown, 0, 0, this.length)
    this.bytes = grown
  }

  append(source: Buffer, start: number, stop: number): void {
    this.reserve(stop - start)
    source.copy(this.bytes, this.length, start, stop)
    this.length += stop - start
  }
}

const damaged = (what: string): RangeError => new RangeError(`what is compressed with ${what} is damaged`)
