import { fieldReader } from '../../processors/feature/input-reader.ts'
import type { OrderedStore } from '../../state/store/state-store.ts'
import type { Baseline } from '../model.ts'

/** [labels seen, their mean] */
type MeanLabel = readonly [count: number, mean: number]

/** The running mean of labels, for all and for each value of one field. Before any label: one half, or 0 for regression. */
export class BaselineState {
  readonly name: string
  readonly #store: OrderedStore<MeanLabel>
  readonly #keyOf: ((trigger: object) => unknown) | null
  readonly #before: number

  constructor(baseline: Baseline, store: OrderedStore<MeanLabel>, before: number) {
    this.name = baseline.name
    this.#store = store
    this.#keyOf = baseline.by === null ? null : fieldReader(baseline.by)
    this.#before = before
  }

  /** The key whose labels judge this trigger; remembered until the label comes. */
  keyOf(trigger: object): string | number | null {
    const key = this.#keyOf?.(trigger) ?? null
    return typeof key === 'number' || typeof key === 'string' ? key : key === null ? null : String(key)
  }

  predict(key: string | number | null): number {
    const own = key === null ? undefined : this.#store.get([key])
    return (own ?? this.#store.get([null]))?.[1] ?? this.#before
  }

  learn(key: string | number | null, label: number): void {
    this.#add([null], label)
    if (key !== null) this.#add([key], label)
  }

  #add(key: readonly [string | number | null], label: number): void {
    const [count, mean] = this.#store.get(key) ?? [0, 0]
    this.#store.put(key, [count + 1, mean + (label - mean) / (count + 1)])
  }
}
