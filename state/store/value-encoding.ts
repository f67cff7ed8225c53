import { addExtension, Packr } from 'msgpackr'

/*
 * Values of a store as MessagePack. Equal values give equal bytes, always:
 * restarts, replicas and audits are compared by them. MessagePack as it comes
 * falls short of that, or of giving back what was put, in three places, which
 * are written as extensions:
 *
 *     1  NaN: how it came about shows in the bits of its sign and payload
 *     2  -0, which comes back as 0 otherwise
 *     3  Map, which comes back as an object otherwise
 */

class NotANumber {}
class NegativeZero {}
class Entries {
  readonly entries: readonly (readonly [unknown, unknown])[]

  constructor(entries: readonly (readonly [unknown, unknown])[]) {
    this.entries = entries
  }
}

const notANumber = new NotANumber()
const negativeZero = new NegativeZero()
const nothing = Buffer.alloc(0)

// The package keeps extensions for the whole process; nothing else in it packs these classes.
addExtension({ Class: NotANumber, type: 1, pack: () => nothing, unpack: () => Number.NaN })
addExtension({ Class: NegativeZero, type: 2, pack: () => nothing, unpack: () => -0 })
addExtension({
  Class: Entries,
  type: 3,
  write: ({ entries }: Entries) => entries,
  read: (entries: readonly (readonly [unknown, unknown])[]) => new Map(entries),
})

const values = new Packr({
  // Record structures would make a value's bytes depend on what was packed before it.
  useRecords: false,
  moreTypes: true,
  int64AsType: 'bigint',
  // Bytes in a value must not be a window on the database's memory.
  copyBuffers: true,
})

/**
 * Plain data as bytes: null, undefined, booleans, numbers, bigints, text,
 * Date, Map, Set, bytes and typed arrays, lists and objects of them. Fields
 * are written in the order in which the object has them. An instance of a
 * class is written as the fields it has.
 */
export function packValue(value: unknown): Buffer {
  return values.pack(portable(value))
}

/** What `packValue` was given, in new memory. */
export function unpackValue(bytes: Uint8Array): unknown {
  return values.unpack(bytes)
}

/** The value itself where MessagePack can write it, else a copy with stand-ins for what it cannot. */
function portable(value: unknown): unknown {
  if (typeof value === 'number') {
    if (value === 0) return Object.is(value, -0) ? negativeZero : value
    return Number.isNaN(value) ? notANumber : value
  }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return portableList(value)
  if (value instanceof Map) {
    return new Entries([...value].map(([key, each]) => [portable(key), portable(each)]))
  }
  if (value instanceof Set) return new Set([...value].map(portable))
  if (value instanceof Float64Array) return withOneNaN(value, 0x7ff80000)
  if (value instanceof Float32Array) return withOneNaN(value, 0x7fc00000)
  if (ArrayBuffer.isView(value) || value instanceof Date) return value
  return portableFields(value as Readonly<Record<string, unknown>>)
}

function portableList(list: readonly unknown[]): readonly unknown[] {
  let copy: unknown[] | undefined
  for (let index = 0; index < list.length; index++) {
    const each = portable(list[index])
    if (each === list[index]) continue
    copy ??= [...list]
    copy[index] = each
  }
  return copy ?? list
}

function portableFields(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  let copy: Record<string, unknown> | undefined
  for (const name in fields) {
    const each = portable(fields[name])
    if (each === fields[name]) continue
    copy ??= { ...fields }
    copy[name] = each
  }
  return copy ?? fields
}

/** `nanHead` is the upper word of the one NaN, whose other bits are 0. */
function withOneNaN<Numbers extends Float64Array | Float32Array>(numbers: Numbers, nanHead: number): Numbers {
  let copy: Numbers | undefined
  for (let index = 0; index < numbers.length; index++) {
    if (!Number.isNaN(numbers[index])) continue
    copy ??= numbers.slice() as Numbers
    // Written as bits: an assignment may keep those of the NaN that happens to be at hand.
    const at = index * numbers.BYTES_PER_ELEMENT
    if (numbers.BYTES_PER_ELEMENT === 4) new DataView(copy.buffer).setUint32(at, nanHead, isLittleEndian)
    else new DataView(copy.buffer).setBigUint64(at, BigInt(nanHead) << 32n, isLittleEndian)
  }
  return copy ?? numbers
}

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1
