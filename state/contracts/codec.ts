import { cursor, MalformedBytes, readText } from './byte-reader.ts'
import type { ByteWriter } from './byte-writer.ts'
import { readingProblems } from './compatibility.ts'
import { type Contract, type EventKey, type EventKeyPart, violationOf } from './contract.ts'
import { EngineError, isEngineError } from './engine-error.ts'
import { type RecordField, type SchemaNode, valueClass, withoutNull } from './schema-node.ts'
import { parseSchema } from './schema-parser.ts'
import type { SchemaRegistry } from './schema-registry.ts'
import { compileReader, type ValueReader } from './value-reader.ts'
import { describeValue, ValueViolation } from './value-violation.ts'
import { compileWriter, type ValueWriter } from './value-writer.ts'

/**
 * A contract with its ids in a registry: events to bytes and back, in
 * Confluent's wire format.
 *
 *     byte   0        1 … 4                  5 …
 *            0        schema id (BE)         Avro binary
 *
 * Ranges are `[start, end)` of a buffer and hold exactly one value: bytes left
 * over are an error, like bytes that are missing.
 */
export interface BoundContract<Value> {
  readonly contract: Contract<Value>
  readonly valueSchemaId: number
  /** -1 for a utf8 key, which has no schema. */
  readonly keySchemaId: number
  /** The key of this event; nothing is written for an event without one. */
  writeKey(value: Value, out: ByteWriter): void
  encodeKey(key: EventKey, out: ByteWriter): void
  /** @throws EngineError `record-undecodable`, `schema-unknown` */
  decodeKey(bytes: Buffer, start: number, end: number): EventKey
  /**
   * Header and body. What was begun is taken back if the value does not fit.
   * @throws EngineError `contract-violation` with the field's path
   */
  writeValue(value: Value, out: ByteWriter): void
  /**
   * Reads a value under this version of the contract, whichever version wrote it.
   * @throws EngineError `record-undecodable`, `schema-unknown`
   */
  readValue(bytes: Buffer, start: number, end: number): Value
  /** False if these value bytes name a schema that `learn` has not met. Bytes that name none are known: reading them says what is wrong. */
  isKnown(bytes: Buffer, start: number, end: number): boolean
  /**
   * Fetches a writer's schema and prepares its reader. False if the registry
   * does not have it, or if its records cannot be read under this contract;
   * reading them then says why.
   */
  learn(schemaId: number): Promise<boolean>
  /** The same two for the bytes of keys. */
  isKeyKnown(bytes: Buffer, start: number, end: number): boolean
  learnKey(schemaId: number): Promise<boolean>
}

/** Size of the header in front of the Avro body. */
export const headerBytes = 5

/** The schema id in a header; -1 if the bytes do not begin with one. */
export function schemaIdOf(bytes: Buffer, start: number, end: number): number {
  if (end - start < headerBytes || bytes[start] !== 0) return -1
  const high = bytes[start + 1] as number
  const rest =
    ((bytes[start + 2] as number) << 16) | ((bytes[start + 3] as number) << 8) | (bytes[start + 4] as number)
  return high * 0x1000000 + rest
}

export const keySubject = (topic: string): string => `${topic}-key`
export const valueSubject = (topic: string): string => `${topic}-value`

/**
 * Registers the contract's schemas under `<topic>-key` and `<topic>-value`,
 * which checks their compatibility, and prepares the codec.
 *
 * @throws EngineError `contract-incompatible`, and what the registry throws
 */
export async function bindContract<Value>(
  contract: Contract<Value>,
  registry: SchemaRegistry,
): Promise<BoundContract<Value>> {
  const { topic, schema, keySchema, compatibility, keyFormat } = contract
  const value = await registry.register(valueSubject(topic), schema, compatibility)
  const valueCodec = new FramedCodec(topic, contract.record, value.id, registry)
  if (keyFormat === 'utf8') return bound(contract, valueCodec, textKeyCodec(contract))
  const key = await registry.register(keySubject(topic), keySchema, compatibility)
  return bound(contract, valueCodec, avroKeyCodec(contract, key.id, registry))
}

/** Reads some fields of the values of a contract. */
export type Projection<Value, Field extends keyof Value> = Pick<
  BoundContract<Pick<Value, Field>>,
  'readValue' | 'isKnown' | 'learn'
>

/** What is under no id of a registry: every writer's schema is fetched. */
const noSchemaId = -2

/**
 * Prepares to read these fields of the values on a contract's topic; those
 * between them are stepped over, which costs far less than to make them, and
 * what is behind the last of them is not looked at.
 */
export function bindProjection<Value, Field extends keyof Value & string>(
  { topic, record }: Contract<Value>,
  fields: readonly Field[],
  registry: SchemaRegistry,
): Projection<Value, Field> {
  const wanted = new Set<string>(fields)
  const node = { ...record, fields: record.fields.filter(({ name }) => wanted.has(name)) }
  const codec = new FramedCodec(topic, node, noSchemaId, registry, true)
  return {
    readValue: (bytes, start, end) => codec.decode(bytes, start, end) as Pick<Value, Field>,
    isKnown: (bytes, start, end) => codec.isKnown(bytes, start, end),
    learn: (schemaId) => codec.learn(schemaId),
  }
}

