import { describe, expect, test } from 'vitest'
import { confluentRegistry } from '../../../state/contracts/confluent/confluent-registry.ts'
import { embeddedRegistry, memoryJournal } from '../../../state/contracts/embedded-registry.ts'
import { readerRegistry, sharedReaderRegistry } from '../../../topology/runtime/reader-registry.ts'
import { FakeRegistryServer } from '../../support/fake-registry-server.ts'

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

describe('the reader of a registry that others share', () => {
  test('takes the ids that are there, keeps new schemas to itself, and asks for no change', async () => {
    const server = await FakeRegistryServer.start()
    try {
      const writer = await confluentRegistry({ urls: [server.url] })
      const known = await writer.register('person-value', person('id'))
      const before = server.requests.length
      const reader = sharedReaderRegistry(await confluentRegistry({ urls: [server.url] }))
      expect(await reader.register('person-value', person('id'))).toEqual(known)
      const added = await reader.register('person-value', person('id', 'name'))
      expect(added).toEqual({ id: 1 << 30, version: 2 })
      expect(await reader.register('city-value', person('id', 'name'))).toEqual({ id: 1 << 30, version: 1 })
      expect(await reader.schemaById(added.id)).toEqual(person('id', 'name'))
      expect(await reader.schemaById(known.id)).toEqual(person('id'))
      expect(await reader.subjects()).toEqual(['person-value'])
      const broken = { type: 'record', name: 'person', fields: [{ name: 'other', type: 'string' }] } as const
      await expect(reader.register('person-value', broken)).rejects.toMatchObject({
        code: 'contract-incompatible',
      })
      await expect(reader.setCompatibility('person-value', 'NONE')).rejects.toMatchObject({
        code: 'log-read-only',
      })
      const writes = server.requests.slice(before).filter((call) => !call.startsWith('GET '))
      expect(writes).toEqual([])
    } finally {
      await server.stop()
    }
  })
})
