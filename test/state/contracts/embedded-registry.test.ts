import { describe, expect, test } from 'vitest'
import { embeddedRegistry, memoryJournal } from '../../../state/contracts/embedded-registry.ts'
import type { SchemaEvent, SchemaJournal } from '../../../state/contracts/schema-registry.ts'
import { schemaRegistrySuite } from '../../conformance/schema-registry.suite.ts'

schemaRegistrySuite('embedded', () => embeddedRegistry(memoryJournal()))

/** As a topic would keep it: each event goes through JSON. */
const textJournal = (lines: string[]): SchemaJournal => ({
  async *read() {
    for (const line of lines) yield JSON.parse(line) as SchemaEvent
  },
  async append(event) {
    lines.push(JSON.stringify(event))
  },
})

describe('the embedded registry is a fold of its journal', () => {
  test('opened again it knows all ids, versions and modes', async () => {
    const lines: string[] = []
    const first = await embeddedRegistry(textJournal(lines))
    await first.register('a-value', { type: 'array', items: 'int' }, 'FULL')
    await first.register('b-value', 'string')
    await first.register('a-value', { type: 'array', items: ['int', 'string'] }).catch(() => undefined)
    const again = await embeddedRegistry(textJournal(lines))
    expect(await again.versions('a-value')).toEqual(await first.versions('a-value'))
    expect(await again.compatibility('a-value')).toBe('FULL')
    expect(await again.register('c-value', 'long')).toEqual({ id: 3, version: 1 })
    expect(lines).toHaveLength(4)
  })

  test('a schema that another registry wrote is found when its id is met', async () => {
    const journal = memoryJournal()
    const [writer, reader] = [await embeddedRegistry(journal), await embeddedRegistry(journal)]
    const { id } = await writer.register('a-value', 'string')
    expect(await reader.schemaById(id)).toBe('string')
    expect(await reader.latest('a-value')).toMatchObject({ version: 1, id })
  })

  test('registering what is there writes nothing', async () => {
    const lines: string[] = []
    const registry = await embeddedRegistry(textJournal(lines))
    await registry.register('a-value', { type: 'int' })
    await registry.register('a-value', 'int')
    expect(lines).toHaveLength(1)
  })

  test('an append that fails leaves the registry as it was', async () => {
    const broken: SchemaJournal = { ...memoryJournal(), append: () => Promise.reject(new Error('disk full')) }
    const registry = await embeddedRegistry(broken)
    await expect(registry.register('a-value', 'int')).rejects.toThrow('disk full')
    expect(await registry.subjects()).toEqual([])
    await expect(registry.register('a-value', 'int')).rejects.toThrow('disk full')
  })

  const registered = (version: number, id: number): SchemaEvent => ({
    kind: 'schema-registered',
    subject: 'a-value',
    version,
    id,
    schema: 'int',
  })
  test.each([
    ['a version is missing', [registered(2, 1)]],
    ['an id is skipped', [registered(1, 7)]],
    ['a version comes twice', [registered(1, 1), registered(1, 1)]],
  ])('a journal in which %s is refused', async (_, events) => {
    await expect(embeddedRegistry(memoryJournal(events))).rejects.toMatchObject({ code: 'schema-invalid' })
  })
})
