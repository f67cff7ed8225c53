import type { AvroField, AvroSchema, AvroTypeObject } from './avro-schema.ts'
import { type Contract, type ContractOptions, makeContract } from './contract.ts'
import { type FieldSpecs, type KindOf, type RecordValue, recordSchema, type ValueOf } from './field-type.ts'
import { unqualified } from './schema-node.ts'

/** The value type of a contract: `EventOf<typeof trip>`. */
export type EventOf<Declared> = Declared extends Contract<infer Value> ? Value : never

type KeyKind = 'int' | 'long' | 'bigint' | 'timestamp' | 'string' | 'uuid' | 'enum'

/** The fields that may be a key: whole numbers, strings and enumerations, nullable ones included. */
export type KeyField<Fields extends FieldSpecs> = {
  [Name in keyof Fields]: KindOf<Fields[Name]> extends KeyKind ? Name : never
}[keyof Fields] &
  string

/** The fields that may be the event time: timestamps, or longs in milliseconds, that are never null. */
export type TimeField<Fields extends FieldSpecs> = {
  [Name in keyof Fields]: KindOf<Fields[Name]> extends 'timestamp' | 'long'
    ? null extends ValueOf<Fields[Name]>
      ? never
      : Name
    : never
}[keyof Fields] &
  string

export interface EventOptions<Fields extends FieldSpecs> extends ContractOptions {
  /** What decides the partition; several fields make a composite key. */
  readonly key: KeyField<Fields> | readonly [KeyField<Fields>, ...KeyField<Fields>[]]
  /** When the event happened. */
  readonly time: TimeField<Fields>
  readonly namespace?: string
}

/**
 * Declares a kind of event.
 *
 *     const trip = event('trip', { pickupZone: 'int', distanceKm: 'double', startedAt: 'timestamp' },
 *       { key: 'pickupZone', time: 'startedAt' })
 *
 * The Avro record is named after the event in PascalCase ('feature-update'
 * becomes FeatureUpdate), the topic after the event as it is.
 *
 * @throws RangeError for a name, a type, a key or a time that cannot be used
 */
export function event<const Name extends string, const Fields extends FieldSpecs>(
  name: Name,
  fields: Fields,
  options: EventOptions<NoInfer<Fields>>,
): Contract<RecordValue<Fields>, Name> {
  const { namespace, doc } = options
  const schema: AvroTypeObject = {
    ...recordSchema(recordName(name), fields),
    ...(namespace === undefined ? {} : { namespace }),
    ...(doc === undefined ? {} : { doc }),
  }
  return makeContract({ ...options, name, schema: nameOnce(name, schema) })
}

export interface AvscOptions extends ContractOptions {
  /** Default: the record's name without its namespace. */
  readonly name?: string
  readonly key: string | readonly string[]
  readonly time: string
}

/**
 * The same for an Avro record schema that exists already: parsed JSON, or its
 * text. Longs are numbers; a long with `"jsType": "bigint"` is a bigint.
 *
 * @throws RangeError for a schema that is invalid or is no record, and as `event` does
 */
export function eventFromAvsc<Value = Readonly<Record<string, unknown>>>(
  avsc: AvroTypeObject | string,
  options: AvscOptions,
): Contract<Value> {
  const schema = typeof avsc === 'string' ? parseJson(avsc) : avsc
  if (schema?.type !== 'record' || typeof schema.name !== 'string') {
    throw new RangeError('the schema of an event is an Avro record with a name')
  }
  const { doc = schema.doc } = options
  const name = options.name ?? unqualified(schema.name)
  return makeContract({ ...options, ...(doc === undefined ? {} : { doc }), name, schema })
}

function parseJson(text: string): AvroTypeObject | undefined {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new RangeError('the schema of an event is not JSON', { cause: error })
  }
}

function recordName(name: string): string {
  const words = name.split(/[^A-Za-z0-9_]+/).filter((word) => word !== '')
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

/** Avro defines a named type where it is met first and names it afterwards. */
function nameOnce(event: string, schema: AvroTypeObject): AvroTypeObject {
  const defined = new Map<string, string>()
  const visit = (type: AvroSchema): AvroSchema => {
    if (typeof type === 'string') return type
    if (!isTypeObject(type)) return type.map(visit)
    if (type.name === undefined) {
      return {
        ...type,
        ...(type.items === undefined ? {} : { items: visit(type.items) }),
        ...(type.values === undefined ? {} : { values: visit(type.values) }),
      }
    }
    const text = JSON.stringify(type)
    const known = defined.get(type.name)
    if (known === text) return type.name
    if (known !== undefined)
      throw new RangeError(`event "${event}": defines the type "${type.name}" in two ways`)
    defined.set(type.name, text)
    if (type.fields === undefined) return type
    const fields = type.fields.map((field): AvroField => ({ ...field, type: visit(field.type) }))
    return { ...type, fields }
  }
  return visit(schema) as AvroTypeObject
}

const isTypeObject = (type: AvroTypeObject | readonly AvroSchema[]): type is AvroTypeObject =>
  !Array.isArray(type)
