import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RecordNode, SchemaNode } from '../../../state/contracts/schema-node.ts'
import { parseSchema } from '../../../state/contracts/schema-parser.ts'
import { compileParser } from '../../../state/contracts/value-parser.ts'
import { type JsonSchema, SchemaDefinitions } from '../../../topology/http/json-schema.ts'
import { event, nullable, record, union, withDefault } from '../../../topology/index.ts'
import { anyRecord, anyValue } from '../../support/avro-arbitraries.ts'
import { misfits } from '../../support/json-schema-check.ts'

/** A value as a caller would send it. */
function jsonOf(node: SchemaNode, value: unknown): unknown {
  if (value === null) return null
  switch (node.kind) {
    case 'record':
      return Object.fromEntries(
        node.fields.map(({ name, type }) => [name, jsonOf(type, (value as Record<string, unknown>)[name])]),
      )
    case 'array':
      return (value as unknown[]).map((item) => jsonOf(node.items, item))
    case 'map':
      return Object.fromEntries(
        Object.entries(value as object).map(([key, item]) => [key, jsonOf(node.values, item)]),
      )
    case 'union': {
      if (node.tagged) {
        const [[tag, item] = ['', null]] = Object.entries(value as object)
        return { [tag]: jsonOf(node.branches[node.tags.indexOf(tag)] as SchemaNode, item) }
      }
      return jsonOf(branchOf(node.branches, value), value)
    }
    default:
      if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
      if (typeof value !== 'bigint') return value
      return 'decimal' in node && node.decimal ? decimalText(value, node.decimal.scale) : String(value)
  }
}

const branchOf = (branches: readonly SchemaNode[], value: unknown): SchemaNode =>
  branches.find((branch) => {
    try {
      compileParser(branch)(value, 1)
      return branch.kind !== 'null'
    } catch {
      return false
    }
  }) ?? branches[0]!

function decimalText(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0')
  const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
  return unscaled < 0n ? `-${text}` : text
}

const accepts = (node: RecordNode, value: unknown): boolean => {
  try {
    compileParser(node)(value, 1)
    return true
  } catch {
    return false
  }
}

const documentOf = (node: RecordNode): { document: JsonSchema; schema: JsonSchema } => {
  const definitions = new SchemaDefinitions([])
  const schema = definitions.of(node)
  return { document: { components: { schemas: definitions.all } }, schema }
}

const samples = fc
  .tuple(anyRecord, fc.gen())
  .map(([schema, gen]) => {
    const node = parseSchema(schema) as RecordNode
    const value = jsonOf(node, gen(() => anyValue(node)).ours)
    // What JSON cannot say is not sent.
    return { node, value: JSON.parse(JSON.stringify(value)) as unknown }
  })
  .filter(({ node, value }) => accepts(node, value))

test('the schema of a contract takes every value that the contract takes', () => {
  fc.assert(
    fc.property(samples, ({ node, value }) => {
      const { document, schema } = documentOf(node)
      expect(misfits(document, schema, value)).toEqual([])
    }),
  )
})

const oddities: readonly unknown[] = [null, true, 1.5, -7, 2 ** 40, '=', '', [], {}, [1], { odd: 1 }]

/** The same value with one place in it changed; `choose` decides which and how. */
function mutated(value: unknown, choose: (limit: number) => number): unknown {
  const isInner = typeof value === 'object' && value !== null && Object.keys(value).length > 0
  if (!isInner || choose(4) === 0) return oddities[choose(oddities.length)]
  const keys = Object.keys(value)
  const key = keys[choose(keys.length)] as string
  if (Array.isArray(value)) return value.with(Number(key), mutated(value[Number(key)], choose))
  const { [key]: inner, ...others } = value as Record<string, unknown>
  if (choose(5) === 0) return others
  return { ...others, [key]: mutated(inner, choose) }
}

test('what the schema takes, the contract takes', () => {
  let taken = 0
  let refused = 0
  fc.assert(
    fc.property(samples, fc.infiniteStream(fc.nat(9_999)), ({ node, value }, stream) => {
      const changed = mutated(value, (limit) => (stream.next().value as number) % limit)
      const { document, schema } = documentOf(node)
      const fits = misfits(document, schema, changed).length === 0
      if (fits) taken++
      else refused++
      expect([fits, changed]).toEqual([accepts(node, changed), changed])
    }),
    // A smaller counterexample is not worth the minutes that the infinite stream takes to shrink.
    { numRuns: 300, endOnFailure: true },
  )
  expect(taken).toBeGreaterThan(10)
  expect(refused).toBeGreaterThan(10)
})

test('types of one name that differ have definitions of their own, and those of others are not taken', () => {
  const options = { key: 'id', time: 'at' } as const
  const first = event('a', { id: 'int', inner: record('Item', { x: 'int' }), at: 'timestamp' }, options)
  const second = event('b', { id: 'int', inner: record('Item', { y: 'int' }), at: 'timestamp' }, options)
  const third = event('problem', { id: 'int', at: 'timestamp' }, options)
  const definitions = new SchemaDefinitions(['Problem'])
  for (const { record: node } of [first, first, second, third]) definitions.of(node)
  expect(Object.keys(definitions.all)).toEqual(['A', 'Item', 'B', 'Item-2', 'Problem-2'])
})

test('a contract reads as its schema', () => {
  const order = event(
    'order',
    {
      id: 'bigint',
      note: nullable('string'),
      count: withDefault('int', 1),
      what: union(record('Book', { title: 'string' }), record('Film', { minutes: 'int' })),
      at: 'timestamp',
    },
    { key: 'id', time: 'at' },
  )
  const schema = new SchemaDefinitions([]).recordOf(order.record, new Set(['at']))
  expect(schema).toMatchObject({
    type: 'object',
    properties: {
      note: { anyOf: [{ type: 'null' }, { type: 'string' }] },
      count: { type: 'integer', minimum: -(2 ** 31), maximum: 2 ** 31 - 1 },
      what: {
        anyOf: [
          { properties: { Book: { $ref: '#/components/schemas/Book' } }, required: ['Book'] },
          { properties: { Film: { $ref: '#/components/schemas/Film' } }, required: ['Film'] },
        ],
      },
    },
    required: ['id', 'what'],
    additionalProperties: false,
  })
})

test('a field that may be null can be left out, with a default or without', () => {
  const node = parseSchema({
    type: 'record',
    name: 'Note',
    fields: [
      { name: 'id', type: 'int' },
      { name: 'text', type: ['null', 'string'] },
      { name: 'size', type: 'int', default: 3 },
    ],
  }) as RecordNode
  expect(accepts(node, { id: 1 })).toBe(true)
  expect(new SchemaDefinitions([]).recordOf(node)['required']).toEqual(['id'])
})
