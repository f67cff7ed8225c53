import { describe, expect, test } from 'vitest'
import type { TaskInput } from '../../../processors/task-input.ts'
import { TaskGate } from '../../../topology/cluster/task-gate.ts'
import type { TaskTime } from '../../../topology/cluster/task-times.ts'

const never = Number.POSITIVE_INFINITY

/** An input with records at these times, that a task writes. */
const input = (writer: string | undefined, ...times: readonly number[]) =>
  ({
    writer,
    buffered: times.length,
    head: times.length === 0 ? undefined : { timestampMs: times[0] },
    feed: undefined,
  }) as unknown as TaskInput

function gateOf(times: Readonly<Record<string, TaskTime>>, beside: readonly string[] = []) {
  const state = { nowMs: 0, times, asked: [] as string[], notices: [] as string[] }
  const gate = new TaskGate({
    task: 'own',
    beside,
    alignment: { waitMs: 1_000, aheadMs: 100 },
    elapsedMs: () => state.nowMs,
    onNotice: (text) => state.notices.push(text),
    times: {
      async look(tasks) {
        state.asked = [...tasks]
        return new Map(Object.entries(state.times))
      },
    },
  })
  const open = (inputs: readonly TaskInput[], processed = 0, streamTimeMs = 0) =>
    gate.openUntil({ inputs, processed, batchRecords: 10 }, streamTimeMs)
  return { state, open }
}

describe('a task that merges what others write', () => {
  test('takes all that is there while each of them has something there', async () => {
    const { state, open } = gateOf({})
    expect(await open([input('a', 5), input('b', 9)])).toBe(never)
    expect(state.asked).toEqual([])
  })

  test('takes nothing later than what one of them has come to', async () => {
    const { state, open } = gateOf({ a: { sequence: 3, writtenToMs: 7 } })
    expect(await open([input('a'), input('b', 9)])).toBe(7)
    expect(state.asked).toEqual(['a'])
  })

  test('does not look at who writes while there is nothing to take', async () => {
    const { state, open } = gateOf({ a: { sequence: 3, writtenToMs: 7 } })
    expect(await open([input('a'), input('b')])).toBe(never)
    expect(state.asked).toEqual([])
  })

  test('goes on without one that commits nothing for as long as is declared, until it commits again', async () => {
    const { state, open } = gateOf({ a: { sequence: 3, writtenToMs: 7 } })
    const inputs = [input('a'), input('b', 9)]
    expect(await open(inputs)).toBe(7)
    state.nowMs = 999
    expect(await open(inputs)).toBe(7)
    expect(state.notices).toEqual([])
    state.nowMs = 1_000
    expect(await open(inputs)).toBe(9)
    expect(state.notices).toEqual([
      'own goes on without a, which has committed nothing for 1 s; what it writes later may be late',
    ])
    expect(await open([input('a'), input('b', 20)])).toBe(never)
    state.times = { a: { sequence: 4, writtenToMs: 15 } }
    expect(await open([input('a'), input('b', 20)])).toBe(15)
  })

  test('waits anew for each record that has to wait', async () => {
    const { state, open } = gateOf({ a: { sequence: 3, writtenToMs: 7 } })
    await open([input('a'), input('b', 9)])
    state.nowMs = 900
    state.times = { a: { sequence: 4, writtenToMs: 9 } }
    expect(await open([input('a'), input('b', 9)])).toBe(9)
    state.nowMs = 1_800
    expect(await open([input('a'), input('b', 12)])).toBe(9)
    expect(state.notices).toEqual([])
  })
})

describe('a task beside others', () => {
  const slow = { slow: { sequence: 1, writtenToMs: 50 } }

  test('runs so many records ahead of the slowest, whatever their times', async () => {
    const { open } = gateOf(slow, ['own', 'slow'])
    expect(await open([input(undefined, 1_000)], 0, 0)).toBe(never)
    expect(await open([input(undefined, 2_000)], 9_999, 1_000)).toBe(never)
  })

  test('and no further than is declared', async () => {
    const { state, open } = gateOf(slow, ['own', 'slow'])
    await open([input(undefined, 60)], 0, 40)
    expect(await open([input(undefined, 1_000)], 10_000, 60)).toBe(150)
    expect(state.asked).toEqual(['slow'])
    state.times = { slow: { sequence: 2, writtenToMs: 990 } }
    expect(await open([input(undefined, 1_000)], 10_000, 60)).toBe(never)
  })
})
