import type { AvroField, AvroSchema, AvroTypeObject } from './avro-schema.ts'
import { type CompatibilityMode, compatibilityModes } from './compatibility.ts'
import { EngineError } from './engine-error.ts'
import { isNullable, type RecordField, type RecordNode, type SchemaNode, withoutNull } from './schema-node.ts'
import { parseSchema } from './schema-parser.ts'
import type { DurationMs, TimestampMs } from './units.ts'
import { compileParser } from './value-parser.ts'
import { ValueViolation } from './value-violation.ts'

export type EventKeyPart = number | string | bigint

/** What decides an event's partition; the parts of a composite key in the order they were declared in. */
export type EventKey = EventKeyPart | readonly EventKeyPart[]

/**
 * How keys are written: `avro` under a registered schema with the Confluent
 * header; `utf8` as plain text, which is what most other producers do.
 */
export type KeyFormat = 'avro' | 'utf8'

/** A kind of event: its Avro schema, its TypeScript type, its key and its event time. */
export interface Contract<Value = unknown, Name extends string = string> {
  readonly name: Name
  readonly topic: string
  readonly schema: AvroSchema
  /** One field: its type without null; several: a record of them; utf8: a string. */
  readonly keySchema: AvroSchema
  /** The parsed schema: names, types and defaults of the fields. */
  readonly record: RecordNode
  /** In the order of the declaration. */
  readonly fieldNames: readonly string[]
  readonly keyFields: readonly string[]
  readonly keyFormat: KeyFormat
  readonly timeField: string
  readonly compatibility: CompatibilityMode
  readonly doc?: string
  /** Absent: as the topic or the runtime says. */
  readonly retentionMs?: DurationMs
  readonly partitions?: number
  /** Null if any of the key's fields is null: such an event has no key. */
  keyOf(value: Value): EventKey | null
  /** NaN never comes from a decoded or a parsed value. */
  timeOf(value: Value): TimestampMs
  /**
   * Checks a value from JSON or untyped code and returns it ready to encode.
   * Takes ISO-8601 text for timestamps, digits for bigints, base64 for bytes,
   * and leaves out fields with a default; refuses unknown fields, numbers out
   * of range, NaN and infinities, and nesting deeper than 64.
   *
   * @throws EngineError `contract-violation` with the field's path
   */
  parse(input: unknown): Value
}

export interface ContractOptions {
  readonly topic?: string
  readonly compatibility?: CompatibilityMode
  readonly keyFormat?: KeyFormat
  readonly doc?: string
  readonly retentionMs?: DurationMs
  /** From 1. */
  readonly partitions?: number
}

interface Parts extends ContractOptions {
  readonly name: string
  readonly schema: AvroTypeObject
  readonly key: string | readonly string[]
  readonly time: string
}

/**
 * Puts a contract together and checks it.
 *
 * @throws RangeError that names the event and what is wrong in its declaration
 */
export function makeContract<Value, Name extends string>(
  parts: Parts & { name: Name },
): Contract<Value, Name> {
  try {
    return assemble(parts)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new RangeError(`event "${parts.name}": ${error.message}`, { cause: error })
  }
}

function assemble<Value, Name extends string>(parts: Parts & { name: Name }): Contract<Value, Name> {
  const { name, schema, time, topic = name, compatibility = 'BACKWARD', keyFormat = 'avro' } = parts
  checkOptions(parts, topic, compatibility, keyFormat)
  const record = parseSchema(schema)
  if (record.kind !== 'record') throw new RangeError(`its schema is ${record.kind}, expected a record`)
  const keyFields = typeof parts.key === 'string' ? [parts.key] : [...parts.key]
  checkKey(record, keyFields, keyFormat)
  const unitsPerMs = timeUnits(record, time)
  const parse = compileParser(record)
  const readTime = new Function('v', `return v[${JSON.stringify(time)}]`) as (value: unknown) => number
  const readKey = compileKey(keyFields)
  return {
    name,
    topic,
    schema,
    keySchema: keySchemaOf(schema, record, keyFields, keyFormat),
    record,
    fieldNames: record.fields.map((field) => field.name),
    keyFields,
    keyFormat,
    timeField: time,
    compatibility,
    ...(parts.doc === undefined ? {} : { doc: parts.doc }),
    ...(parts.retentionMs === undefined ? {} : { retentionMs: parts.retentionMs }),
    ...(parts.partitions === undefined ? {} : { partitions: parts.partitions }),
    keyOf: readKey,
    timeOf: unitsPerMs === 1 ? readTime : (value) => Math.floor(readTime(value) / unitsPerMs),
    parse(input) {
      try {
        return parse(input, 1) as Value
      } catch (error) {
        throw violationOf(name, error)
      }
    },
  }
}

/** A violation as the error that leaves this folder; anything else as it is. */
export function violationOf(contract: string, error: unknown): unknown {
  if (!(error instanceof ValueViolation)) return error
  const { path, found, expected } = error
  return new EngineError('contract-violation', {
    contract,
    field: path === '' ? '(root)' : path,
    found,
    expected,
  })
}

