import type { BucketAnswer } from '../../processors/aggregate/bucket-by.ts'
import { type Category, type CategoryInput, categoryOf } from '../../processors/aggregate/category.ts'
import { type EntityKeys, entityKeys } from '../../processors/feature/entity-key.ts'
import { fieldReader } from '../../processors/feature/input-reader.ts'
import type { ViewState } from '../../processors/feature/view-state.ts'
import type { Want } from '../../processors/graph.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { BucketFeature, BucketFeatures } from '../model.ts'

interface BucketColumn {
  /** Of the map among the view's features. */
  readonly place: number
  readonly categoriesOf: (event: object) => readonly Category[]
  readonly takesOther: boolean
  readonly empty: number
}

/** Reads buckets of one view's maps for an event that names the entity and the categories. */
export class BucketVector {
  readonly width: number
  readonly #state: ViewState
  readonly #keys: EntityKeys
  readonly #columns: readonly BucketColumn[]
  readonly #answers: unknown[]

  /** `event` is the name of the contract whose events ask: a view may know its key by another field there. */
  constructor({ view, features }: BucketFeatures<never>, state: ViewState, event: string) {
    this.#state = state
    this.#keys = entityKeys(view.entity, view.keys[event])
    this.#columns = Object.values<BucketFeature<never>>(features).map((feature) => ({
      place: state.featureNames.indexOf(feature.of),
      categoriesOf: categoriesOf(feature),
      takesOther: feature.other ?? false,
      empty: feature.default ?? Number.NaN,
    }))
    this.width = this.#columns.length
    this.#answers = state.featureNames.map(() => null)
  }

  /**
   * Writes the buckets as of `queryMs` to `into` from `at` on, NaN for null. Of
   * several entities or categories it is the mean of the buckets that have a
   * value. Changes nothing.
   */
  read(event: object, queryMs: TimestampMs, into: Float64Array, at: number): void {
    const categories = this.#columns.map((column) => column.categoriesOf(event))
    const sums = this.#columns.map(() => 0)
    const seen = this.#columns.map(() => 0)
    for (const key of this.#keys.keysOf(event)) {
      this.#state.readAnswers(key, queryMs, this.#answers)
      for (const [index, { place, takesOther }] of this.#columns.entries()) {
        const answer = this.#answers[place] as BucketAnswer<number> | null
        if (answer === null) continue
        for (const category of categories[index]!) {
          const isOwn = !takesOther || answer.buckets.has(category)
          const value = (isOwn ? answer.buckets.get(category) : answer.other) ?? Number.NaN
          if (!Number.isFinite(value)) continue
          sums[index]! += value
          seen[index]!++
        }
      }
    }
    for (const [index, { empty }] of this.#columns.entries()) {
      into[at + index] = seen[index] === 0 ? empty : sums[index]! / seen[index]!
    }
  }

  want(event: object, want: Want): void {
    this.#state.wantForRead(this.#keys.keysOf(event), want)
  }
}

/** The categories that an event names, each once. */
export function categoriesOf({ at }: BucketFeature<never>): (event: object) => readonly Category[] {
  const read = typeof at === 'function' ? (at as (event: object) => unknown) : fieldReader(at)
  return (event) => {
    const named = read(event)
    const found = (Array.isArray(named) ? named : [named]).map((each) => categoryOf(each as CategoryInput))
    return [...new Set(found.filter((each) => each !== undefined))]
  }
}
