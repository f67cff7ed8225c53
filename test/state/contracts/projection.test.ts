import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ByteWriter } from '../../../state/contracts/byte-writer.ts'
import { bindContract, bindProjection, schemaIdOf } from '../../../state/contracts/codec.ts'
import { embeddedRegistry, memoryJournal } from '../../../state/contracts/embedded-registry.ts'
import { event } from '../../../state/contracts/event.ts'
import { array, map, nullable, withDefault } from '../../../state/contracts/field-type.ts'

const fields = {
  id: 'string',
  tags: map('string'),
  vector: 'bytes',
  score: 'double',
  places: array('long'),
  note: nullable('string'),
  at: 'timestamp',
} as const
const thing = event('thing', fields, { key: 'id', time: 'at' })
const values = fc.record({
  id: fc.string({ minLength: 1 }),
  // "__proto__" is no key that a contract takes.
  tags: fc.dictionary(
    fc.string().filter((key) => key !== '__proto__'),
    fc.string(),
    { maxKeys: 3 },
  ),
  vector: fc.uint8Array({ maxLength: 200 }),
  score: fc.double({ noNaN: true }),
  places: fc.array(fc.maxSafeInteger(), { maxLength: 3 }),
  note: fc.option(fc.string(), { nil: null }),
  at: fc.nat(),
})

test('some fields of a value are what they are of the whole value, whichever they are', async () => {
  const registry = await embeddedRegistry(memoryJournal())
  const bound = await bindContract(thing, registry)
  const subsets = [['id'], ['vector', 'score'], ['note', 'tags'], ['at'], ['places', 'id', 'at']] as const
  for (const wanted of subsets) {
    const part = bindProjection(thing, wanted, registry)
    expect(await part.learn(bound.valueSchemaId)).toBe(true)
    fc.assert(
      fc.property(values, (value) => {
        const out = new ByteWriter()
        bound.writeValue(value as never, out)
        const whole = bound.readValue(out.bytes, 0, out.length)
        const expected = Object.fromEntries(
          Object.keys(fields)
            .filter((name) => (wanted as readonly string[]).includes(name))
            .map((name) => [name, whole[name as keyof typeof whole]]),
        )
        expect({ ...part.readValue(out.bytes, 0, out.length) }).toEqual(expected)
      }),
      { numRuns: 50 },
    )
  }
})

test('a value of an older version gives its defaults, and one of an unknown schema is told so', async () => {
  const registry = await embeddedRegistry(memoryJournal())
  const { note: _, ...older } = fields
  const before = await bindContract(event('thing', older, { key: 'id', time: 'at' }), registry)
  const now = event(
    'thing',
    { ...fields, note: withDefault(nullable('string'), null) },
    { key: 'id', time: 'at' },
  )
  await bindContract(now, registry)
  const part = bindProjection(now, ['note', 'score'], registry)
  const out = new ByteWriter()
  before.writeValue(
    { id: 'a', tags: {}, vector: new Uint8Array(3), score: 2.5, places: [7], at: 5 } as never,
    out,
  )
  expect(part.isKnown(out.bytes, 0, out.length)).toBe(false)
  expect(() => part.readValue(out.bytes, 0, out.length)).toThrow(/schema/)
  expect(await part.learn(schemaIdOf(out.bytes, 0, out.length))).toBe(true)
  expect({ ...part.readValue(out.bytes, 0, out.length) }).toEqual({ score: 2.5, note: null })
  // A value that is cut short before the wanted field ends is damaged, wanted or not.
  expect(() => part.readValue(out.bytes, 0, 8)).toThrow(/thing/)
})