interface KeyCodec {
  readonly schemaId: number
  encode(key: EventKey, out: ByteWriter): void
  decode(bytes: Buffer, start: number, end: number): EventKey
  isKnown(bytes: Buffer, start: number, end: number): boolean
  learn(schemaId: number): Promise<boolean>
}

function bound<Value>(contract: Contract<Value>, values: FramedCodec, keys: KeyCodec): BoundContract<Value> {
  const { name } = contract
  return {
    contract,
    valueSchemaId: values.schemaId,
    keySchemaId: keys.schemaId,
    writeKey(value, out) {
      const key = contract.keyOf(value)
      if (key !== null) this.encodeKey(key, out)
    },
    encodeKey(key, out) {
      const before = out.length
      try {
        keys.encode(key, out)
      } catch (error) {
        out.length = before
        throw violationOf(name, error)
      }
    },
    decodeKey: (bytes, start, end) => keys.decode(bytes, start, end),
    writeValue(value, out) {
      const before = out.length
      try {
        values.encode(value, out)
      } catch (error) {
        out.length = before
        throw violationOf(name, error)
      }
    },
    readValue: (bytes, start, end) => values.decode(bytes, start, end) as Value,
    isKnown: (bytes, start, end) => values.isKnown(bytes, start, end),
    learn: (schemaId) => values.learn(schemaId),
    isKeyKnown: (bytes, start, end) => keys.isKnown(bytes, start, end),
    learnKey: (schemaId) => keys.learn(schemaId),
  }
}

/** Values of one schema behind the wire header, read under whichever version wrote them. */
class FramedCodec {
  readonly schemaId: number
  readonly #topic: string
  readonly #node: SchemaNode
  readonly #registry: SchemaRegistry
  /** Some fields only: what is behind them is not read. */
  readonly #isPartial: boolean
  readonly #write: ValueWriter
  readonly #read: ValueReader
  /** Readers of other versions; a text says why there can be none. */
  readonly #learnt = new Map<number, ValueReader | string>()
  readonly #learning = new Map<number, Promise<boolean>>()

  constructor(
    topic: string,
    node: SchemaNode,
    schemaId: number,
    registry: SchemaRegistry,
    isPartial = false,
  ) {
    this.#isPartial = isPartial
    this.#topic = topic
    this.#node = node
    this.schemaId = schemaId
    this.#registry = registry
    this.#write = compileWriter(node)
    this.#read = compileReader(node, node)
  }

  encode(value: unknown, out: ByteWriter): void {
    out.reserve(headerBytes)
    const { bytes, length } = out
    const id = this.schemaId
    bytes[length] = 0
    bytes[length + 1] = id >>> 24
    bytes[length + 2] = id >>> 16
    bytes[length + 3] = id >>> 8
    bytes[length + 4] = id
    out.length = length + headerBytes
    this.#write(value, out)
  }

  decode(bytes: Buffer, start: number, end: number): unknown {
    checkRange(bytes, start, end)
    const id = schemaIdOf(bytes, start, end)
    const read = id === this.schemaId ? this.#read : this.#readerOf(id, end - start, bytes[start])
    let value: unknown
    try {
      value = read(bytes, start + headerBytes, end)
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error
      throw this.#undecodable(`${error.message} at byte ${error.at - start} of ${end - start}`)
    }
    if (cursor.at !== end && !this.#isPartial)
      throw this.#undecodable(`${end - cursor.at} bytes are left after the value`)
    return value
  }

  isKnown(bytes: Buffer, start: number, end: number): boolean {
    const id = schemaIdOf(bytes, start, end)
    return id === this.schemaId || id === -1 || this.#learnt.has(id)
  }

  learn(schemaId: number): Promise<boolean> {
    if (schemaId === this.schemaId) return Promise.resolve(true)
    const known = this.#learnt.get(schemaId)
    if (known !== undefined) return Promise.resolve(typeof known !== 'string')
    const learning = this.#learning.get(schemaId) ?? this.#fetch(schemaId)
    this.#learning.set(schemaId, learning)
    return learning
  }

  async #fetch(schemaId: number): Promise<boolean> {
    try {
      const schema = await this.#registry.schemaById(schemaId)
      if (schema === undefined) return false
      const reader = this.#prepare(schema)
      this.#learnt.set(schemaId, reader)
      return typeof reader !== 'string'
    } catch (error) {
      // A schema of another kind never becomes readable; a registry that is away may come back.
      if (!isEngineError(error, 'schema-invalid')) throw error
      this.#learnt.set(schemaId, error.message)
      return false
    } finally {
      this.#learning.delete(schemaId)
    }
  }

