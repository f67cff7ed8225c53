import type { AvroSchema, AvroTypeObject } from './avro-schema.ts'
import { defaultJson } from './default-json.ts'
import type { TimestampMs } from './units.ts'

/** The field types that are named by a word, and the TypeScript values they stand for. */
export interface NamedTypes {
  /** 32 bits. */
  int: number
  /** Whole numbers up to 2^53 - 1; what is beyond is an error, never rounded. */
  long: number
  /** The whole 64 bits. */
  bigint: bigint
  /** Rounded to single precision when it is written. */
  float: number
  double: number
  boolean: boolean
  string: string
  uuid: string
  bytes: Uint8Array
  /** Avro's timestamp-millis. */
  timestamp: TimestampMs
}

export type NamedType = keyof NamedTypes

declare const valueOfType: unique symbol

/** A field type made by a function below. `Tag` is the name a value carries in a union that needs tags. */
export interface FieldType<Value = unknown, Kind extends string = string, Tag extends string = string> {
  readonly kind: Kind
  readonly tag: Tag
  readonly schema: AvroSchema
  /** As JSON in the schema; absent: a value must be given. */
  readonly default?: unknown
  readonly [valueOfType]?: () => Value
}

export type FieldSpec = NamedType | FieldType
export type FieldSpecs = Readonly<Record<string, FieldSpec>>

/** The TypeScript value of a field type. */
export type ValueOf<Spec> = Spec extends NamedType
  ? NamedTypes[Spec]
  : Spec extends FieldType<infer Value>
    ? Value
    : null

export type RecordValue<Fields extends FieldSpecs> = {
  readonly [Name in keyof Fields]: ValueOf<Fields[Name]>
}

export type KindOf<Spec> =
  Spec extends FieldType<unknown, infer Kind> ? Kind : Spec extends string ? Spec : never

type TagOf<Spec> = Spec extends 'timestamp' | 'bigint'
  ? 'long'
  : Spec extends 'uuid'
    ? 'string'
    : Spec extends FieldType<unknown, string, infer Tag>
      ? Tag
      : Spec extends string
        ? Spec
        : never

type ClassOf<Kind> = Kind extends 'int' | 'long' | 'float' | 'double' | 'timestamp'
  ? 'number'
  : Kind extends 'string' | 'uuid' | 'enum'
    ? 'string'
    : Kind extends 'bigint' | 'decimal'
      ? 'bigint'
      : Kind extends 'map' | 'record'
        ? 'object'
        : Kind

type HasRepeatedClass<Specs extends readonly unknown[], Seen = never> = Specs extends readonly [
  infer First,
  ...infer Rest,
]
  ? ClassOf<KindOf<First>> extends Seen
    ? true
    : HasRepeatedClass<Rest, Seen | ClassOf<KindOf<First>>>
  : false

type Tagged<Spec> = Spec extends 'null' ? null : { readonly [Tag in TagOf<Spec>]: ValueOf<Spec> }

/**
 * The value of a union: the bare value where JavaScript can tell the branches
 * apart, else `{ [tag]: value }` with Avro's type name as the tag.
 */
export type UnionValue<Specs extends readonly unknown[]> =
  HasRepeatedClass<Specs> extends true ? Tagged<Specs[number]> : ValueOf<Specs[number]>

/** The value or null; a field of it may be left out, and is then null. */
export function nullable<const Spec extends FieldSpec>(
  spec: Spec,
): FieldType<ValueOf<Spec> | null, KindOf<Spec>, TagOf<Spec>> {
  const inner = fieldType(spec)
  const branches = Array.isArray(inner.schema) ? inner.schema : [inner.schema]
  if (branches.includes('null')) throw new RangeError('nullable() of a type that is nullable already')
  return make(inner.kind, inner.tag, ['null', ...branches], null)
}

export const array = <const Spec extends FieldSpec>(
  items: Spec,
): FieldType<readonly ValueOf<Spec>[], 'array', 'array'> =>
  make('array', 'array', { type: 'array', items: fieldType(items).schema })

/** From strings to values. Maps have no prototype, so `map[key]` of a missing key is always undefined. */
export const map = <const Spec extends FieldSpec>(
  values: Spec,
): FieldType<{ readonly [key: string]: ValueOf<Spec> }, 'map', 'map'> =>
  make('map', 'map', { type: 'map', values: fieldType(values).schema })

