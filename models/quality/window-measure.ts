import { binOf } from '../drift/binning.ts'
import {
  fillEmpty,
  hellinger,
  jensenShannon,
  largestDifference,
  populationStability,
  sharesOf,
} from '../drift/distances.ts'
import type { DeclaredExpectation, ReferenceHistogram, ShareDistance } from './expectation.ts'

/** What a window has counted for one expectation: plain data, ready for a store. */
export type Counted = number | number[] | Map<unknown, 1> | null

export interface Judgement {
  /** What was measured. */
  readonly value: number
  /** The bound it was held against: the one that it broke, if it broke one. */
  readonly bound: number
  readonly isMet: boolean
}

/** How one expectation about windows counts values and judges what it counted. */
export interface WindowMeasure {
  readonly empty: () => Counted
  /** Takes one value; gives the count back, changed or a new one. */
  readonly add: (counted: Counted, value: unknown) => Counted
  /** `count` is that of the window's values, nulls included. Undefined where there is too little to judge. */
  readonly judge: (counted: Counted, count: number) => Judgement | undefined
}

/** The measure of an expectation that looks at one window alone; undefined for the other kinds. */
export function windowMeasure({ spec, leastCount }: DeclaredExpectation): WindowMeasure | undefined {
  if ('nullShare' in spec) return nullShare(spec.nullShare.atMost, leastCount)
  if ('distinct' in spec) return distinct(spec.distinct.atLeast, spec.distinct.atMost, leastCount)
  if ('distribution' in spec) {
    const { reference, atMost, distance = 'population-stability' } = spec.distribution
    return distribution(reference, atMost, distance, leastCount)
  }
  return undefined
}

const isNull = (value: unknown): boolean =>
  value === null || value === undefined || (typeof value === 'number' && Number.isNaN(value))

function nullShare(atMost: number, leastCount: number): WindowMeasure {
  return {
    empty: () => 0,
    add: (counted, value) => (isNull(value) ? (counted as number) + 1 : counted),
    judge: (counted, count) =>
      count < leastCount ? undefined : within((counted as number) / count, { atMost }),
  }
}

/** Holds no more values than it takes to know whether a bound is broken. */
function distinct(
  atLeast: number | undefined,
  atMost: number | undefined,
  leastCount: number,
): WindowMeasure {
  const most = Math.max(atLeast ?? 0, (atMost ?? -1) + 1)
  return {
    empty: () => new Map(),
    add(counted, value) {
      const values = counted as Map<unknown, 1>
      if (!isNull(value) && values.size < most) values.set(plain(value), 1)
      return counted
    },
    judge: (counted, count) =>
      count < leastCount
        ? undefined
        : within((counted as Map<unknown, 1>).size, {
            ...(atLeast === undefined ? {} : { atLeast }),
            ...(atMost === undefined ? {} : { atMost }),
          }),
  }
}

const plain = (value: unknown): unknown =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? value
    : typeof value === 'bigint'
      ? `${value}n`
      : JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : part))

const distances: { readonly [Name in ShareDistance]: (left: Float64Array, right: Float64Array) => number } = {
  'population-stability': (left, right) => populationStability(fillEmpty(left), fillEmpty(right)),
  'jensen-shannon': (left, right) => jensenShannon(left, right, 2),
  hellinger,
  'largest-difference': largestDifference,
}

/** Bins of the reference, and more for what lies outside of it, of which the reference has none. */
function distribution(
  reference: ReferenceHistogram,
  atMost: number,
  name: ShareDistance,
  leastCount: number,
): WindowMeasure {
  const { shares, binOf: find } = binsOf(reference)
  return {
    empty: () => new Array<number>(shares.length).fill(0),
    add(counted, value) {
      if (isNull(value)) return counted
      const bins = counted as number[]
      const bin = find(value)
      bins[bin] = bins[bin]! + 1
      return counted
    },
    judge(counted) {
      const bins = counted as number[]
      if (bins.reduce((sum, each) => sum + each, 0) < leastCount) return undefined
      return within(distances[name](shares, sharesOf(bins)), { atMost })
    },
  }
}

function binsOf(reference: ReferenceHistogram): {
  readonly shares: Float64Array
  readonly binOf: (value: unknown) => number
} {
  if ('edges' in reference) {
    const edges = Float64Array.from(reference.edges)
    const bins = reference.shares.length
    return {
      shares: sharesOf([...reference.shares, 0, 0]),
      binOf(value) {
        const number = Number(value)
        const bin = binOf(number, edges)
        if (bin >= 0) return bin
        return number < edges[0]! ? bins : bins + 1
      },
    }
  }
  const names = Object.keys(reference.categories)
  const places = new Map(names.map((name, place) => [name, place]))
  return {
    shares: sharesOf([...Object.values(reference.categories), 0]),
    binOf: (value) => places.get(String(value)) ?? names.length,
  }
}

/** Holds a value against its bounds, which it may reach. */
export function within(
  value: number,
  { atLeast, atMost }: { readonly atLeast?: number; readonly atMost?: number },
): Judgement {
  if (atLeast !== undefined && !(value >= atLeast)) return { value, bound: atLeast, isMet: false }
  if (atMost !== undefined && !(value <= atMost)) return { value, bound: atMost, isMet: false }
  return { value, bound: atMost ?? atLeast ?? value, isMet: true }
}
