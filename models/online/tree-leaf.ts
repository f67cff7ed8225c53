import type { ByteWriter } from '../../state/contracts/byte-writer.ts'
import { featureLimit } from '../predictor.ts'
import { normalBelow } from '../statistics/distributions.ts'
import type { ByteCursor } from './byte-cursor.ts'
import { normalizeLogs } from './class-label.ts'
import { readRuns, runsOf } from './double-runs.ts'
import { logNormalDensity } from './naive-bayes.ts'

/** Cells of an observer: [ weight | mean | squared deviations | smallest | largest ] of a feature within a class. */
const observerWidth = 5

/**
 * A leaf of a Hoeffding tree: how often each class came by and, while it is
 * active, a normal distribution of each feature within each class.
 */
export interface TreeLeaf {
  readonly kind: 'leaf'
  readonly depth: number
  /** Weight of each class, what the parent's split left to it included. Shape `[classes]`. */
  readonly weights: Float64Array
  /** The classes in order of appearance; ties go to the earlier. */
  readonly seen: number[]
  /** The features that it observes, ascending; all unless the tree draws them. */
  readonly features: Int32Array
  /** Shape `[features, classes, observerWidth]`; undefined in a leaf that has given up splitting. */
  observers: Float64Array | undefined
  /** Classes in the order in which the observers met them. */
  readonly observed: number[]
  /** Weight at the last attempt to split. */
  attemptedAt: number
  /** Weight of the examples that the majority class, and naive Bayes, would have got right. */
  majorityRight: number
  bayesRight: number
}

export function newLeaf(depth: number, classCount: number, features: Int32Array): TreeLeaf {
  return {
    kind: 'leaf',
    depth,
    weights: new Float64Array(classCount),
    seen: [],
    features,
    observers: new Float64Array(features.length * classCount * observerWidth),
    observed: [],
    attemptedAt: 0,
    majorityRight: 0,
    bayesRight: 0,
  }
}

/** Sum of the class weights, in order of appearance. */
export function weightOf(leaf: TreeLeaf): number {
  let sum = 0
  for (const label of leaf.seen) sum += leaf.weights[label]!
  return sum
}

export function activate(leaf: TreeLeaf): void {
  leaf.observers = new Float64Array(leaf.features.length * leaf.weights.length * observerWidth)
  leaf.observed.length = 0
}

/** Takes an example into the class weights and, in an active leaf, the observers. */
export function observe(leaf: TreeLeaf, features: Float64Array, label: number, weight: number): void {
  addClass(leaf, label, weight)
  const { observers } = leaf
  if (!observers) return
  if (!leaf.observed.includes(label)) leaf.observed.push(label)
  const classCount = leaf.weights.length
  for (let index = 0; index < leaf.features.length; index++) {
    const value = features[leaf.features[index]!]!
    if (!(value <= featureLimit && value >= -featureLimit)) continue
    const at = (index * classCount + label) * observerWidth
    const before = observers[at]!
    const total = before + weight
    const mean = observers[at + 1]!
    const moved = mean + (weight / total) * (value - mean)
    observers[at] = total
    observers[at + 1] = moved
    observers[at + 2] = observers[at + 2]! + weight * (value - mean) * (value - moved)
    observers[at + 3] = before === 0 ? value : Math.min(observers[at + 3]!, value)
    observers[at + 4] = before === 0 ? value : Math.max(observers[at + 4]!, value)
  }
}

export function addClass(leaf: TreeLeaf, label: number, weight: number): void {
  if (!leaf.seen.includes(label)) leaf.seen.push(label)
  leaf.weights[label] = leaf.weights[label]! + weight
}

/** Shares of the classes. */
export function majorityVotes(leaf: TreeLeaf, into: Float64Array): void {
  const total = weightOf(leaf)
  const scale = total > 0 ? 1 / total : 0
  for (let label = 0; label < into.length; label++) into[label] = leaf.weights[label]! * scale
}

/** Naive Bayes with the leaf's observers; class shares where it has none. */
export function bayesVotes(leaf: TreeLeaf, features: Float64Array, into: Float64Array): void {
  const { observers } = leaf
  const total = weightOf(leaf)
  if (!observers || total === 0) {
    majorityVotes(leaf, into)
    return
  }
  const classCount = leaf.weights.length
  for (let label = 0; label < classCount; label++) {
    const weight = leaf.weights[label]!
    if (weight <= 0) {
      into[label] = Number.NEGATIVE_INFINITY
      continue
    }
    let sum = Math.log(weight / total)
    for (let index = 0; index < leaf.features.length; index++) {
      const value = features[leaf.features[index]!]!
      if (!(value <= featureLimit && value >= -featureLimit)) continue
      const at = (index * classCount + label) * observerWidth
      const log = logNormalDensity(value, observers[at]!, observers[at + 1]!, observers[at + 2]!)
      if (log > Number.NEGATIVE_INFINITY) sum += log
    }
    into[label] = sum
  }
  normalizeLogs(into)
}

