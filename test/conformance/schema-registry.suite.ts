import { describe, expect, test } from 'vitest'
import type { AvroField, AvroSchema } from '../../state/contracts/avro-schema.ts'
import type { CompatibilityMode } from '../../state/contracts/compatibility.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { SchemaRegistry } from '../../state/contracts/schema-registry.ts'

const recordOf = (...fields: AvroField[]): AvroSchema => ({ type: 'record', name: 'Trip', fields })
const zone: AvroField = { name: 'zone', type: 'int' }
const distance: AvroField = { name: 'distance', type: 'double' }
const distanceOrZero: AvroField = { ...distance, default: 0 }

/** What every schema registry does, for an adapter opened empty. */
export function schemaRegistrySuite(name: string, open: () => Promise<SchemaRegistry>): void {
  const failure = async (attempt: Promise<unknown>) => {
    const error = await attempt.then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    return error instanceof EngineError ? { code: error.code, context: error.context } : error
  }

  describe(`schema registry: ${name}`, () => {
    test('a registered schema is found by id, by version and as the latest', async () => {
      const registry = await open()
      const { id, version } = await registry.register('trip-value', recordOf(zone))
      expect(version).toBe(1)
      expect(await registry.schemaById(id)).toEqual(recordOf(zone))
      expect(await registry.versions('trip-value')).toEqual([
        { subject: 'trip-value', version: 1, id, schema: recordOf(zone) },
      ])
      expect(await registry.latest('trip-value')).toEqual({
        subject: 'trip-value',
        version: 1,
        id,
        schema: recordOf(zone),
      })
    })

    test('what was never registered is absent, which is no error', async () => {
      const registry = await open()
      expect(await registry.schemaById(4711)).toBeUndefined()
      expect(await registry.versions('nobody')).toEqual([])
      expect(await registry.latest('nobody')).toBeUndefined()
      expect(await registry.subjects()).toEqual([])
      expect(await registry.checkCompatibility('nobody', recordOf(zone))).toEqual([])
    })

    test('the same schema again gives the same id and version', async () => {
      const registry = await open()
      const first = await registry.register('trip-value', recordOf(zone))
      await registry.register('trip-value', recordOf(zone, distanceOrZero))
      expect(await registry.register('trip-value', recordOf(zone))).toEqual(first)
      expect((await registry.versions('trip-value')).map(({ version }) => version)).toEqual([1, 2])
    })

    test('one schema has one id in all subjects', async () => {
      const registry = await open()
      const one = await registry.register('a-key', 'string')
      const other = await registry.register('b-key', 'string')
      expect(other).toEqual({ id: one.id, version: 1 })
      expect(await registry.subjects()).toEqual(['a-key', 'b-key'])
    })

    test('a changed default is another version with another id', async () => {
      const registry = await open()
      const one = await registry.register('trip-value', recordOf(zone, distanceOrZero))
      const other = await registry.register('trip-value', recordOf(zone, { ...distance, default: 1 }))
      expect(other.version).toBe(2)
      expect(other.id).not.toBe(one.id)
    })

    test('registrations of the same schema at the same time agree', async () => {
      const registry = await open()
      const all = await Promise.all(
        Array.from({ length: 5 }, () => registry.register('trip-value', recordOf(zone))),
      )
      expect(new Set(all.map(({ id }) => id)).size).toBe(1)
      expect(await registry.versions('trip-value')).toHaveLength(1)
    })

    test('a new field without a default is refused under BACKWARD, naming field and rule', async () => {
      const registry = await open()
      await registry.register('trip-value', recordOf(zone))
      const refused = await failure(registry.register('trip-value', recordOf(zone, distance)))
      expect(refused).toMatchObject({
        code: 'contract-incompatible',
        context: {
          subject: 'trip-value',
          mode: 'BACKWARD',
          field: 'distance',
          rule: 'default-for-new-field',
        },
      })
      expect(await registry.versions('trip-value')).toHaveLength(1)
    })

    const changes: [mode: CompatibilityMode, change: string, next: AvroSchema, accepted: boolean][] = [
      ['BACKWARD', 'a field less', recordOf(zone), true],
      [
        'BACKWARD',
        'a field more without a default',
        recordOf(zone, distance, { name: 'x', type: 'int' }),
        false,
      ],
      ['FORWARD', 'a field less', recordOf(zone), false],
      [
        'FORWARD',
        'a field more without a default',
        recordOf(zone, distance, { name: 'x', type: 'int' }),
        true,
      ],
      ['FULL', 'a field less', recordOf(zone), false],
      ['FULL', 'a field more without a default', recordOf(zone, distance, { name: 'x', type: 'int' }), false],
      [
        'FULL',
        'a field more with a default',
        recordOf(zone, distance, { name: 'x', type: 'int', default: 0 }),
        true,
      ],
      ['NONE', 'another type', recordOf({ name: 'zone', type: 'string' }), true],
      ['BACKWARD', 'another type', recordOf({ name: 'zone', type: 'string' }, distance), false],
    ]
    test.each(changes)('%s: %s', async (mode, _, next, accepted) => {
      const registry = await open()
      await registry.register('trip-value', recordOf(zone, distance), mode)
      expect(await registry.compatibility('trip-value')).toBe(mode)
      const problems = await registry.checkCompatibility('trip-value', next)
      expect(problems.length === 0).toBe(accepted)
      const outcome = await failure(registry.register('trip-value', next))
      expect(outcome).toEqual(
        accepted ? undefined : expect.objectContaining({ code: 'contract-incompatible' }),
      )
    })

    test('a transitive mode looks at every version, a plain one at the latest', async () => {
      const registry = await open()
      await registry.register('trip-value', recordOf(zone))
      await registry.register('trip-value', recordOf(zone, distanceOrZero))
      const next = recordOf(zone, distance)
      expect(await registry.checkCompatibility('trip-value', next)).toEqual([])
      await registry.setCompatibility('trip-value', 'BACKWARD_TRANSITIVE')
      expect(await registry.checkCompatibility('trip-value', next)).toMatchObject([
        { field: 'distance', rule: 'default-for-new-field' },
      ])
      expect(await failure(registry.register('trip-value', next))).toMatchObject({
        code: 'contract-incompatible',
      })
    })

    test('a declared mode tightens the mode of an existing subject and never loosens it', async () => {
      const registry = await open()
      await registry.register('trip-value', recordOf(zone, distance), 'BACKWARD')
      expect(await failure(registry.register('trip-value', recordOf(zone), 'FULL'))).toMatchObject({
        code: 'contract-incompatible',
        context: { mode: 'FULL', field: 'distance' },
      })
      const other = recordOf({ name: 'zone', type: 'string' }, distance)
      expect(await failure(registry.register('trip-value', other, 'NONE'))).toMatchObject({
        code: 'contract-incompatible',
        context: { mode: 'BACKWARD', field: 'zone' },
      })
      expect(await registry.compatibility('trip-value')).toBe('BACKWARD')
    })

    test('a mode set before the first version stays', async () => {
      const registry = await open()
      await registry.setCompatibility('trip-value', 'FULL')
      await registry.register('trip-value', recordOf(zone), 'NONE')
      expect(await registry.compatibility('trip-value')).toBe('FULL')
    })

    test('a subject without a mode of its own has BACKWARD', async () => {
      const registry = await open()
      expect(await registry.compatibility('nobody')).toBe('BACKWARD')
    })

    test('what is no Avro schema is refused', async () => {
      const registry = await open()
      const broken = { type: 'record', name: 'Trip', fields: [{ name: 'zone', type: 'integer' }] }
      expect(await failure(registry.register('trip-value', broken))).toMatchObject({
        code: 'schema-invalid',
        context: { subject: 'trip-value' },
      })
      expect(await registry.subjects()).toEqual([])
    })
  })
}