  #prepare(schema: Parameters<typeof parseSchema>[0]): ValueReader | string {
    let writer: SchemaNode
    try {
      writer = parseSchema(schema)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      return `its schema is invalid: ${error.message}`
    }
    const problem = readingProblems(this.#node, writer)[0]
    if (!problem) return compileReader(this.#isPartial ? upToLast(writer, this.#node) : writer, this.#node)
    return `its schema does not resolve to this contract: field "${problem.field}" (${problem.rule}): ${problem.detail}`
  }

  #readerOf(id: number, sizeBytes: number, magic: number | undefined): ValueReader {
    if (sizeBytes < headerBytes)
      throw this.#undecodable(`it has ${sizeBytes} bytes, the header alone has ${headerBytes}`)
    if (id === -1) throw this.#undecodable(`its first byte is ${magic}, the wire format begins with 0`)
    const reader = this.#learnt.get(id)
    if (reader === undefined) throw new EngineError('schema-unknown', { id })
    if (typeof reader === 'string') throw this.#undecodable(`schema id ${id}: ${reader}`)
    return reader
  }

  #undecodable(reason: string): EngineError {
    return new EngineError('record-undecodable', { topic: this.#topic, reason })
  }
}

/** A record without the fields behind the last one that the reader wants. */
function upToLast(writer: SchemaNode, reader: SchemaNode): SchemaNode {
  if (writer.kind !== 'record' || reader.kind !== 'record') return writer
  const wanted = new Set(reader.fields.flatMap(({ name, aliases }) => [name, ...aliases]))
  const last = writer.fields.findLastIndex(({ name }) => wanted.has(name))
  return { ...writer, fields: writer.fields.slice(0, last + 1) }
}

function checkRange(bytes: Buffer, start: number, end: number): void {
  if (start < 0 || end > bytes.length || start > end) {
    throw new RangeError(`bytes ${start} to ${end} are not in a buffer of ${bytes.length}`)
  }
}

/** A composite key is a record on the wire and a list in the engine. */
function avroKeyCodec(contract: Contract, schemaId: number, registry: SchemaRegistry): KeyCodec {
  const { keyFields, topic, keySchema } = contract
  const framed = new FramedCodec(topic, parseSchema(keySchema), schemaId, registry)
  const isComposite = keyFields.length > 1
  const partsByField = partsOf(keyFields)
  return {
    schemaId,
    encode(key, out) {
      framed.encode(isComposite ? partsByField(key) : key, out)
    },
    decode(bytes, start, end) {
      const value = framed.decode(bytes, start, end)
      if (!isComposite) return value as EventKeyPart
      return keyFields.map((field) => (value as Record<string, EventKeyPart>)[field] as EventKeyPart)
    },
    isKnown: (bytes, start, end) => framed.isKnown(bytes, start, end),
    learn: (id) => framed.learn(id),
  }
}

/** A composite key's parts by field, in an object that is good until the next key. */
function partsOf(fields: readonly string[]): (key: EventKey) => Readonly<Record<string, EventKeyPart>> {
  const byField: Record<string, EventKeyPart> = {}
  return (key) => {
    const parts = Array.isArray(key) ? (key as readonly EventKeyPart[]) : []
    if (parts.length !== fields.length) {
      const found = Array.isArray(key) ? `a list of ${parts.length}` : `one ${typeof key}`
      throw new ValueViolation('(key)', found, `a list of ${fields.length}: ${fields.join(', ')}`)
    }
    for (let index = 0; index < fields.length; index++) byField[fields[index]!] = parts[index]!
    return byField
  }
}

/** Keys as plain text; numbers in decimal digits. */
function textKeyCodec(contract: Contract): KeyCodec {
  const { topic, keyFields, record } = contract
  const field = record.fields.find(({ name }) => name === keyFields[0])
  const node = withoutNull((field as RecordField).type)
  const kind = valueClass(node)
  const undecodable = (reason: string) => new EngineError('record-undecodable', { topic, reason })
  return {
    schemaId: -1,
    encode(key, out) {
      if (typeof key !== kind) throw new ValueViolation(keyFields[0] ?? '', describeValue(key), `a ${kind}`)
      out.raw(Buffer.from(String(key)))
    },
    decode(bytes, start, end) {
      checkRange(bytes, start, end)
      let text: string
      try {
        text = readText(bytes, start, end - start)
      } catch (error) {
        if (!(error instanceof MalformedBytes)) throw error
        throw undecodable(`its key is not UTF-8`)
      }
      if (kind === 'string') return text
      const value = /^-?\d{1,19}$/.test(text) ? BigInt(text) : undefined
      if (value === undefined) throw undecodable(`its key is ${describeValue(text)}, expected a whole number`)
      if (kind === 'bigint') return value
      if (!Number.isSafeInteger(Number(value))) throw undecodable(`its key ${text} is beyond 2^53 - 1`)
      return Number(value)
    },
    isKnown: () => true,
    learn: () => Promise.resolve(true),
  }
}
