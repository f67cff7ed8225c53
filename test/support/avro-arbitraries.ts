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

/** Any value under a schema without recursive types. */
export function anyValue(node: SchemaNode): fc.Arbitrary<ValuePair> {
  switch (node.kind) {
    case 'null':
      return fc.constant(same(null))
    case 'boolean':
      return fc.boolean().map(same)
    case 'int':
      return fc.integer().map(same)
    case 'long':
      return node.bigint
        ? fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(same)
        : anyLong.map((value) => ({ ours: value, avsc: BigInt(value) }))
    case 'float':
      return fc.float().map(same)
    case 'double':
      return fc.double().map(same)
    case 'bytes':
      return fc.uint8Array({ maxLength: 80 }).map((value) => same(Buffer.from(value)))
    case 'fixed':
      return fc
        .uint8Array({ minLength: node.sizeBytes, maxLength: node.sizeBytes })
        .map((value) => same(Buffer.from(value)))
    case 'string':
      return fc.oneof(fc.string({ maxLength: 90 }), fc.string({ unit: 'binary', maxLength: 30 })).map(same)
    case 'enum':
      return fc.constantFrom(...node.symbols).map(same)
    case 'array':
      return fc.array(anyValue(node.items), { maxLength: 4 }).map((items) => ({
        ours: items.map(({ ours }) => ours),
        avsc: items.map((item) => item.avsc),
      }))
    case 'map':
      return fc
        .dictionary(
          fc.string().filter((key) => key !== '__proto__'),
          anyValue(node.values),
          { maxKeys: 4 },
        )
        .map((items) => ({
          ours: Object.fromEntries(Object.entries(items).map(([key, { ours }]) => [key, ours])),
          avsc: Object.fromEntries(Object.entries(items).map(([key, item]) => [key, item.avsc])),
        }))
    case 'record':
      return fc.tuple(...node.fields.map(({ type }) => anyValue(type))).map((values) => ({
        ours: Object.fromEntries(node.fields.map(({ name }, index) => [name, values[index]?.ours])),
        avsc: Object.fromEntries(node.fields.map(({ name }, index) => [name, values[index]?.avsc])),
      }))
    case 'union':
      return fc.nat(node.branches.length - 1).chain((index) => {
        const branch = node.branches[index] as SchemaNode
        if (branch.kind === 'null') return fc.constant(same(null))
        return anyValue(branch).map(({ ours, avsc: wrapped }) => ({
          ours: node.tagged ? { [node.tags[index] ?? '']: ours } : ours,
          avsc: { [typeName(branch)]: wrapped },
        }))
      })
  }
}
