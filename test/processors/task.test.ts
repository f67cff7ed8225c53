import { describe, expect, test } from 'vitest'
import { assemble } from '../../replay/assembly.ts'
import { embeddedRegistry, memoryJournal } from '../../state/contracts/embedded-registry.ts'
import { openMemoryLog } from '../../state/log/memory/memory-log.ts'
import type { Database } from '../../state/store/database.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'
import { count, event, featureView, forever, topology } from '../../topology/index.ts'

const visit = event('visit', { visitor: 'int', at: 'timestamp' }, { key: 'visitor', time: 'at' })
const visitor = featureView('visitor', {
  entity: 'visitor',
  owner: 'tests',
  description: 'visits of a visitor',
  maxKeys: 4,
  features: { visits: count(visit, { over: forever }) },
})
const visits = topology('visits', { events: [visit], features: [visitor], partitions: 1 })

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** A read is given when the write that was under way as it was asked for has ended, and all that follows from it. */
function readsAfterWrites(database: Database): Database {
  let writing: Promise<unknown> = Promise.resolve()
  return {
    async getMany(space, keys) {
      const values = await database.getMany(space, keys)
      await writing
      await turns(1)
      return values
    },
    scan: (space, range) => database.scan(space, range),
    write(batch) {
      const written = turns(3).then(() => database.write(batch))
      writing = written
      return written
    },
    clear: (space) => database.clear(space),
    close: () => database.close(),
  }
}

describe('a task', () => {
  test('keeps what a batch has loaded until it is processed, whatever a checkpoint ends meanwhile', async () => {
    const log = openMemoryLog({ now: () => 1_800_000_000_000 })
    const writer = await log.writer('engine')
    const registry = await embeddedRegistry(memoryJournal())
    const database = readsAfterWrites(memoryDatabase())
    const { task, views, events } = await assemble({
      declaration: visits,
      log,
      writer,
      registry,
      database,
      task: { batchRecords: 6, checkpointEvents: 1 },
    })
    await task.open()
    const bound = events.get('visit')!
    const door = await log.writer('door')
    const expected = new Map<number, number>()
    for (let number = 0; number < 400; number++) {
      const key = (number * 7) % 23
      const value = { visitor: key, at: 1_700_000_000_000 + number }
      const out = door.sink.begin('visit', 0, value.at)
      bound.writeKey(value, out)
      door.sink.beginValue()
      bound.writeValue(value, out)
      door.sink.end()
      expected.set(key, (expected.get(key) ?? 0) + 1)
    }
    await door.commit()
    while ((await task.step()) !== undefined) await turns(1)
    await task.close()
    const state = views.get('visitor')!
    for (const [key, times] of expected) {
      for (const store of state.stores) {
        if (store.isMissing(key)) await store.prefetch(database, [key])
      }
      expect(state.values(key, 1_800_000_000_000)).toEqual({ visits: times })
    }
  })
})
