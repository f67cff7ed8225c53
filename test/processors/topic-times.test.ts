import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ClockTopic, TopicTimes } from '../../processors/topic-times.ts'
import type { DatabaseWrite } from '../../state/store/database.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'

type Arrival = readonly [topic: string, atMs: number]

const names = ['a', 'b', 'c']
const topics = fc
  .tuple(...names.map((topic) => fc.record({ topic: fc.constant(topic), idleMs: fc.nat(12) })))
  .chain((all) => fc.integer({ min: 1, max: 3 }).map((count) => all.slice(0, count)))
const arrivals = fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(40)), { maxLength: 30 })

/** Stream time behind each record, each time from all records so far. */
function wanted(clock: readonly ClockTopic[], records: readonly Arrival[]): number[] {
  const none = Number.NEGATIVE_INFINITY
  const heard: Arrival[] = []
  let nowMs = none
  return records.map((record) => {
    if (clock.some(({ topic }) => topic === record[0])) heard.push(record)
    const newestMs = Math.max(none, ...heard.map(([, atMs]) => atMs))
    const holding = clock.flatMap(({ topic, idleMs }) => {
      const own = heard.filter(([of]) => of === topic).map(([, atMs]) => atMs)
      const sinceMs = own.length === 0 ? heard[0]?.[1] : Math.max(...own)
      const waits = idleMs > 0 && sinceMs !== undefined && newestMs <= sinceMs + idleMs
      return waits ? [Math.max(none, ...own)] : []
    })
    nowMs = Math.max(nowMs, Math.min(newestMs, ...holding))
    return nowMs
  })
}

test('stream time is the least of the topics that are not idle, never goes back, and is the same over restarts', async () => {
  await fc.assert(
    fc.asyncProperty(topics, arrivals, fc.array(fc.nat(30)), async (clockTopics, records, restarts) => {
      const database = memoryDatabase()
      let times = new TopicTimes()
      let clock = times.clock(clockTopics)
      const found: number[] = []
      for (const [index, [topic, atMs]] of records.entries()) {
        if (restarts.includes(index)) {
          const writes: DatabaseWrite[] = []
          times.collect(writes)
          times.watermarks.collect(writes)
          await database.write(writes)
          times = new TopicTimes()
          clock = times.clock(clockTopics)
          await Promise.all([times.restore(database), times.watermarks.restore(database)])
        }
        const before = clock.nowMs
        const moved = times.observe(topic, atMs)
        expect(moved.includes(clock) && clock.isMoving).toBe(clock.nowMs > before)
        found.push(clock.nowMs)
      }
      expect(found).toEqual(wanted(clockTopics, records))
    }),
    { numRuns: 300 },
  )
})

test('a topic that is not waited for goes by the greatest event time of all', () => {
  const times = new TopicTimes()
  const clock = times.clock([
    { topic: 'a', idleMs: 0 },
    { topic: 'b', idleMs: 0 },
  ])
  const found = (
    [
      ['a', 5],
      ['b', 3],
      ['b', 9],
      ['a', 7],
    ] as const
  ).map(([topic, atMs]) => {
    times.observe(topic, atMs)
    return clock.nowMs
  })
  expect(found).toEqual([5, 5, 9, 9])
})

test('a topic is idle once the others are past its newest record by more than the declared time', () => {
  const times = new TopicTimes()
  const clock = times.clock([
    { topic: 'a', idleMs: 10 },
    { topic: 'b', idleMs: 10 },
  ])
  const found = (
    [
      ['a', 100],
      ['b', 101],
      ['a', 111],
      ['a', 112],
      ['b', 105],
      ['b', 113],
    ] as const
  ).map(([topic, atMs]) => {
    times.observe(topic, atMs)
    return clock.nowMs
  })
  // Ten past b's 101 it still waits; eleven past it does not, and b's return takes nothing back.
  expect(found).toEqual([Number.NEGATIVE_INFINITY, 100, 101, 112, 112, 112])
})