const topicPattern = /^[a-zA-Z0-9._-]{1,249}$/

function checkOptions(options: ContractOptions, topic: string, mode: string, keyFormat: string): void {
  if (!topicPattern.test(topic) || topic === '.' || topic === '..') {
    throw new RangeError(`"${topic}" is not a topic name: letters, digits, '.', '_' and '-', at most 249`)
  }
  if (!(compatibilityModes as readonly string[]).includes(mode)) {
    throw new RangeError(`"${mode}" is not a compatibility mode; modes are ${compatibilityModes.join(', ')}`)
  }
  if (keyFormat !== 'avro' && keyFormat !== 'utf8') {
    throw new RangeError(`"${keyFormat}" is not a key format; formats are avro, utf8`)
  }
  const { partitions, retentionMs } = options
  if (partitions !== undefined && !(Number.isInteger(partitions) && partitions >= 1)) {
    throw new RangeError(`partitions is ${partitions}, expected a whole number from 1`)
  }
  if (retentionMs !== undefined && !(Number.isSafeInteger(retentionMs) && retentionMs > 0)) {
    throw new RangeError(`retentionMs is ${retentionMs}, expected a positive whole number`)
  }
}

function fieldOf(record: RecordNode, name: string, use: string): RecordField {
  const field = record.fields.find((each) => each.name === name)
  if (field) return field
  const known = record.fields.map((each) => each.name).join(', ')
  throw new RangeError(`${use} "${name}" is not one of its fields: ${known}`)
}

/** Types whose equal values have equal bytes and equal texts, which a key needs. */
const keyKinds: ReadonlySet<string> = new Set(['int', 'long', 'string', 'enum'])

function checkKey(record: RecordNode, names: readonly string[], format: KeyFormat): void {
  if (names.length === 0) throw new RangeError('its key names no field')
  if (new Set(names).size < names.length)
    throw new RangeError(`its key names a field twice: ${names.join(', ')}`)
  if (format === 'utf8' && names.length > 1) {
    throw new RangeError('a key of several fields cannot be written as utf8; use keyFormat avro')
  }
  for (const name of names) {
    const { kind } = withoutNull(fieldOf(record, name, 'key').type)
    if (!keyKinds.has(kind)) {
      throw new RangeError(`key "${name}" is ${kind}; a key is a whole number, a string or an enumeration`)
    }
  }
}

/** How many units of the time field make a millisecond. */
function timeUnits(record: RecordNode, name: string): number {
  const { type } = fieldOf(record, name, 'time')
  if (isNullable(type)) throw new RangeError(`time "${name}" may be null; every event needs its time`)
  const logicalType = type.kind === 'long' ? (type.logicalType ?? 'timestamp-millis') : ''
  if (type.kind === 'long' && !type.bigint) {
    if (logicalType.endsWith('timestamp-millis')) return 1
    if (logicalType.endsWith('timestamp-micros')) return 1_000
  }
  throw new RangeError(
    `time "${name}" is ${logicalType || type.kind}; expected a timestamp, or a long in milliseconds`,
  )
}

function compileKey(names: readonly string[]): (value: unknown) => EventKey | null {
  const reads = names.map((name, index) => `const k${index} = v[${JSON.stringify(name)}];`)
  const isNull = names.map((_, index) => `k${index} === null || k${index} === undefined`)
  const keys = names.map((_, index) => `k${index}`).join(', ')
  const source = `${reads.join(' ')} return ${isNull.join(' || ')} ? null : ${names.length > 1 ? `[${keys}]` : keys}`
  return new Function('v', source) as (value: unknown) => EventKey | null
}

function keySchemaOf(
  schema: AvroTypeObject,
  record: RecordNode,
  names: readonly string[],
  format: KeyFormat,
): AvroSchema {
  if (format === 'utf8') return 'string'
  const types = names.map((name) => plainKeyType(withoutNull(fieldOf(record, name, 'key').type)))
  if (types.length === 1) return types[0] as AvroSchema
  const fields = names.map((name, index): AvroField => ({ name, type: types[index] as AvroSchema }))
  const { namespace } = schema
  return {
    type: 'record',
    name: `${schema.name}Key`,
    ...(namespace === undefined ? {} : { namespace }),
    fields,
  }
}

/** An enumeration is a string in keys, so that a new symbol is no new key schema. */
function plainKeyType(node: SchemaNode): AvroSchema {
  switch (node.kind) {
    case 'long':
      if (node.bigint) return { type: 'long', jsType: 'bigint' }
      return node.logicalType === undefined ? 'long' : { type: 'long', logicalType: node.logicalType }
    case 'int':
      return node.logicalType === undefined ? 'int' : { type: 'int', logicalType: node.logicalType }
    default:
      return 'string'
  }
}
