import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ColumnAggregate, ObjectAggregate } from '../../processors/aggregate/aggregate.ts'
import { objectAggregateOf } from '../../processors/aggregate/object-aggregate-of.ts'
import { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import { listedOf } from '../support/aggregate-list.ts'

/** What an aggregate takes in, and when it happened. */
export interface Timed<Input> {
  readonly input: Input
  readonly atMs: TimestampMs
}

export type TimedNumber = Timed<number>

/** The laws in `processors/aggregate/aggregate.ts` need, of an aggregate of numbers: */
export interface ColumnAggregateCase {
  /** What to add to the aggregate's name, where there are several of it. */
  readonly label?: string
  readonly aggregate: ColumnAggregate
  /** The plainest way to the answer, from all events in the order they came; NaN for null. */
  oracle(events: readonly TimedNumber[], queryMs: TimestampMs): number
  /** Nothing is rounded while inputs are small whole numbers. */
  readonly isExactOnIntegers: boolean
  /** The answer for no events; NaN unless said. */
  readonly whenEmpty?: number
  /** What rounding errors are measured against; the largest magnitude of value and answer unless said. */
  scale?(events: readonly TimedNumber[]): number
  /** Where the answer is too ill-conditioned to compare; never unless said. */
  isUnstable?(events: readonly TimedNumber[]): boolean
}

/** The same, of an aggregate with a state of any size. */
export interface ObjectAggregateCase<Input, State, Output> {
  readonly label?: string
  readonly aggregate: ObjectAggregate<Input, State, Output>
  readonly input: fc.Arbitrary<Input>
  oracle(events: readonly Timed<Input>[], queryMs: TimestampMs): Output | null
  /** Compares an answer with the oracle's, or with that of another way; whole equality unless said. */
  compare?(got: Output | null, wanted: Output | null, events: readonly Timed<Input>[]): void
  /** Every way of folding the same events ends in the same bytes; false: only in answers that compare. */
  readonly isCanonical: boolean
  /** Taken in without a trace. */
  readonly leftOut?: readonly Input[]
  /** The answer for no events; null unless said. */
  readonly whenEmpty?: Output
  /** Most bytes that any state may take. */
  readonly maxBytes: number
}

const runs = { seed: 20_251_123, numRuns: 50 }
/** A multiple of the rounding of one operation, for lists of at most `maxEvents`. */
const rounding = 4_000 * Number.EPSILON
const maxEvents = 40

/** Few instants, so that equal ones and events out of order are common. */
const startMs = 1_700_000_000_000
const stepMs = 250
const steps = 12
const instant = fc.integer({ min: 0, max: steps - 1 }).map((step) => startMs + step * stepMs)
const queryMs = startMs + steps * stepMs

const eventsOf = <Input>(input: fc.Arbitrary<Input>): fc.Arbitrary<Timed<Input>[]> =>
  fc.array(fc.record({ input, atMs: instant }), { maxLength: maxEvents, size: 'max' })

const integers = fc.integer({ min: -1_000, max: 1_000 })
/** Fractions, and values far from 0 beside their spread. */
const fractions = fc.oneof(
  fc.double({ min: -1_000, max: 1_000, noNaN: true }),
  fc.double({ min: -1, max: 1, noNaN: true }).map((value) => 1e6 + value),
)
const kinds = [
  { kind: 'whole numbers', values: integers },
  { kind: 'fractions', values: fractions },
] as const

const cut = fc.nat({ max: 1_000 })

/** Two places to cut a list at, the earlier one first. */
function cutsOf({ length }: readonly unknown[], one: number, other: number): [at: number, and: number] {
  const [at, and] = [one % (length + 1), other % (length + 1)]
  return [Math.min(at, and), Math.max(at, and)]
}

/** Columns of others on both sides of a row. */
const margin = 3
const foreign = 12_345.678

/** What is tested stands in the table of laws. */
function requireListed(name: string): void {
  if (listedOf(name) === undefined) {
    throw new Error(`aggregate "${name}" is not in test/support/aggregate-list.ts; add it there`)
  }
}

/** The laws of aggregates, for an aggregate of numbers to a number. */
export function columnAggregateSuite(given: ColumnAggregateCase): void {
  const { aggregate, whenEmpty = Number.NaN, label = '' } = given
  const rows = columnRows(aggregate)
  const { fold, merge, finish } = rows

  const expectSame = (got: number, wanted: number, events: readonly TimedNumber[]): void => {
    const isExact = given.isExactOnIntegers && events.every(({ input }) => Number.isInteger(input))
    if (isExact || !Number.isFinite(wanted) || !Number.isFinite(got)) {
      expect(got + 0).toBe(wanted + 0)
      return
    }
    const scale = given.scale?.(events) ?? Math.max(1, ...events.map(({ input }) => Math.abs(input)))
    expect(Math.abs(got - wanted)).toBeLessThanOrEqual(rounding * Math.max(scale, Math.abs(wanted)))
  }

  const check = (
    values: fc.Arbitrary<number>,
    law: (events: TimedNumber[], at: number, and: number) => void,
  ): void => {
    fc.assert(
      fc.property(eventsOf(values), cut, cut, (events, at, and) => {
        fc.pre(!(given.isUnstable?.(events) ?? false))
        law(events, ...cutsOf(events, at, and))
      }),
      runs,
    )
  }

  requireListed(aggregate.name)
  describe(`aggregate ${aggregate.name} ${label}`.trim(), () => {
    test('has no answer for no events', () => {
      expect(finish(fold([]))).toBe(whenEmpty)
      expect(finish(merge(fold([]), fold([])))).toBe(whenEmpty)
    })

    for (const { kind, values } of kinds) {
      test(`answers as the oracle does, over ${kind}`, () => {
        check(values, (events) => {
          expectSame(finish(fold(events)), given.oracle(events, queryMs), events)
        })
      })

      test(`an initial row is the neutral element, bit for bit, over ${kind}`, () => {
        check(values, (events) => {
          const row = fold(events)
          expect(merge(row, fold([]))).toEqual(row)
          expect(merge(fold([]), row)).toEqual(row)
        })
      })

      test(`a fold is the merge of the folds of its parts, over ${kind}`, () => {
        check(values, (events, at, and) => {
          const parts = [events.slice(0, at), events.slice(at, and), events.slice(and)].map(fold)
          expectSame(finish(merge(...parts)), given.oracle(events, queryMs), events)
        })
      })

      test(`a fold is the merge of tiles of time, over ${kind}`, () => {
        check(values, (events, at, and) => {
          const [first, second] = [at, and]
            .map((step) => startMs + (step % steps) * stepMs)
            .sort((a, b) => a - b) as [number, number]
          const tiles = [
            events.filter(({ atMs }) => atMs < first),
            events.filter(({ atMs }) => atMs >= first && atMs < second),
            events.filter(({ atMs }) => atMs >= second),
          ]
          expectSame(finish(merge(...tiles.map(fold))), given.oracle(tiles.flat(), queryMs), events)
        })
      })

      test(`merging is associative, over ${kind}`, () => {
        check(values, (events, at, and) => {
          const [a, b, c] = [events.slice(0, at), events.slice(at, and), events.slice(and)].map(fold) as [
            Float64Array,
            Float64Array,
            Float64Array,
          ]
          const left = finish(merge(merge(a, b), c))
          const right = finish(merge(a, merge(b, c)))
          expectSame(left, right, events)
        })
      })

      if (aggregate.laws.orderInsensitive) {
        test(`the order of events and of merges does not matter, over ${kind}`, () => {
          check(values, (events, at) => {
            const wanted = finish(fold(events))
            expectSame(finish(fold([...events].reverse())), wanted, events)
            const byTime = [...events].sort((a, b) => a.atMs - b.atMs)
            expectSame(finish(fold(byTime)), wanted, events)
            expectSame(finish(merge(fold(events.slice(at)), fold(events.slice(0, at)))), wanted, events)
          })
        })
      }

      test(`remove ${aggregate.laws.invertible ? 'undoes add' : 'is not offered'}, over ${kind}`, () => {
        expect(aggregate.folds.every((each) => each.remove !== undefined)).toBe(aggregate.laws.invertible)
        if (!aggregate.laws.invertible) return
        check(values, (events, at) => {
          const row = fold(events)
          rows.remove(row, events.slice(0, at))
          const rest = events.slice(at)
          expectSame(finish(row), finish(fold(rest)), events)
        })
      })
    }

    test('a state that was saved and restored goes on bit for bit', () => {
      const saved = objectAggregateOf(aggregate)
      const goOn = (row: Float64Array, events: readonly TimedNumber[]): Float64Array =>
        events.reduce((state, { input, atMs }) => saved.add(state, input, atMs), row)
      check(fractions, (events, at) => {
        const out = new ByteWriter(16)
        saved.write(goOn(saved.init(), events.slice(0, at)), out)
        const restored = saved.read(Uint8Array.from(out.take()))
        expect(goOn(restored, events.slice(at))).toEqual(goOn(saved.init(), events))
      })
    })

    test('many rows merge as they do one by one, where they lie among other columns', () => {
      check(fractions, (events, at, and) => {
        const parts = [events.slice(0, at), events.slice(at, and), events.slice(and)].map(fold)
        let oneByOne = fold([])
        for (const part of parts) oneByOne = merge(oneByOne, part)
        expect(merge(fold([]), ...parts)).toEqual(oneByOne)
        expect(rows.mergeAmongOthers(parts)).toEqual(oneByOne)
      })
    })
  })
}

/** Rows of one aggregate, each with foreign columns on both sides that must stay as they are. */
function columnRows({ folds, finish }: ColumnAggregate) {
  const places: number[] = []
  let width = margin
  for (const each of folds) {
    places.push(width)
    width += each.width
  }
  width += margin

  const start = (): Float64Array => {
    const row = new Float64Array(width).fill(foreign)
    for (const [index, each] of folds.entries()) each.init(row, places[index]!)
    return row
  }
  const untouched = (row: Float64Array): Float64Array => {
    for (let at = 0; at < margin; at++) {
      if (row[at] !== foreign || row[width - 1 - at] !== foreign) {
        throw new Error(`a column of others was written: ${row.join(' ')}`)
      }
    }
    return row
  }
  return {
    fold(events: readonly TimedNumber[]): Float64Array {
      const row = start()
      for (const { input, atMs } of events) {
        for (const [index, each] of folds.entries()) each.add(row, places[index]!, input, atMs)
      }
      return untouched(row)
    },
    remove(row: Float64Array, events: readonly TimedNumber[]): void {
      for (const { input, atMs } of events) {
        for (const [index, each] of folds.entries()) each.remove!(row, places[index]!, input, atMs)
      }
      untouched(row)
    },
    /** Oldest first; leaves all of them alone. */
    merge(...states: Float64Array[]): Float64Array {
      const [row = start(), ...newer] = states.map((state) => state.slice())
      const block = concat(newer)
      for (const [index, each] of folds.entries()) {
        const place = places[index]!
        each.mergeRows(row, place, block, place, width, newer.length)
      }
      if (!isSame(block, concat(newer))) throw new Error('merging changed a row that it merged')
      return untouched(row)
    },
    /** Into a row of the array that the rows lie in. */
    mergeAmongOthers(parts: readonly Float64Array[]): Float64Array {
      const block = concat([start(), ...parts])
      for (const [index, each] of folds.entries()) {
        const place = places[index]!
        each.mergeRows(block, place, block, width + place, width, parts.length)
      }
      expect(block.slice(width)).toEqual(concat(parts))
      return untouched(block.slice(0, width))
    },
    finish: (row: Float64Array): number => finish(row, places, queryMs),
  }
}

/** Bit for bit. */
function isSame(a: Float64Array, b: Float64Array): boolean {
  return a.every((value, at) => Object.is(value, b[at]))
}

function concat(rows: readonly Float64Array[]): Float64Array {
  const whole = new Float64Array(rows.reduce((size, row) => size + row.length, 0))
  let at = 0
  for (const row of rows) {
    whole.set(row, at)
    at += row.length
  }
  return whole
}

/** The laws of aggregates, for an aggregate with a state of any size. */
export function objectAggregateSuite<Input, State, Output>(
  given: ObjectAggregateCase<Input, State, Output>,
): void {
  const { aggregate, label = '', leftOut = [] } = given
  const whenEmpty = given.whenEmpty ?? null
  const fold = (events: readonly Timed<Input>[], from: State = aggregate.init()): State => {
    let state = from
    for (const { input, atMs } of events) state = aggregate.add(state, input, atMs)
    return state
  }
  const bytesOf = (state: State): Uint8Array => {
    const out = new ByteWriter(16)
    aggregate.write(state, out)
    return Uint8Array.from(out.take())
  }
  const answer = (state: State): Output | null => aggregate.finish(state, queryMs)
  const compare =
    given.compare ?? ((got: Output | null, wanted: Output | null): void => expect(got).toEqual(wanted))
  const expectSame = (got: State, wanted: State, events: readonly Timed<Input>[]): void => {
    if (given.isCanonical) expect(bytesOf(got)).toEqual(bytesOf(wanted))
    compare(answer(got), answer(wanted), events)
  }
  const check = (law: (events: Timed<Input>[], at: number, and: number) => void): void => {
    fc.assert(
      fc.property(eventsOf(given.input), cut, cut, (events, at, and) => {
        law(events, ...cutsOf(events, at, and))
      }),
      runs,
    )
  }
  const thirds = (events: Timed<Input>[], at: number, and: number): [State, State, State] => [
    fold(events.slice(0, at)),
    fold(events.slice(at, and)),
    fold(events.slice(and)),
  ]

  requireListed(aggregate.name)
  describe(`aggregate ${aggregate.name} ${aggregate.id} ${label}`.trim(), () => {
    test('has no answer for no events', () => {
      expect(answer(aggregate.init())).toEqual(whenEmpty)
      expect(answer(aggregate.merge(aggregate.init(), aggregate.init()))).toEqual(whenEmpty)
    })

    test('answers as the oracle does', () => {
      check((events) => compare(answer(fold(events)), given.oracle(events, queryMs), events))
    })

    test('an initial state is the neutral element', () => {
      check((events) => {
        const state = fold(events)
        expect(bytesOf(aggregate.merge(state, aggregate.init()))).toEqual(bytesOf(state))
        expect(bytesOf(aggregate.merge(aggregate.init(), state))).toEqual(bytesOf(state))
      })
    })

    test('a fold is the merge of the folds of its parts, and merging is associative', () => {
      check((events, at, and) => {
        const [a, b, c] = thirds(events, at, and)
        const left = aggregate.merge(aggregate.merge(a, b), c)
        const right = aggregate.merge(a, aggregate.merge(b, c))
        compare(answer(left), given.oracle(events, queryMs), events)
        compare(answer(right), given.oracle(events, queryMs), events)
        expectSame(left, right, events)
        if (given.isCanonical) expectSame(left, fold(events), events)
      })
    })

    test('merging leaves both states alone, and so does what is added to the merged one', () => {
      check((events, at, and) => {
        const [a, b, c] = thirds(events, at, and)
        const before = [bytesOf(a), bytesOf(b)]
        aggregate.merge(fold(events.slice(and), aggregate.merge(a, b)), c)
        expect([bytesOf(a), bytesOf(b)]).toEqual(before)
      })
    })

    test('a state that was saved and restored goes on bit for bit, within its bound of bytes', () => {
      check((events, at) => {
        const half = bytesOf(fold(events.slice(0, at)))
        const restored = aggregate.read(half)
        expect(bytesOf(restored)).toEqual(half)
        const whole = fold(events)
        const resumed = fold(events.slice(at), restored)
        expect(bytesOf(resumed)).toEqual(bytesOf(whole))
        expect(answer(resumed)).toEqual(answer(whole))
        expect(bytesOf(whole).length).toBeLessThanOrEqual(given.maxBytes)
      })
    })

    test('an answer does not change when the state goes on', () => {
      check((events, at) => {
        const state = fold(events.slice(0, at))
        const got = answer(state)
        const copy = structuredClone(got)
        fold(events.slice(at), state)
        expect(got).toEqual(copy)
      })
    })

    if (aggregate.laws.orderInsensitive) {
      test('the order of events and of merges does not matter', () => {
        check((events, at) => {
          const state = fold(events)
          expectSame(fold([...events].reverse()), state, events)
          expectSame(fold([...events].sort((a, b) => a.atMs - b.atMs)), state, events)
          expectSame(aggregate.merge(fold(events.slice(at)), fold(events.slice(0, at))), state, events)
        })
      })
    }

    if (aggregate.isTimeless) {
      test('the answer is the same whenever it is asked for', () => {
        check((events) => {
          const state = fold(events)
          for (const atMs of [startMs - 1, startMs + stepMs, queryMs + 1e9]) {
            expect(aggregate.finish(state, atMs)).toEqual(answer(state))
          }
        })
      })
    }

    if (aggregate.forgetOldest !== undefined) {
      test('what is left without the oldest events is their fold by themselves, or is not known', () => {
        let known = 0
        check((events, at) => {
          let state: State | undefined = fold(events)
          for (const { input, atMs } of events.slice(0, at)) {
            state = aggregate.forgetOldest!(state, input, atMs)
            if (state === undefined) return
            known++
          }
          expect(bytesOf(state)).toEqual(bytesOf(fold(events.slice(at))))
        })
        expect(known).toBeGreaterThan(0)
      })
    }

    test(`remove ${aggregate.laws.invertible ? 'undoes add' : 'is not offered'}`, () => {
      expect(aggregate.remove !== undefined).toBe(aggregate.laws.invertible)
      if (aggregate.remove === undefined) return
      check((events, at) => {
        let state = fold(events)
        for (const { input, atMs } of events.slice(0, at)) state = aggregate.remove!(state, input, atMs)
        expectSame(state, fold(events.slice(at)), events)
      })
    })

    if (leftOut.length === 0) return
    test('null, NaN and infinities leave no trace', () => {
      check((events, at) => {
        const bare = bytesOf(fold(events))
        let state = fold(events.slice(0, at))
        for (const input of leftOut) {
          state = aggregate.add(state, input, queryMs - 1)
          if (aggregate.remove !== undefined) state = aggregate.remove(state, input, queryMs - 1)
        }
        expect(bytesOf(fold(events.slice(at), state))).toEqual(bare)
      })
    })
  })
}
