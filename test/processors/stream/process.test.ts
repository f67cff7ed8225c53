import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StreamRecord } from '../../../processors/operator.ts'
import { process } from '../../../processors/stream/process.ts'
import { StreamDriver } from '../../../processors/stream/stream-driver.ts'
import { arrivals, expectRestartsUnseen, type GraphUnderTest, runGraph } from '../../support/graph-runs.ts'

/** Sums the values of each key, and tells all sums every 10 ms of stream time. */
const sums = process<StreamRecord<string, number>, StreamRecord<string, number>, 'tell'>({
  name: 'sums',
  punctuators: { tell: { everyMs: 10 } },
  start: ({ store, emit, derive, drop, streamTimeMs }) => {
    const totals = store<number>('totals')
    return {
      process(record) {
        if (record.value < 0) drop({ reason: 'negative', record })
        else totals.put([record.key], (totals.get([record.key]) ?? 0) + record.value)
      },
      punctuate: {
        tell(atMs) {
          expect(atMs).toBe(streamTimeMs())
          for (const [[key], total] of totals.range()) emit(derive(String(key), total, atMs))
        },
      },
    }
  },
})

const graph: GraphUnderTest = {
  outputs: ['out'],
  build: (inner) => {
    inner.output('out', inner.input<StreamRecord<string, number>>('input').pipe(sums.connect(inner.context)))
  },
}

const piped = arrivals({ value: fc.integer({ min: -1, max: 9 }), disorderMs: 5 })

describe('process', () => {
  it('keeps its stores, and is called back on the grid of its period, once after a gap', async () => {
    await fc.assert(
      fc.asyncProperty(piped, async (records) => {
        const totals = new Map<string, number>()
        const expected: unknown[] = []
        let nowMs = Number.NEGATIVE_INFINITY
        let nextMs = Number.NEGATIVE_INFINITY
        for (const [, { key, value, timestampMs }] of records) {
          if ((value as number) >= 0)
            totals.set(String(key), (totals.get(String(key)) ?? 0) + (value as number))
          if (timestampMs <= nowMs) continue
          nowMs = timestampMs
          if (nowMs < nextMs) continue
          nextMs = (Math.floor(nowMs / 10) + 1) * 10
          for (const [each, total] of [...totals].sort()) expected.push([each, total, nowMs])
        }
        const { outputs } = await runGraph(graph, records)
        expect(outputs['out']?.map(({ key, value, timestampMs }) => [key, value, timestampMs])).toEqual(
          expected,
        )
      }),
    )
  })

  it('gives the same with a restart between any two records', () => expectRestartsUnseen(graph, piped))

  it('counts what it leaves out under its own name', async () => {
    const { drops } = await runGraph(graph, [['input', { key: 'a', value: -1, timestampMs: 0 }]])
    expect(drops).toEqual([{ operator: 'sums', reason: 'negative' }])
  })

  it('fails with what its handler throws, at the record that made it', async () => {
    const failing = process<StreamRecord, StreamRecord>({
      name: 'failing',
      start: () => ({
        process: ({ value }) => {
          if (value === 'bad') throw new RangeError('bad value')
        },
      }),
    })
    const driver = await StreamDriver.start({
      build: (inner) => inner.output('out', inner.input('input').pipe(failing.connect(inner.context))),
    })
    driver.pipe('input', { value: 'good', timestampMs: 0 })
    expect(() => driver.pipe('input', { value: 'bad', timestampMs: 1 })).toThrow(new RangeError('bad value'))
  })

  it('refuses a period of nothing when it is declared', () => {
    const declare = () =>
      process({ name: 'p', punctuators: { tell: { everyMs: 0 } }, start: () => ({ process: () => {} }) })
    expect(declare).toThrow(
      new RangeError(
        'everyMs of punctuator "tell" is 0, expected a whole number of milliseconds of at least 1',
      ),
    )
  })
})
