import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AvroSchema } from '../../../state/contracts/avro-schema.ts'
import { schemaIdentity } from '../../../state/contracts/schema-identity.ts'
import { anySchema } from '../../support/avro-arbitraries.ts'

const trip: AvroSchema = {
  type: 'record',
  name: 'Trip',
  namespace: 'taxi',
  fields: [
    { name: 'zone', type: 'int' },
    { name: 'place', type: { type: 'fixed', name: 'Place', size: 8 }, doc: 'where' },
    { name: 'other', type: 'Place' },
  ],
}

/** The same JSON with the keys of every object the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, reversed(item)]),
  )
}

describe('two schemas are the same', () => {
  test('when attributes stand in another order', () => {
    fc.assert(
      fc.property(anySchema, (schema) => {
        expect(schemaIdentity(reversed(schema) as AvroSchema)).toBe(schemaIdentity(schema))
      }),
      { numRuns: 100 },
    )
  })

  test('when names are written in full, and primitives as objects', () => {
    const other: AvroSchema = {
      type: 'record',
      name: 'taxi.Trip',
      fields: [
        { name: 'zone', type: { type: 'int' } },
        { name: 'place', type: { type: 'fixed', name: 'taxi.Place', size: 8 }, doc: 'where' },
        { name: 'other', type: 'taxi.Place' },
      ],
    }
    expect(schemaIdentity(other)).toBe(schemaIdentity(trip))
  })
})

describe('two schemas differ', () => {
  const changed = (change: object, field: object = {}): AvroSchema => ({
    type: 'record',
    name: 'Trip',
    fields: [{ name: 'zone', type: 'int', ...field }],
    ...change,
  })
  test.each<[what: string, schema: AvroSchema]>([
    ['a doc', changed({ doc: 'x' })],
    ['a doc of a field', changed({}, { doc: 'x' })],
    ['a default', changed({}, { default: 0 })],
    ['an alias', changed({ aliases: ['Ride'] })],
    ['a logical type', changed({}, { type: { type: 'int', logicalType: 'date' } })],
    ['a namespace', changed({ namespace: 'taxi' })],
    ['a name', changed({ name: 'Ride' })],
  ])('by %s', (_, schema) => {
    expect(schemaIdentity(schema)).not.toBe(schemaIdentity(changed({})))
  })

  test('by the order of fields, symbols and branches', () => {
    expect(schemaIdentity(['int', 'null'])).not.toBe(schemaIdentity(['null', 'int']))
    expect(schemaIdentity({ type: 'enum', name: 'E', symbols: ['A', 'B'] })).not.toBe(
      schemaIdentity({ type: 'enum', name: 'E', symbols: ['B', 'A'] }),
    )
  })
})