/** The class with the most votes, the one seen first among equals; -1 in an empty leaf. */
export function votedClass(leaf: TreeLeaf, votes: Float64Array): number {
  let best = -1
  for (const label of leaf.seen) if (best < 0 || votes[label]! > votes[best]!) best = label
  return best
}

/** Class weights on both sides of `feature <= threshold`, in the observers' order of classes. */
export interface SplitCandidate {
  readonly merit: number
  /** Absent: not splitting. */
  readonly feature?: number
  readonly threshold?: number
  readonly sides?: readonly [ClassWeights, ClassWeights]
}

export type ClassWeights = ReadonlyMap<number, number>

/** How good a split is: the merit of the class weights before it and on its sides. */
export interface SplitMerit {
  readonly range: number
  merit(before: ClassWeights, sides: readonly ClassWeights[]): number
}

/** The best threshold of the leaf's observer at `index`, of `points` evenly spaced ones. */
export function bestSplit(
  leaf: TreeLeaf,
  index: number,
  points: number,
  criterion: SplitMerit,
): SplitCandidate {
  const observers = leaf.observers!
  const classCount = leaf.weights.length
  const cellOf = (label: number): number => (index * classCount + label) * observerWidth
  const labels = leaf.observed.filter((label) => observers[cellOf(label)]! > 0)
  let smallest = Number.POSITIVE_INFINITY
  let largest = Number.NEGATIVE_INFINITY
  for (const label of labels) {
    smallest = Math.min(smallest, observers[cellOf(label) + 3]!)
    largest = Math.max(largest, observers[cellOf(label) + 4]!)
  }
  let best: SplitCandidate = { merit: Number.NEGATIVE_INFINITY }
  const before = new Map(leaf.seen.map((label) => [label, leaf.weights[label]!]))
  const step = (largest - smallest) / (points + 1)
  for (let point = 1; point <= points; point++) {
    const threshold = smallest + step * point
    if (!(threshold > smallest && threshold < largest)) continue
    const sides = sidesOf(observers, labels, cellOf, threshold)
    const merit = criterion.merit(before, sides)
    if (merit > best.merit) best = { merit, feature: leaf.features[index]!, threshold, sides }
  }
  return best
}

function sidesOf(
  observers: Float64Array,
  labels: readonly number[],
  cellOf: (label: number) => number,
  threshold: number,
): [ClassWeights, ClassWeights] {
  const left = new Map<number, number>()
  const right = new Map<number, number>()
  for (const label of labels) {
    const at = cellOf(label)
    const weight = observers[at]!
    if (threshold < observers[at + 3]!) {
      right.set(label, weight)
    } else if (threshold >= observers[at + 4]!) {
      left.set(label, weight)
    } else {
      const variance = weight > 1 ? observers[at + 2]! / (weight - 1) : 0
      const share = variance > 0 ? normalBelow((threshold - observers[at + 1]!) / Math.sqrt(variance)) : 0
      left.set(label, share * weight)
      right.set(label, weight - share * weight)
    }
  }
  return [left, right]
}

export function writeLeaf(leaf: TreeLeaf, out: ByteWriter): void {
  for (const list of [leaf.seen, leaf.observed, leaf.features]) {
    out.varint(list.length)
    for (const item of list) out.varint(item)
  }
  for (const cells of [leaf.weights, leaf.observers]) {
    out.byte(cells ? 1 : 0)
    if (!cells) continue
    const runs = runsOf(cells)
    out.varint(runs.length)
    out.raw(runs)
  }
  out.double(leaf.attemptedAt)
  out.double(leaf.majorityRight)
  out.double(leaf.bayesRight)
}

export function readLeaf(cursor: ByteCursor, depth: number, classCount: number): TreeLeaf {
  const list = (): number[] => Array.from({ length: cursor.count() }, () => cursor.varint())
  const seen = list()
  const observed = list()
  const wrong = [...seen, ...observed].find((label) => !(label >= 0 && label < classCount))
  if (wrong !== undefined) throw new RangeError(`it has class ${wrong} of ${classCount}`)
  const leaf = newLeaf(depth, classCount, Int32Array.from(list()))
  leaf.seen.push(...seen)
  leaf.observed.push(...observed)
  cursor.take(1)
  readRuns(cursor.take(cursor.varint()), leaf.weights, 0, classCount)
  if (cursor.take(1)[0] === 1) {
    readRuns(cursor.take(cursor.varint()), leaf.observers!, 0, leaf.observers!.length)
  } else {
    leaf.observers = undefined
  }
  leaf.attemptedAt = cursor.double()
  leaf.majorityRight = cursor.double()
  leaf.bayesRight = cursor.double()
  return leaf
}
