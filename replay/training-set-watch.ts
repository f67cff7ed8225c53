import type { Model } from '../models/model.ts'
import type { FeatureView } from '../processors/feature/feature-view.ts'
import { fieldReader } from '../processors/feature/input-reader.ts'
import type { ViewState } from '../processors/feature/view-state.ts'
import { ViewVector } from '../processors/feature/view-vector.ts'
import type { GraphContext, GraphPart, Want } from '../processors/graph.ts'
import type { TaskRecord } from '../processors/task-input.ts'
import { columnTypeOf, fieldNode } from './training-set-views.ts'

/** The fields of the trigger that name the entities of the views. */
export function entityFields(model: Model, views: readonly FeatureView[]) {
  const fields = new Map<string, boolean>()
  for (const view of [...model.views, ...views]) {
    for (const { field, many } of view.entity) {
      fields.set(view.keys[model.trigger.name]?.[field] ?? field, many)
    }
  }
  return [...fields].map(([name, many]) => ({
    name,
    type: many ? ('string' as const) : columnTypeOf(fieldNode(model.trigger, name)),
    read: fieldReader(name),
  }))
}

/** Knows the trigger in hand, and reads the views that the model does not have. */
export class TriggerWatch implements GraphPart {
  readonly stores = []
  readonly #model: Model
  readonly #views: readonly FeatureView[]
  readonly #fields: ReturnType<typeof entityFields>
  #vectors: readonly ViewVector[] = []
  #width = 0
  #inHand!: TaskRecord

  constructor(model: Model, views: readonly FeatureView[]) {
    this.#model = model
    this.#views = views
    this.#fields = entityFields(model, views)
    for (const view of views) {
      for (const { field } of view.entity) {
        const named = view.keys[model.trigger.name]?.[field] ?? field
        if (model.trigger.fieldNames.includes(named)) continue
        throw new RangeError(
          `view "${view.name}" is about "${named}", but "${model.trigger.name}", which asks model "${model.name}", has no such field; it has ${model.trigger.fieldNames.join(', ')}`,
        )
      }
    }
  }

  connected(states: ReadonlyMap<string, ViewState>): this {
    this.#vectors = this.#views.map(
      (view) => new ViewVector(view, states.get(view.name)!, this.#model.trigger.name),
    )
    this.#width = this.#vectors.reduce((sum, { width }) => sum + width, 0)
    return this
  }

  connect(context: GraphContext): void {
    context.source(this.#model.trigger.topic).subscribe((record) => this.answer(record))
  }

  answer(record: TaskRecord): void {
    this.#inHand = record
  }

  want(record: TaskRecord, want: Want): void {
    if (record.topic !== this.#model.trigger.topic) return
    for (const vector of this.#vectors) vector.want(record.value, want)
  }

  entity(): readonly unknown[] {
    return this.#fields.map(({ read, type }) => {
      const value = read(this.#inHand.value)
      if (value === null || value === undefined) return null
      if (type === 'string') return Array.isArray(value) ? value.join('|') : String(value)
      return value
    })
  }

  extra(queryMs: number): Float64Array {
    const into = new Float64Array(this.#width)
    let at = 0
    for (const vector of this.#vectors) {
      vector.read(this.#inHand.value, queryMs, into, at)
      at += vector.width
    }
    return into
  }
}
