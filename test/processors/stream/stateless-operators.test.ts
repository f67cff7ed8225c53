import { describe, expect, it } from 'vitest'
import type { StreamRecord } from '../../../processors/operator.ts'
import { branch } from '../../../processors/stream/branch.ts'
import { filter } from '../../../processors/stream/filter.ts'
import { flatMap } from '../../../processors/stream/flat-map.ts'
import { map } from '../../../processors/stream/map.ts'
import { merge } from '../../../processors/stream/merge.ts'
import { peek } from '../../../processors/stream/peek.ts'
import { rekey } from '../../../processors/stream/rekey.ts'
import { type DriverGraph, StreamDriver } from '../../../processors/stream/stream-driver.ts'

type Numbered = StreamRecord<string, number>

const headers: StreamRecord['headers'] = [{ name: 'trace', value: new Uint8Array([1]) }]

async function outputsOf(
  outputs: readonly string[],
  build: (graph: DriverGraph) => void,
  inputs: readonly (readonly [string, number])[] = [1, 2, 3, 4].map((value) => ['input', value] as const),
): Promise<Record<string, StreamRecord[]>> {
  const driver = await StreamDriver.start({ build })
  for (const [input, value] of inputs) {
    driver.pipe(input, { key: `k${value}`, value, timestampMs: value * 10, headers })
  }
  return Object.fromEntries(outputs.map((name) => [name, driver.read(name)]))
}

const valuesOf = (records: readonly StreamRecord[] | undefined) => records?.map(({ value }) => value)
const isEven = ({ value }: Numbered): boolean => value % 2 === 0

describe('stateless operators', () => {
  it('map and flatMap keep key, time, headers and origin', async () => {
    const { out } = await outputsOf(
      ['out'],
      (graph) => {
        const doubled = map('double', ({ value }: Numbered) => value * 2)
        const twice = flatMap('twice', ({ value }: StreamRecord<string, number>) => [value, -value])
        const { context } = graph
        const input = graph.input<Numbered>('input')
        graph.output('out', input.pipe(doubled.connect(context), twice.connect(context)))
      },
      [['input', 3]],
    )
    const same = { key: 'k3', timestampMs: 30, topic: 'input', partition: 0, offset: 0, headers }
    expect(out).toEqual([
      { ...same, value: 6 },
      { ...same, value: -6 },
    ])
  })

  it('filter keeps what is wanted; peek sees all and changes nothing', async () => {
    const seen: number[] = []
    const { out } = await outputsOf(['out'], (graph) => {
      const looked = peek<Numbered>('look', ({ value }) => seen.push(value))
      const input = graph.input<Numbered>('input')
      graph.output(
        'out',
        input.pipe(looked.connect(graph.context), filter('even', isEven).connect(graph.context)),
      )
    })
    expect(valuesOf(out)).toEqual([2, 4])
    expect(seen).toEqual([1, 2, 3, 4])
  })

  it('branch sends each record to the first branch that wants it', async () => {
    const outputs = await outputsOf(['even', 'small'], (graph) => {
      const { even, small } = branch<Numbered, 'even' | 'small'>('split', {
        even: isEven,
        small: ({ value }) => value < 3,
      }).connect(graph.context)(graph.input<Numbered>('input'))
      graph.output('even', even)
      graph.output('small', small)
    })
    expect(Object.values(outputs).map(valuesOf)).toEqual([[2, 4], [1]])
    expect(() => branch('split', {})).toThrow(
      new RangeError('branch "split" has no branches, expected at least one'),
    )
  })

  it('merge gives all records in the order in which the task takes them', async () => {
    const { out } = await outputsOf(
      ['out'],
      (graph) => {
        const [left, right] = [graph.input<Numbered>('left'), graph.input<Numbered>('right')]
        graph.output('out', merge<Numbered>('all').connect()(left, right))
      },
      [
        ['right', 1],
        ['left', 2],
        ['right', 3],
      ],
    )
    expect(valuesOf(out)).toEqual([1, 2, 3])
  })

  it('rekey changes the key alone, and says where the records go', async () => {
    const operator = rekey('by-parity', ({ value }: Numbered) => (value % 2 === 0 ? 'even' : null))
    const { out } = await outputsOf(['out'], (graph) => {
      graph.output('out', graph.input<Numbered>('input').pipe(operator.connect(graph.context)))
    })
    expect(out?.map(({ key, value, timestampMs }) => [key, value, timestampMs])).toEqual([
      [null, 1, 10],
      ['even', 2, 20],
      [null, 3, 30],
      ['even', 4, 40],
    ])
    expect(operator.repartition).toEqual({ topic: 'by-parity-repartition' })
  })
})
