import { describe, expect, test } from 'vitest'
import { embeddedRegistry, memoryJournal } from '../../../state/contracts/embedded-registry.ts'
import { readerRegistry } from '../../../topology/runtime/reader-registry.ts'

const person = (...fields: readonly string[]) =>
  ({
    type: 'record',
    name: 'person',
    fields: fields.map((name) => ({ name, type: 'string', ...(name === 'id' ? {} : { default: '' }) })),
  }) as const

async function both() {
  const journal = memoryJournal()
  const writer = await embeddedRegistry(journal)
  await writer.register('person-value', person('id'))
  return { journal, writer, reader: await readerRegistry(() => journal.read()) }
}

describe('the registry of a reader', () => {
  test('knows new schemas alone, and leaves the ids of the journal to its writer', async () => {
    const { journal, writer, reader } = await both()
    expect(await reader.register('person-value', person('id'))).toEqual({ id: 1, version: 1 })
    const added = await reader.register('person-value', person('id', 'name'))
    expect(added).toEqual({ id: 1 << 30, version: 2 })
    expect(await reader.register('person-value', person('id', 'name'))).toEqual(added)
    expect(await reader.register('city-value', person('id'), 'FULL')).toEqual({
      id: (1 << 30) + 1,
      version: 1,
    })
    expect(await reader.schemaById(added.id)).toEqual(person('id', 'name'))
    // What the writer registers meanwhile is found when a record names it.
    expect(await writer.register('person-value', person('id', 'age'))).toEqual({ id: 2, version: 2 })
    expect(await reader.schemaById(2)).toEqual(person('id', 'age'))
    const kinds: string[] = []
    for await (const event of journal.read()) kinds.push(`${event.kind} ${event.subject}`)
    expect(kinds).toEqual(['schema-registered person-value', 'schema-registered person-value'])
  })

  test('refuses a schema that its writer would refuse', async () => {
    const { reader } = await both()
    const broken = { type: 'record', name: 'person', fields: [{ name: 'other', type: 'string' }] } as const
    await expect(reader.register('person-value', broken)).rejects.toMatchObject({
      code: 'contract-incompatible',
    })
  })
})
