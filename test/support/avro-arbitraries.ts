import avsc from 'avsc'
import fc from 'fast-check'
import type { AvroField, AvroSchema, AvroTypeObject } from '../../state/contracts/avro-schema.ts'
import { type SchemaNode, typeName } from '../../state/contracts/schema-node.ts'

/** A value as this engine has it, and as avsc has it with its unions wrapped and its longs as bigints. */
export interface ValuePair {
  readonly ours: unknown
  readonly avsc: unknown
}

/** avsc as an oracle: every union wrapped by name, every long a bigint, so that nothing is rounded. */
export const oracleType = (schema: AvroSchema): avsc.Type =>
  avsc.Type.forSchema(
    plain(schema) as avsc.Schema,
    { wrapUnions: 'always', registry: { long: bigLong } } as never,
  )

/** Without the attributes of primitives: avsc takes its registry's long for the bare word only. */
function plain(schema: AvroSchema): AvroSchema {
  return JSON.parse(JSON.stringify(schema), (_, value) => (isPrimitiveObject(value) ? value.type : value))
}

const isPrimitiveObject = (value: unknown): value is { type: string } =>
  typeof value === 'object' &&
  value !== null &&
  'type' in value &&
  /^(null|boolean|int|long|float|double|bytes|string)$/.test(String(value.type)) &&
  !('name' in value)

const bigLong = avsc.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8)
    buffer.writeBigInt64LE(value)
    return buffer
  },
  fromJSON: (json: number) => BigInt(json),
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (one: bigint, other: bigint) => (one === other ? 0 : one < other ? -1 : 1),
})

type Tree =
  | { readonly kind: 'primitive'; readonly schema: AvroSchema }
  | { readonly kind: 'array' | 'map'; readonly inner: Tree }
  | { readonly kind: 'record' | 'union'; readonly inner: readonly Tree[] }
  | { readonly kind: 'enum' | 'fixed'; readonly size: number }

const primitive = fc
  .constantFrom<AvroSchema>(
    'null',
    'boolean',
    'int',
    'long',
    { type: 'long', jsType: 'bigint' },
    { type: 'long', logicalType: 'timestamp-millis' },
    'float',
    'double',
    'bytes',
    'string',
  )
  .map((schema): Tree => ({ kind: 'primitive', schema }))

const { tree } = fc.letrec<{ tree: Tree; record: Tree }>((tie) => ({
  record: fc.array(tie('tree'), { maxLength: 5 }).map((inner): Tree => ({ kind: 'record', inner })),
  tree: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    primitive,
    tie('tree').map((inner): Tree => ({ kind: 'array', inner })),
    tie('tree').map((inner): Tree => ({ kind: 'map', inner })),
    tie('record'),
    fc.array(tie('tree'), { minLength: 1, maxLength: 4 }).map((inner): Tree => ({ kind: 'union', inner })),
    fc.integer({ min: 1, max: 4 }).map((size): Tree => ({ kind: 'enum', size })),
    fc.integer({ min: 0, max: 4 }).map((size): Tree => ({ kind: 'fixed', size })),
  ),
}))

/** Any schema up to a few levels deep, with names of its own for every named type. */
export const anySchema: fc.Arbitrary<AvroSchema> = tree.map((built) => schemaOf(built, { count: 0 }))

/** The same with a record on top. */
export const anyRecord: fc.Arbitrary<AvroTypeObject> = fc
  .array(tree, { maxLength: 6 })
  .map((inner) => schemaOf({ kind: 'record', inner }, { count: 0 }) as AvroTypeObject)

function schemaOf(built: Tree, names: { count: number }): AvroSchema {
  switch (built.kind) {
    case 'primitive':
      return built.schema
    case 'array':
      return { type: 'array', items: schemaOf(built.inner, names) }
    case 'map':
      return { type: 'map', values: schemaOf(built.inner, names) }
    case 'record': {
      const name = `R${names.count++}`
      const fields = built.inner.map(
        (inner, index): AvroField => ({ name: `f${index}`, type: schemaOf(inner, names) }),
      )
      return { type: 'record', name, fields }
    }
    case 'enum':
      return { type: 'enum', name: `E${names.count++}`, symbols: ['A', 'B', 'C', 'D'].slice(0, built.size) }
    case 'fixed':
      return { type: 'fixed', name: `F${names.count++}`, size: built.size }
    case 'union': {
      const branches = new Map<string, AvroSchema>()
      for (const inner of built.inner) {
        if (inner.kind === 'union') continue
        const schema = schemaOf(inner, names)
        const named = typeof schema === 'object' && 'type' in schema ? (schema.name ?? schema.type) : schema
        if (!branches.has(String(named))) branches.set(String(named), schema)
      }
      return branches.size === 0 ? 'null' : [...branches.values()]
    }
  }
}

const anyLong = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(
    0,
    -1,
    63,
    64,
    -64,
    -65,
    2 ** 31,
    -(2 ** 31) - 1,
    2 ** 52,
    -(2 ** 52) - 1,
    2 ** 53 - 1,
    1 - 2 ** 53,
  ),
)

const same = (value: unknown): ValuePair => ({ ours: value, avsc: value })

export interface ValueOptions {
  /** Only what every promotion keeps, avsc's included: longs within 2^50 (it loses the sign of larger ones) and bytes that are ASCII. */
  readonly promotable?: boolean
}

