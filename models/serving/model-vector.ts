import { type InputReader, inputReader } from '../../processors/feature/input-reader.ts'
import type { ViewState } from '../../processors/feature/view-state.ts'
import { ViewVector } from '../../processors/feature/view-vector.ts'
import type { Want } from '../../processors/graph.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { Model } from '../model.ts'
import { BucketVector } from './bucket-vector.ts'

interface ViewColumns {
  readonly kind: 'view'
  readonly at: number
  readonly view: ViewVector | BucketVector
}

interface RequestColumns {
  readonly kind: 'request'
  readonly at: number
  readonly readers: readonly InputReader[]
}

interface ComputedColumns {
  readonly kind: 'computed'
  readonly at: number
  readonly computes: readonly {
    readonly of: readonly number[]
    readonly value: (...values: number[]) => number
  }[]
}

type Columns = ViewColumns | RequestColumns | ComputedColumns

/**
 * Reads a model's feature vector for a trigger event: `[features]` in the
 * model's column order, NaN for null. The same code answers live, in a
 * replay and for a training set.
 */
export class ModelVector {
  readonly width: number
  readonly #columns: readonly Columns[]

  constructor(model: Model, viewStates: ReadonlyMap<string, ViewState>) {
    let at = 0
    this.#columns = model.sources.map((source): Columns => {
      const start = at
      if (source.kind === 'computed-features') {
        const computes = Object.values(source.features).map(({ of, value }) => ({
          of: of.map((name) => model.columns.indexOf(name)),
          value,
        }))
        at += computes.length
        return { kind: 'computed', at: start, computes }
      }
      if (source.kind === 'request-features') {
        const readers = Object.values(source.features).map((read) =>
          inputReader(read as () => number, undefined),
        )
        at += readers.length
        return { kind: 'request', at: start, readers }
      }
      const { name } = source.kind === 'feature-view' ? source : source.view
      const state = viewStates.get(name)
      if (state === undefined) {
        throw new RangeError(
          `model "${model.name}" reads view "${name}", which the topology does not declare`,
        )
      }
      const view =
        source.kind === 'feature-view'
          ? new ViewVector(source, state, model.trigger.name)
          : new BucketVector(source, state, model.trigger.name)
      at += view.width
      return { kind: 'view', at: start, view }
    })
    this.width = at
  }

  /** Writes the vector as of `queryMs` to `into`. Changes nothing. */
  read(trigger: object, queryMs: TimestampMs, into: Float64Array): void {
    for (const columns of this.#columns) {
      if (columns.kind === 'request') {
        const { at, readers } = columns
        for (let index = 0; index < readers.length; index++) into[at + index] = readers[index]!(trigger)
      } else if (columns.kind === 'computed') {
        for (const [index, { of, value }] of columns.computes.entries()) {
          const result = value(...of.map((column) => into[column]!))
          into[columns.at + index] = Number.isFinite(result) ? result : Number.NaN
        }
      } else {
        columns.view.read(trigger, queryMs, into, columns.at)
      }
    }
  }

  want(trigger: object, want: Want): void {
    for (const columns of this.#columns) {
      if (columns.kind === 'view') columns.view.want(trigger, want)
    }
  }
}
