import type { TimestampMs } from '../../state/contracts/units.ts'
import type { Want } from '../graph.ts'
import { type EntityKeys, entityKeys } from './entity-key.ts'
import type { FeatureView } from './feature-view.ts'
import type { ViewState } from './view-state.ts'

/** Reads one view's features for an event that names its entity, or its entities. */
export class ViewVector {
  readonly width: number
  readonly #state: ViewState
  readonly #keys: EntityKeys

  /** `event` is the name of the contract whose events ask: a view may know its key by another field there. */
  constructor(view: FeatureView, state: ViewState, event: string) {
    this.width = view.features.size
    this.#state = state
    this.#keys = entityKeys(view.entity, view.keys[event])
  }

  /** Writes the features as of `queryMs` to `into` from `at` on, NaN for null. Changes nothing. */
  read(event: object, queryMs: TimestampMs, into: Float64Array, at: number): void {
    if (this.#keys.many) this.#state.read(this.#keys.keysOf(event), queryMs, into, at)
    else this.#state.readOne(this.#keys.keyOf(event), queryMs, into, at)
  }

  want(event: object, want: Want): void {
    this.#state.wantForRead(this.#keys.keysOf(event), want)
  }
}
