import type { AnyObjectAggregate, ColumnAggregate } from '../../processors/aggregate/aggregate.ts'
import { type Feature, forever, windowed, windowedObject } from '../../processors/feature/feature.ts'
import { featureView } from '../../processors/feature/feature-view.ts'
import { ViewState } from '../../processors/feature/view-state.ts'
import { ByteWriter } from '../../state/contracts/byte-writer.ts'
import { event } from '../../state/contracts/event.ts'
import type { DatabaseWrite } from '../../state/store/database.ts'
import { type InputKind, listedAggregates, vectorDimension } from '../support/aggregate-list.ts'

/*
 * What one update and one merge of every aggregate cost, how large a state of
 * so many events is, and how large a key of the database that has one such
 * state, for all time, and its newest event still apart. Each figure is the
 * median of five rounds.
 *
 *     npm run bench:aggregates [-- --json]
 */

const eventsPerState = 1_000
const categoryCount = 200
const rounds = 5
/** A round goes on until it took this long. */
const roundMs = 12
const startMs = 1_700_000_000_000
/** Rows that a read of a long window merges at once. */
const rowsPerMerge = 64

interface Cost {
  readonly aggregate: string
  readonly updateNs: number
  readonly mergeNs: number
  readonly bytes: number
  readonly keyBytes: number
}
type StateCost = Omit<Cost, 'aggregate' | 'keyBytes'>

/** A fixed sequence in [0, 1): the same inputs in every run. */
function fractions(): () => number {
  let state = 12_345
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

function inputsOf(kind: InputKind): readonly unknown[] {
  const next = fractions()
  const category = () => `category-${Math.floor(next() ** 2 * categoryCount)}`
  const make: Readonly<Record<InputKind, () => unknown>> = {
    number: () => next() * 200 - 50,
    category,
    pair: () => [next(), next()],
    vector: () => Float64Array.from({ length: vectorDimension }, next),
    bucketed: () => [category(), next()],
  }
  return Array.from({ length: eventsPerState }, make[kind])
}

const atMs = (index: number): number => startMs + index * 1_000

/** Median ns of one of `count` operations that `work` does in a call. */
function nsOf(count: number, work: () => void): number {
  const figures: number[] = []
  for (let round = 0; round < rounds + 1; round++) {
    let calls = 0
    const start = performance.now()
    let spent = 0
    do {
      work()
      calls++
      spent = performance.now() - start
    } while (spent < roundMs)
    // The first round warms up.
    if (round > 0) figures.push((spent * 1e6) / (calls * count))
  }
  return figures.sort((a, b) => a - b)[Math.floor(rounds / 2)]!
}

function costOfColumns({ folds }: ColumnAggregate, inputs: readonly number[]): StateCost {
  const places: number[] = []
  let width = 0
  for (const fold of folds) {
    places.push(width)
    width += fold.width
  }
  const block = new Float64Array(width * (rowsPerMerge + 1))
  const init = (row: number) => {
    for (const [index, fold] of folds.entries()) fold.init(block, row * width + places[index]!)
  }
  const update = (row: number) => {
    for (let event = 0; event < inputs.length; event++) {
      for (let index = 0; index < folds.length; index++) {
        folds[index]!.add(block, row * width + places[index]!, inputs[event]!, atMs(event))
      }
    }
  }
  for (let row = 0; row <= rowsPerMerge; row++) {
    init(row)
    update(row)
  }
  const updateNs = nsOf(inputs.length, () => {
    init(0)
    update(0)
  })
  const mergeNs = nsOf(rowsPerMerge, () => {
    init(0)
    for (let index = 0; index < folds.length; index++) {
      const place = places[index]!
      folds[index]!.mergeRows(block, place, block, width + place, width, rowsPerMerge)
    }
  })
  return { updateNs, mergeNs, bytes: width * 8 }
}

function costOfObject(aggregate: AnyObjectAggregate, inputs: readonly unknown[]): StateCost {
  const fold = (from: number, to: number): unknown => {
    let state: unknown = aggregate.init()
    for (let event = from; event < to; event++) state = aggregate.add(state, inputs[event], atMs(event))
    return state
  }
  const half = inputs.length / 2
  const [older, newer] = [fold(0, half), fold(half, inputs.length)]
  const out = new ByteWriter(1 << 16)
  aggregate.write(fold(0, inputs.length), out)
  return {
    updateNs: nsOf(inputs.length, () => fold(0, inputs.length)),
    mergeNs: nsOf(1, () => aggregate.merge(older, newer)),
    bytes: out.length,
  }
}

/** An event of which only the time and the key are declared: features take the rest by functions. */
const taken = event('taken', { of: 'int', at: 'timestamp' }, { key: 'of', time: 'at' })

/** Bytes of a database entry, key and value, of a key with these events. */
function keyBytesOf({ aggregate }: (typeof listedAggregates)[number], inputs: readonly unknown[]): number {
  const take = (each: object): never => (each as { readonly input: never }).input
  const feature: Feature =
    aggregate.kind === 'columns'
      ? windowed(aggregate, taken, take, { over: forever })
      : windowedObject(aggregate, taken, take, { over: forever })
  const view = featureView('one', {
    entity: 'of',
    owner: 'bench',
    description: 'One aggregate over all time',
    features: { feature },
  })
  const state = new ViewState(view)
  for (const [index, input] of inputs.entries()) {
    state.update(taken.topic, atMs(index), { of: 1_000_000, at: atMs(index), input })
  }
  const writes: DatabaseWrite[] = []
  for (const store of state.stores) store.collect(writes)
  return writes.reduce((bytes, { key, value }) => bytes + key.length + (value?.length ?? 0), 0)
}

const costs = listedAggregates.map((listed): Cost => {
  const { name, aggregate, input } = listed
  const inputs = inputsOf(input)
  const cost =
    aggregate.kind === 'columns'
      ? costOfColumns(aggregate, inputs as readonly number[])
      : costOfObject(aggregate, inputs)
  return { aggregate: name, ...cost, keyBytes: keyBytesOf(listed, inputs) }
})

if (process.argv.includes('--json')) {
  for (const cost of costs) process.stdout.write(`${JSON.stringify(cost)}\n`)
} else {
  const cells = [
    ['aggregate', 'update ns', 'merge ns', 'state bytes', 'bytes a key'],
    ...costs.map(({ aggregate, updateNs, mergeNs, bytes, keyBytes }) => [
      aggregate,
      updateNs.toFixed(1),
      mergeNs.toFixed(1),
      String(bytes),
      String(keyBytes),
    ]),
  ]
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  const line = (row: readonly string[]) =>
    row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join('  ')
  process.stdout.write(`${cells.map(line).join('\n')}
${eventsPerState} events a state, ${categoryCount} categories; columns merge ${rowsPerMerge} rows at once, others two states of half the events
`)
}
