import type { TimestampMs } from '../../state/contracts/units.ts'
import type { AnswerForm, ColumnAggregate } from '../aggregate/aggregate.ts'
import { meanAt } from '../aggregate/mean.ts'
import { sumAt } from '../aggregate/sum.ts'

/** One feature of a window's row, and its place in the vector. */
export interface WindowAnswer {
  readonly aggregate: ColumnAggregate
  /** Index of its window, of those that were read. */
  readonly window: number
  /** Where each of the aggregate's folds has its columns. */
  readonly at: readonly number[]
  readonly place: number
  /** What stands for null. */
  readonly default: number
}

/** Of a feature: its window, up to two columns, and its place. */
const window = 0
const first = 1
const second = 2
const place = 3
const width = 4

/** Features that are answered in the same way, their numbers one behind the other. */
interface Alike {
  readonly numbers: Int32Array
  readonly defaults: Float64Array
}

const alike = (answers: readonly WindowAnswer[], form: AnswerForm): Alike => {
  const those = answers.filter(({ aggregate }) => aggregate.form === form)
  return {
    numbers: Int32Array.from(
      those.flatMap((each) => [each.window, each.at[0]!, each.at[1] ?? 0, each.place]),
    ),
    defaults: Float64Array.from(those, (each) => each.default),
  }
}

/**
 * Answers the windowed features of a vector, all at once. Those of the common
 * forms are answered form by form, each in a loop of its own: a call through
 * the aggregate, or a choice for every feature, would cost as much as the
 * windows' merging.
 */
export class WindowAnswers {
  readonly #columns: Alike
  readonly #sums: Alike
  readonly #means: Alike
  readonly #others: readonly WindowAnswer[]

  constructor(answers: readonly WindowAnswer[]) {
    this.#columns = alike(answers, 'column')
    this.#sums = alike(answers, 'sum')
    this.#means = alike(answers, 'mean')
    this.#others = answers.filter(({ aggregate }) => aggregate.form === undefined)
  }

  /**
   * Writes the answers to `into`, each at `at` and its place. `merged[w]` says
   * how much was merged into window w: of nothing, the answer is null.
   */
  write(rows: Float64Array, merged: Int32Array, queryMs: TimestampMs, into: Float64Array, at: number): void {
    writeColumns(this.#columns, rows, merged, into, at)
    writeSums(this.#sums, rows, merged, into, at)
    writeMeans(this.#means, rows, merged, into, at)
    for (const each of this.#others) {
      const value = merged[each.window] === 0 ? Number.NaN : each.aggregate.finish(rows, each.at, queryMs)
      into[at + each.place] = value - value === 0 ? value : each.default
    }
  }
}

function writeColumns(
  { numbers, defaults }: Alike,
  rows: Float64Array,
  merged: Int32Array,
  into: Float64Array,
  at: number,
): void {
  for (let each = 0, index = 0; index < defaults.length; each += width, index++) {
    const value = rows[numbers[each + first]!]!
    // Neither null nor an infinity.
    const isThere = merged[numbers[each + window]!] !== 0 && value - value === 0
    into[at + numbers[each + place]!] = isThere ? value : defaults[index]!
  }
}

function writeSums(
  { numbers, defaults }: Alike,
  rows: Float64Array,
  merged: Int32Array,
  into: Float64Array,
  at: number,
): void {
  for (let each = 0, index = 0; index < defaults.length; each += width, index++) {
    const value = sumAt(rows, numbers[each + first]!, numbers[each + second]!, Number.NaN)
    const isThere = merged[numbers[each + window]!] !== 0 && value - value === 0
    into[at + numbers[each + place]!] = isThere ? value : defaults[index]!
  }
}

function writeMeans(
  { numbers, defaults }: Alike,
  rows: Float64Array,
  merged: Int32Array,
  into: Float64Array,
  at: number,
): void {
  for (let each = 0, index = 0; index < defaults.length; each += width, index++) {
    const value = meanAt(rows, numbers[each + first]!, numbers[each + second]!)
    const isThere = merged[numbers[each + window]!] !== 0 && value - value === 0
    into[at + numbers[each + place]!] = isThere ? value : defaults[index]!
  }
}
