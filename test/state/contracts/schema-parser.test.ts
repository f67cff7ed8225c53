import { describe, expect, test } from 'vitest'
import type { AvroSchema } from '../../../state/contracts/avro-schema.ts'
import { minSizeBytes } from '../../../state/contracts/schema-node.ts'
import { parseRegistered, parseSchema } from '../../../state/contracts/schema-parser.ts'

const fieldOf = (field: unknown): AvroSchema => ({ type: 'record', name: 'R', fields: [field] }) as AvroSchema

describe('a schema is refused with the place and the reason', () => {
  test.each<[message: RegExp, schema: unknown]>([
    [/unknown type "integer"/, 'integer'],
    [/field "a" has the unknown type "Other"/, fieldOf({ name: 'a', type: 'Other' })],
    [/field named "1a"; names are/, fieldOf({ name: '1a', type: 'int' })],
    [/field named "__proto__"/, fieldOf({ name: '__proto__', type: 'int' })],
    [/field named undefined/, fieldOf({ type: 'int' })],
    [/field named undefined/, fieldOf(null)],
    [
      /the field "a" twice/,
      {
        type: 'record',
        name: 'R',
        fields: [
          { name: 'a', type: 'int' },
          { name: 'a', type: 'int' },
        ],
      },
    ],
    [/type named "R-1"/, { type: 'record', name: 'R-1', fields: [] }],
    [/type named "a\.\.R"/, { type: 'record', name: 'a..R', fields: [] }],
    [/without a name/, { type: 'record', fields: [] }],
    [/redefines the primitive "int"/, { type: 'record', name: 'int', fields: [] }],
    [
      /defines the type "R" twice/,
      ['null', fieldOf({ name: 'a', type: { type: 'fixed', name: 'R', size: 1 } })],
    ],
    [/without fields/, { type: 'record', name: 'R' }],
    [/without symbols/, { type: 'enum', name: 'E', symbols: [] }],
    [/symbol twice/, { type: 'enum', name: 'E', symbols: ['A', 'A'] }],
    [/the symbol "a-b"/, { type: 'enum', name: 'E', symbols: ['a-b'] }],
    [/default is none of its symbols/, { type: 'enum', name: 'E', symbols: ['A'], default: 'B' }],
    [/whose size/, { type: 'fixed', name: 'F', size: -1 }],
    [/whose size/, { type: 'fixed', name: 'F', size: 1e9 }],
    [/empty union/, []],
    [/"int" twice/, ['int', 'int']],
    [/"long" twice/, ['long', { type: 'long', logicalType: 'timestamp-millis' }]],
    [/union directly inside a union/, [['int'], 'null']],
    [/is not an Avro type/, null],
    [/is not an Avro type/, 7],
    [/is not an Avro type/, { type: undefined }],
    [/jsType bigint on int/, { type: 'int', jsType: 'bigint' }],
    [/contains itself with no way to end/, fieldOf({ name: 'a', type: 'R' })],
    [/contains itself with no way to end/, fieldOf({ name: 'a', type: ['R'] })],
    [/field "a" has the default "x"/, fieldOf({ name: 'a', type: 'int', default: 'x' })],
    [/field "a" has the default 1\.5/, fieldOf({ name: 'a', type: 'long', default: 1.5 })],
    [/field "a" has the default null/, fieldOf({ name: 'a', type: ['int', 'string'], default: null })],
    [
      /field "a\[\]" has the default "x"/,
      fieldOf({ name: 'a', type: { type: 'array', items: 'int' }, default: [1, 'x'] }),
    ],
    [/field "a" has the default "é€"/, fieldOf({ name: 'a', type: 'bytes', default: 'é€' })],
  ])('%s', (message, schema) => {
    expect(() => parseSchema(schema as AvroSchema)).toThrow(RangeError)
    expect(() => parseSchema(schema as AvroSchema)).toThrow(message)
  })

  test('a nest of types deeper than 64 is refused, not overflowed', () => {
    let schema: AvroSchema = 'int'
    for (let depth = 0; depth < 20_000; depth++) schema = { type: 'array', items: schema }
    expect(() => parseSchema(schema)).toThrow(/nests deeper than 64/)
  })

  test('in a registry a bad schema is an operating error of its subject', () => {
    expect(() => parseRegistered('trip-value', 'integer')).toThrow(/trip-value: not a valid Avro schema/)
  })
})

