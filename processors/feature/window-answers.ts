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

const forms = {
  column: 1,
  sum: 2,
  mean: 3,
} satisfies Record<AnswerForm, number>

/**
 * Answers the windowed features of a vector, all at once. The common forms are
 * called by name, where a call through the aggregate, and a number in memory
 * for what it returns, would cost as much as the windows' merging.
 */
export class WindowAnswers {
  readonly #count: number
  readonly #aggregates: readonly ColumnAggregate[]
  readonly #ats: readonly (readonly number[])[]
  readonly #forms: Int32Array
  readonly #windows: Int32Array
  readonly #first: Int32Array
  readonly #second: Int32Array
  readonly #places: Int32Array
  readonly #defaults: Float64Array

  constructor(answers: readonly WindowAnswer[]) {
    this.#count = answers.length
    this.#aggregates = answers.map(({ aggregate }) => aggregate)
    this.#ats = answers.map(({ at }) => at)
    this.#forms = Int32Array.from(answers, ({ aggregate: { form } }) => (form ? forms[form] : 0))
    this.#windows = Int32Array.from(answers, ({ window }) => window)
    this.#first = Int32Array.from(answers, ({ at }) => at[0] ?? 0)
    this.#second = Int32Array.from(answers, ({ at }) => at[1] ?? 0)
    this.#places = Int32Array.from(answers, ({ place }) => place)
    this.#defaults = Float64Array.from(answers, (answer) => answer.default)
  }

  /**
   * Writes the answers to `into`, each at `at` and its place. `merged[w]` says
   * how much was merged into window w: of nothing, the answer is null.
   */
  write(rows: Float64Array, merged: Int32Array, queryMs: TimestampMs, into: Float64Array, at: number): void {
    for (let index = 0; index < this.#count; index++) {
      const value = merged[this.#windows[index]!] === 0 ? Number.NaN : this.#answer(index, rows, queryMs)
      // Neither null nor an infinity.
      into[at + this.#places[index]!] = value - value === 0 ? value : this.#defaults[index]!
    }
  }

  #answer(index: number, rows: Float64Array, queryMs: TimestampMs): number {
    const first = this.#first[index]!
    switch (this.#forms[index]) {
      case forms.column:
        return rows[first]!
      case forms.sum:
        return sumAt(rows, first, this.#second[index]!, Number.NaN)
      case forms.mean:
        return meanAt(rows, first, this.#second[index]!)
      default:
        return this.#aggregates[index]!.finish(rows, this.#ats[index]!, queryMs)
    }
  }
}
