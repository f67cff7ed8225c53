import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Outputs } from '../../processors/outputs.ts'
import { assemble } from '../../replay/assembly.ts'
import { embeddedRegistry, memoryJournal } from '../../state/contracts/embedded-registry.ts'
import type { Log } from '../../state/log/log.ts'
import { openMemoryLog } from '../../state/log/memory/memory-log.ts'
import type { Database } from '../../state/store/database.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'
import { count, event, featureView, forever, stream, topology } from '../../topology/index.ts'

const visit = event('visit', { visitor: 'int', at: 'timestamp' }, { key: 'visitor', time: 'at' })
const visitor = featureView('visitor', {
  entity: 'visitor',
  owner: 'tests',
  description: 'visits of a visitor',
  maxKeys: 4,
  features: { visits: count(visit, { over: forever }) },
})
const visits = topology('visits', { events: [visit], features: [visitor], partitions: 1 })

const click = event('click', { visitor: 'int', at: 'timestamp' }, { key: 'visitor', time: 'at' })
const lastVisit = event('last-visit', { visitor: 'int', at: 'timestamp' }, { key: 'visitor', time: 'at' })

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

function reading(log: Log, read: Log['read']): Log {
  return {
    createTopic: (spec) => log.createTopic(spec),
    deleteTopic: (name) => log.deleteTopic(name),
    topics: () => log.topics(),
    offsets: (name, partition) => log.offsets(name, partition),
    offsetForTime: (name, partition, atMs) => log.offsetForTime(name, partition, atMs),
    read,
    appended: (signal) => log.appended(signal),
    writer: (id) => log.writer(id),
    close: () => log.close(),
  }
}

/** Every other offset of a topic is empty, as where each record was a transaction of its own. */
const withGaps = (log: Log, topic: string): Log =>
  reading(log, async (request) => {
    if (request.topic !== topic) return await log.read(request)
    const batch = await log.read({ ...request, offset: (request.offset + 1n) / 2n })
    return {
      ...batch,
      baseOffset: batch.baseOffset * 2n,
      offsetDeltas: batch.offsetDeltas.map((delta) => delta * 2),
      nextOffset: batch.nextOffset * 2n,
      headers: (index) => batch.headers(index),
    }
  })

/** Reads take a while, some longer than others. */
function slowly(log: Log): Log {
  let reads = 0
  return reading(log, async (request) => {
    const batch = await log.read(request)
    await turns((reads++ * 5) % 3)
    return batch
  })
}

describe('a task', () => {
  test('follows a batch that ends in a gap, and no record behind it', async () => {
    const log = openMemoryLog({ now: () => 1_800_000_000_000 })
    const writer = await log.writer('engine')
    const registry = await embeddedRegistry(memoryJournal())
    const gaps = withGaps(log, 'visit')
    const declaration = visits
    const { task, events, layout } = await assemble({
      declaration,
      log: gaps,
      writer,
      registry,
      database: memoryDatabase(),
    })
    await task.open()
    const bound = events.get('visit')!
    for (const visitor of [1, 2, 3]) {
      const value = { visitor, at: 1_700_000_000_000 }
      const out = writer.sink.begin('visit', 0, value.at)
      bound.writeKey(value, out)
      writer.sink.beginValue()
      bound.writeValue(value, out)
      writer.sink.end()
    }
    await writer.commit()
    const layouts = new Map([[layout, { layout, inputs: ['visit[0]'] }]])
    const processed: number[] = []
    // The records lie at 0, 2 and 4.
    for (const [sequence, end] of [1, 2, 3, 6].entries()) {
      await task.follow(
        { task: task.id, sequence, offsets: [end], count: 0, layout, answered: [], at: 0 },
        layouts,
      )
      processed.push(task.processed)
    }
    expect(processed).toEqual([1, 1, 2, 3])
  })

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

  test('fills its batches from inputs that run dry, and whoever follows meets the same order', async () => {
    const record = fc.record({ event: fc.constantFrom(visit, click), visitor: fc.nat(20), at: fc.nat(1_000) })
    const commits = fc.array(fc.array(record, { minLength: 1, maxLength: 12 }), {
      minLength: 1,
      maxLength: 8,
    })
    await fc.assert(
      fc.asyncProperty(commits, fc.integer({ min: 1, max: 9 }), async (written, batchRecords) => {
        const met: string[] = []
        const note = (value: { readonly visitor: number; readonly at: number }) => {
          met.push(`${value.visitor} ${value.at}`)
          return value
        }
        const declaration = topology('order', {
          events: [visit, click, lastVisit],
          streams: [visit, click].map((each) => stream(each).to(lastVisit, ({ value }) => note(value))),
          partitions: 3,
        })
        const log = slowly(openMemoryLog({ now: () => 1_800_000_000_000 }))
        const registry = await embeddedRegistry(memoryJournal())
        const parts = async (writer: string) =>
          assemble({
            declaration,
            log,
            writer: await log.writer(writer),
            registry,
            database: memoryDatabase(),
            task: { batchRecords },
          })
        const { task, events, layout } = await parts('engine')
        await task.open()
        const door = await log.writer('door')
        const outputs = new Outputs(door.sink)
        const ends: (readonly number[])[] = []
        let at = 0
        for (const records of written) {
          for (const { event: kind, visitor: who, at: atMs } of records) {
            outputs.emitter(events.get(kind.name)!, 3)({ visitor: who, at: atMs }, atMs)
          }
          // Some are written while others are worked off.
          const [ticket] = await Promise.all([task.step(), turns(at++ % 5).then(() => door.commit())])
          if (ticket !== undefined) ends.push([...task.offsets])
        }
        while ((await task.step()) !== undefined) ends.push([...task.offsets])
        const total = written.flat().length
        expect(met.length).toBe(total)
        const live = met.splice(0)
        const follower = (await parts('follower')).task
        await follower.open()
        const layouts = new Map([[layout, { layout, inputs: follower.inputs.map(({ name }) => name) }]])
        for (const [sequence, offsets] of ends.entries()) {
          await follower.follow(
            { task: task.id, sequence, offsets, count: 0, layout, answered: [], at: 0 },
            layouts,
          )
        }
        expect(met).toEqual(live)
        expect(ends.length).toBeLessThanOrEqual(Math.ceil(total / batchRecords) + written.length)
      }),
      { numRuns: 60 },
    )
  })
})