describe('names', () => {
  test('are found in the namespace of the type they stand in, then as they are', () => {
    const schema: AvroSchema = {
      type: 'record',
      name: 'R',
      namespace: 'a.b',
      fields: [
        { name: 'one', type: { type: 'fixed', name: 'F', size: 1 } },
        { name: 'two', type: 'F' },
        { name: 'three', type: 'a.b.F' },
        { name: 'four', type: { type: 'fixed', name: 'other.F', size: 2 } },
        { name: 'self', type: ['null', 'R'] },
      ],
    }
    const node = parseSchema(schema)
    if (node.kind !== 'record') throw new Error('no record')
    const [one, two, three, four] = node.fields.map(({ type }) => type)
    expect(node.name).toBe('a.b.R')
    expect(two).toBe(one)
    expect(three).toBe(one)
    expect(four).toMatchObject({ name: 'other.F', sizeBytes: 2 })
  })
})

describe('a union', () => {
  test('needs tags exactly where two branches share a class of values', () => {
    const tagged = (...branches: AvroSchema[]) => {
      const node = parseSchema(branches)
      return node.kind === 'union' && node.tagged
    }
    expect(tagged('null', 'int', 'string', 'bytes', 'boolean')).toBe(false)
    expect(tagged('int', { type: 'long', jsType: 'bigint' })).toBe(false)
    expect(tagged('int', 'double')).toBe(true)
    expect(tagged('string', { type: 'enum', name: 'E', symbols: ['A'] })).toBe(true)
    expect(tagged({ type: 'map', values: 'int' }, { type: 'record', name: 'R', fields: [] })).toBe(true)
  })

  test('has short tags, or full names where short ones repeat', () => {
    const record = (name: string): AvroSchema => ({ type: 'record', name, fields: [] })
    expect(parseSchema([record('a.R'), record('a.S')])).toMatchObject({ tags: ['R', 'S'] })
    expect(parseSchema([record('a.R'), record('b.R')])).toMatchObject({ tags: ['a.R', 'b.R'] })
  })
})

describe('the smallest size of a value', () => {
  test.each<[bytes: number, schema: AvroSchema]>([
    [0, 'null'],
    [1, 'string'],
    [8, 'double'],
    [1, ['null', 'double']],
    [5, ['float', 'double']],
    [0, { type: 'record', name: 'R', fields: [] }],
    [2, fieldOf({ name: 'next', type: ['double', 'R', 'int'] })],
  ])('%i bytes', (bytes, schema) => {
    expect(minSizeBytes(parseSchema(schema))).toBe(bytes)
  })

  test('of types that share types is found without walking every path', () => {
    let type: AvroSchema = { type: 'record', name: 'L0', fields: [{ name: 'x', type: 'int' }] }
    for (let level = 1; level < 50; level++) {
      type = {
        type: 'record',
        name: `L${level}`,
        fields: [
          { name: 'a', type },
          { name: 'b', type: `L${level - 1}` },
        ],
      }
    }
    expect(minSizeBytes(parseSchema(type))).toBe(2 ** 49)
  })
})

describe('logical types', () => {
  test('that are unknown, misplaced or malformed are the plain type', () => {
    expect(parseSchema({ type: 'int', logicalType: 'timestamp-millis' })).toEqual({
      kind: 'int',
      bigint: false,
    })
    expect(parseSchema({ type: 'string', logicalType: 'colour' })).toEqual({ kind: 'string', bigint: false })
    expect(parseSchema({ type: 'bytes', logicalType: 'decimal', precision: 2, scale: 3 })).toEqual({
      kind: 'bytes',
      bigint: false,
    })
    expect(
      parseSchema({ type: 'fixed', name: 'F', size: 2, logicalType: 'decimal', precision: 5 }),
    ).not.toHaveProperty('decimal')
    expect(
      parseSchema({ type: 'fixed', name: 'F', size: 2, logicalType: 'decimal', precision: 4 }),
    ).toHaveProperty('decimal')
  })
})
