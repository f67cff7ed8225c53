import { createHash } from 'node:crypto'
import type { DurationMs, TimestampMs } from '../state/contracts/units.ts'

/** Train before the first time, then validation, then test; with one time train and test. */
export interface TimeSplit {
  readonly kind: 'time'
  readonly at: readonly [TimestampMs] | readonly [TimestampMs, TimestampMs]
  /** Rows so shortly before a time are left out: their labels came after it. */
  readonly gapMs: DurationMs
}

/** Shares of train, validation and test that add up to 1; drawn by seed. */
export interface ShareSplit {
  readonly kind: 'share'
  readonly shares: readonly [number, number] | readonly [number, number, number]
  /** `row`: each by itself; `group`: rows of one group stay together; `label`: the same shares of each label. */
  readonly by: 'row' | 'group' | 'label'
}

/** Which rows a training set keeps, and what it says about them. */
export interface ShapeOptions {
  /** Half-open: rows before `fromMs`, and at or after `toMs`, are left out. */
  readonly fromMs?: TimestampMs
  readonly toMs?: TimestampMs
  readonly seed?: number
  /** Share of the rows with a label that is kept, by label; their weight becomes 1 / share. */
  readonly keep?: ReadonlyMap<number, number>
  /** Weight of each label; `balanced` gives all labels the same sum of weights. */
  readonly classWeights?: ReadonlyMap<number, number> | 'balanced'
  readonly split?: TimeSplit | ShareSplit
}

export interface ShapeRow {
  /** What the draw is made by: the same row is drawn the same way every time. */
  readonly id: string
  /** NaN: it has none, and belongs to no range of time. */
  readonly atMs: TimestampMs
  readonly label: number | null
  readonly group: string
}

export interface ShapedRow {
  readonly weight: number
  /** null: there is no split. */
  readonly split: string | null
}

export interface DroppedRows {
  outsideRange: number
  inGap: number
  sampledOut: number
  unlabelled: number
}

/** Draws without a clock: a number in [0, 1) that follows from the seed and the text. */
export const drawOf = (seed: number, text: string): number =>
  createHash('sha256').update(`${seed}:${text}`).digest().readUIntBE(0, 6) / 2 ** 48

/** Short, so that the shares are right for a rare label too. */
const stratumRows = 20

const names = (count: number): readonly string[] =>
  count === 2 ? ['train', 'test'] : ['train', 'validation', 'test']

/** Decides about each row, in order. */
export class RowShape {
  readonly dropped: DroppedRows = { outsideRange: 0, inGap: 0, sampledOut: 0, unlabelled: 0 }
  readonly splits: Record<string, number> = {}
  /** Rows kept, by label. */
  readonly labels = new Map<number, number>()
  readonly hasWeight: boolean
  readonly hasSplit: boolean
  /** False: what is decided about a row does not depend on its time, which may be left NaN. */
  readonly needsTime: boolean
  readonly #options: ShapeOptions
  readonly #seed: number
  readonly #weights: ReadonlyMap<number, number>
  readonly #strata = new Map<number | null, { block: number; left: string[]; given: number[] }>()

  /** `balance` are the labels of the rows that will be kept, counted beforehand: only for balanced weights. */
  constructor(options: ShapeOptions, balance: ReadonlyMap<number, number> = new Map()) {
    checkShape(options)
    this.#options = options
    this.#seed = options.seed ?? 0
    const { classWeights } = options
    this.#weights = classWeights === 'balanced' ? balanced(balance) : (classWeights ?? new Map())
    this.hasWeight = options.keep !== undefined || classWeights !== undefined
    this.hasSplit = options.split !== undefined
    const { fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY, split } = options
    this.needsTime = split?.kind === 'time' || fromMs > -Infinity || toMs < Infinity
  }