/** A record inside the event. The same one may be used for several fields. */
export const record = <const Name extends string, const Fields extends FieldSpecs>(
  name: Name,
  fields: Fields,
): FieldType<RecordValue<Fields>, 'record', Name> => make('record', name, recordSchema(name, fields))

/** One of the symbols. With `fallback`, readers take a symbol that they do not know for that one. */
export const enumeration = <const Name extends string, const Symbols extends readonly string[]>(
  name: Name,
  symbols: Symbols,
  fallback?: Symbols[number],
): FieldType<Symbols[number], 'enum', Name> =>
  make('enum', name, {
    type: 'enum',
    name,
    symbols,
    ...(fallback === undefined ? {} : { default: fallback }),
  })

/**
 * A number with `scale` digits after the point and at most `precision` in all.
 * Its value is the unscaled bigint (12.34 at scale 2 is 1234n): exact, and
 * plain to compare and add.
 */
export function decimal(precision: number, scale: number): FieldType<bigint, 'decimal', 'bytes'> {
  if (!Number.isInteger(precision) || precision < 1 || precision > 1_000) {
    throw new RangeError(`decimal precision ${precision} is not a whole number from 1 to 1000`)
  }
  if (!Number.isInteger(scale) || scale < 0 || scale > precision) {
    throw new RangeError(`decimal scale ${scale} is not a whole number from 0 to the precision ${precision}`)
  }
  return make('decimal', 'bytes', { type: 'bytes', logicalType: 'decimal', precision, scale })
}

/** One of several types; 'null' may be one. See `UnionValue` for how values are told apart. */
export const union = <const Specs extends readonly (FieldSpec | 'null')[]>(
  ...specs: Specs
): FieldType<UnionValue<Specs>, 'union', 'union'> =>
  make(
    'union',
    'union',
    specs.map((spec) => (spec === 'null' ? 'null' : fieldType(spec).schema)),
  )

/** A type whose field may be left out; readers of older records take the default too. */
export function withDefault<const Spec extends FieldSpec>(
  spec: Spec,
  value: ValueOf<Spec>,
): FieldType<ValueOf<Spec>, KindOf<Spec>, TagOf<Spec>> {
  const inner = fieldType(spec)
  const { schema, json } = defaultJson(inner.schema, value)
  return make(inner.kind, inner.tag, schema, json)
}

/** The Avro record of some fields. */
export const recordSchema = (name: string, fields: FieldSpecs): AvroTypeObject => ({
  type: 'record',
  name,
  fields: Object.entries(fields).map(([fieldName, spec]) => {
    const { schema, default: json } = fieldType(spec)
    return json === undefined
      ? { name: fieldName, type: schema }
      : { name: fieldName, type: schema, default: json }
  }),
})

const named: { readonly [Name in NamedType]: readonly [tag: string, schema: AvroSchema] } = {
  int: ['int', 'int'],
  long: ['long', 'long'],
  bigint: ['long', { type: 'long', jsType: 'bigint' }],
  float: ['float', 'float'],
  double: ['double', 'double'],
  boolean: ['boolean', 'boolean'],
  string: ['string', 'string'],
  uuid: ['string', { type: 'string', logicalType: 'uuid' }],
  bytes: ['bytes', 'bytes'],
  timestamp: ['long', { type: 'long', logicalType: 'timestamp-millis' }],
}

function fieldType(spec: FieldSpec): FieldType {
  if (typeof spec !== 'string') {
    if (typeof spec === 'object' && spec !== null && 'schema' in spec) return spec
    throw new RangeError(`${String(spec)} is not a field type`)
  }
  if (!Object.hasOwn(named, spec)) {
    throw new RangeError(`"${spec}" is not a field type; types are ${Object.keys(named).join(', ')}`)
  }
  const [tag, schema] = named[spec]
  return { kind: spec, tag, schema }
}

/** The value's type is known to the compiler only; nothing of it exists at run time. */
function make<Value, Kind extends string, Tag extends string>(
  kind: string,
  tag: string,
  schema: AvroSchema,
  json?: unknown,
): FieldType<Value, Kind, Tag> {
  const made: FieldType = json === undefined ? { kind, tag, schema } : { kind, tag, schema, default: json }
  return made as FieldType<Value, Kind, Tag>
}