/** Any value under a schema without recursive types. */
export function anyValue(node: SchemaNode, options: ValueOptions = {}): fc.Arbitrary<ValuePair> {
  const limit = options.promotable ? 2n ** 50n : 2n ** 63n
  const longs = options.promotable ? fc.integer({ min: -(2 ** 50), max: 2 ** 50 }) : anyLong
  const byte = { max: options.promotable ? 0x7f : 0xff }
  switch (node.kind) {
    case 'null':
      return fc.constant(same(null))
    case 'boolean':
      return fc.boolean().map(same)
    case 'int':
      return fc.integer().map(same)
    case 'long':
      return node.bigint
        ? fc.bigInt({ min: -limit, max: limit - 1n }).map(same)
        : longs.map((value) => ({ ours: value, avsc: BigInt(value) }))
    case 'float':
      return fc.float().map(same)
    case 'double':
      return fc.double().map(same)
    case 'bytes':
      return fc.uint8Array({ ...byte, maxLength: 80 }).map((value) => same(Buffer.from(value)))
    case 'fixed':
      return fc
        .uint8Array({ minLength: node.sizeBytes, maxLength: node.sizeBytes })
        .map((value) => same(Buffer.from(value)))
    case 'string':
      return fc.oneof(fc.string({ maxLength: 90 }), fc.string({ unit: 'binary', maxLength: 30 })).map(same)
    case 'enum':
      return fc.constantFrom(...node.symbols).map(same)
    case 'array':
      return fc.array(anyValue(node.items, options), { maxLength: 4 }).map((items) => ({
        ours: items.map(({ ours }) => ours),
        avsc: items.map((item) => item.avsc),
      }))
    case 'map':
      return fc
        .dictionary(
          fc.string().filter((key) => key !== '__proto__'),
          anyValue(node.values, options),
          { maxKeys: 4 },
        )
        .map((items) => ({
          ours: Object.fromEntries(Object.entries(items).map(([key, { ours }]) => [key, ours])),
          avsc: Object.fromEntries(Object.entries(items).map(([key, item]) => [key, item.avsc])),
        }))
    case 'record':
      return fc.tuple(...node.fields.map(({ type }) => anyValue(type, options))).map((values) => ({
        ours: Object.fromEntries(node.fields.map(({ name }, index) => [name, values[index]?.ours])),
        avsc: Object.fromEntries(node.fields.map(({ name }, index) => [name, values[index]?.avsc])),
      }))
    case 'union':
      return fc.nat(node.branches.length - 1).chain((index) => {
        const branch = node.branches[index] as SchemaNode
        if (branch.kind === 'null') return fc.constant(same(null))
        return anyValue(branch, options).map(({ ours, avsc: wrapped }) => ({
          ours: node.tagged ? { [node.tags[index] ?? '']: ours } : ours,
          avsc: { [typeName(branch)]: wrapped },
        }))
      })
  }
}

/**
 * A later version of a schema: fields come, go, move, are renamed, types are
 * promoted, replaced or made nullable, symbols change. Some of the results
 * read the earlier version's records and some do not.
 */
export const evolved = (schema: AvroSchema): fc.Arbitrary<AvroSchema> =>
  fc.infiniteStream(fc.nat(99)).map((stream) => {
    const choose = () => stream.next().value as number
    return change(schema, choose, { added: 0 })
  })

type Choose = () => number

const replacements: readonly AvroSchema[] = ['int', 'long', 'float', 'double', 'string', 'bytes', 'boolean']

function change(schema: AvroSchema, choose: Choose, names: { added: number }): AvroSchema {
  const roll = choose()
  if (Array.isArray(schema)) return changeUnion(schema as readonly AvroSchema[], roll, choose, names)
  if (roll < 8 && schema !== 'null') return ['null', schema]
  if (typeof schema === 'string')
    return roll < 40 ? (replacements[choose() % replacements.length] ?? schema) : schema
  const type = schema as AvroTypeObject
  switch (type.type) {
    case 'array':
      return { ...type, items: change(type.items ?? 'null', choose, names) }
    case 'map':
      return { ...type, values: change(type.values ?? 'null', choose, names) }
    case 'enum':
      if (roll < 40) return { ...type, symbols: ['C', 'B', 'X', 'A'].slice(0, 1 + (choose() % 4)) }
      return roll < 60 ? { ...type, symbols: [...(type.symbols ?? []), 'Y'] } : type
    case 'fixed':
      return roll < 20 ? { ...type, size: choose() % 5 } : type
    case 'record':
      return changeRecord(type, choose, names)
    default:
      return type
  }
}

function changeUnion(
  branches: readonly AvroSchema[],
  roll: number,
  choose: Choose,
  names: { added: number },
): AvroSchema {
  if (roll < 15 && branches.length > 1) return branches.slice(1)
  if (roll < 30) return [...branches].reverse()
  if (roll < 40) return branches[0] ?? 'null'
  return branches.map((branch) => {
    const next = typeof branch === 'string' ? branch : change(branch, choose, names)
    return Array.isArray(next) ? branch : next
  })
}

function changeRecord(type: AvroTypeObject, choose: Choose, names: { added: number }): AvroTypeObject {
  const fields = (type.fields ?? []).flatMap((field): AvroField[] => {
    const roll = choose()
    if (roll < 10) return []
    const next = change(field.type, choose, names)
    if (roll < 20) return [{ name: `${field.name}New`, aliases: [field.name], type: next }]
    return [{ ...field, type: next }]
  })
  const roll = choose()
  const added = `added${names.added++}`
  if (roll < 25) fields.unshift({ name: added, type: ['null', 'int'], default: null })
  else if (roll < 40) fields.push({ name: added, type: { type: 'array', items: 'int' }, default: [1, 2] })
  else if (roll < 45) fields.push({ name: added, type: 'int' })
  return { ...type, fields: roll < 60 ? fields : [...fields].reverse() }
}