  /** undefined: the row is left out, and counted. */
  take(row: ShapeRow): ShapedRow | undefined {
    const { fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY, keep } = this.#options
    if (row.atMs < fromMs || row.atMs >= toMs || (this.needsTime && Number.isNaN(row.atMs))) {
      this.dropped.outsideRange++
      return undefined
    }
    const share = row.label === null ? undefined : keep?.get(row.label)
    if (share !== undefined && drawOf(this.#seed, `keep:${row.id}`) >= share) {
      this.dropped.sampledOut++
      return undefined
    }
    const split = this.#splitOf(row)
    if (split === 'gap') {
      this.dropped.inGap++
      return undefined
    }
    if (split !== null) this.splits[split] = (this.splits[split] ?? 0) + 1
    if (row.label !== null) this.labels.set(row.label, (this.labels.get(row.label) ?? 0) + 1)
    const ofClass = row.label === null ? 1 : (this.#weights.get(row.label) ?? 1)
    return { weight: ofClass / (share ?? 1), split }
  }

  #splitOf(row: ShapeRow): string | 'gap' | null {
    const { split } = this.#options
    if (split === undefined) return null
    if (split.kind === 'time') {
      const next = split.at.findIndex((atMs) => row.atMs < atMs)
      const part = next < 0 ? split.at.length : next
      const isInGap = next >= 0 && row.atMs >= split.at[next]! - split.gapMs
      return isInGap ? 'gap' : names(split.at.length + 1)[part]!
    }
    if (split.by === 'label') return this.#stratified(row.label, split.shares)
    const draw = drawOf(this.#seed, `split:${split.by === 'group' ? row.group : row.id}`)
    let sum = 0
    const part = split.shares.findIndex((share) => {
      sum += share
      return draw < sum
    })
    return names(split.shares.length)[part < 0 ? split.shares.length - 1 : part]!
  }

  /** Of each block of a label's rows the shares, as exactly as whole rows can, in an order that the seed shuffles. */
  #stratified(label: number | null, shares: readonly number[]): string {
    const stratum = this.#strata.get(label) ?? { block: 0, left: [], given: shares.map(() => 0) }
    this.#strata.set(label, stratum)
    if (stratum.left.length === 0) {
      const block = ++stratum.block
      for (let index = 0; index < stratumRows; index++) {
        const total = (block - 1) * stratumRows + index + 1
        let part = 0
        for (let each = 1; each < shares.length; each++) {
          const behind = (at: number) => shares[at]! * total - stratum.given[at]!
          if (behind(each) > behind(part)) part = each
        }
        stratum.given[part]!++
        stratum.left.push(names(shares.length)[part]!)
      }
      const order = stratum.left.map((name, index) => ({
        name,
        draw: drawOf(this.#seed, `stratum:${label}:${block}:${index}`),
      }))
      stratum.left = order.sort((one, other) => one.draw - other.draw).map(({ name }) => name)
    }
    return stratum.left.pop()!
  }
}

/** Every label gets the same sum, and all weights together the number of rows. */
function balanced(labels: ReadonlyMap<number, number>): ReadonlyMap<number, number> {
  const rows = [...labels.values()].reduce((sum, count) => sum + count, 0)
  return new Map([...labels].map(([label, count]) => [label, rows / (labels.size * count)]))
}

function checkShape({ keep, split, classWeights, fromMs, toMs }: ShapeOptions): void {
  for (const [label, share] of keep ?? []) {
    if (!(share > 0 && share <= 1)) {
      throw new RangeError(`the share of label ${label} to keep must be above 0 and at most 1, got ${share}`)
    }
  }
  if (classWeights instanceof Map) {
    for (const [label, weight] of classWeights) {
      if (!(weight >= 0))
        throw new RangeError(`the weight of label ${label} must be at least 0, got ${weight}`)
    }
  }
  if (fromMs !== undefined && toMs !== undefined && !(fromMs < toMs)) {
    throw new RangeError(`the range must begin before it ends, got ${fromMs} to ${toMs}`)
  }
  if (split?.kind === 'time') {
    const [first, second = Number.POSITIVE_INFINITY] = split.at
    if (!(first < second)) throw new RangeError('the times of a split must go up')
    if (!(split.gapMs >= 0)) throw new RangeError(`the gap of a split must be at least 0, got ${split.gapMs}`)
  }
  if (split?.kind === 'share') {
    const sum = split.shares.reduce((total, share) => total + share, 0)
    if (Math.abs(sum - 1) > 1e-9 || split.shares.some((share) => !(share >= 0))) {
      throw new RangeError(`the shares of a split must add up to 1, got ${split.shares.join(', ')}`)
    }
  }
}
