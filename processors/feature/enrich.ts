import type { Contract } from '../../state/contracts/contract.ts'
import type { GraphContext } from '../graph.ts'
import type { StreamRecord } from '../operator.ts'
import { deriveRecord } from '../stream/derive-record.ts'
import { eachRecord } from '../stream/each-record.ts'
import { Stream } from '../stream/stream.ts'
import type { TaskRecord } from '../task-input.ts'
import { type FeatureView, requireNumbers } from './feature-view.ts'
import { VectorSlab } from './vector-slab.ts'
import { ViewVector } from './view-vector.ts'

/** An event with the features of the entities that it names. */
export interface Enriched<Value, Name extends string> {
  readonly event: Value
  /** In the order of the views and of their features; NaN is null. A copy of its own. */
  readonly features: Float64Array
  /** Their names, in the same order. */
  readonly names: readonly Name[]
}

type NamesOf<Views extends readonly FeatureView[]> =
  Views[number] extends FeatureView<string, infer Name> ? Name : never

/**
 * Each event with the features of its entities as of its own time, read
 * before the event itself is folded: a training example, or a fact for
 * another service. The views are folded in the same task.
 *
 * @throws RangeError when an event lacks a field that a view is about, two features share a name, or one's value is no number
 */
export function enrich<
  Value extends object,
  const Views extends readonly FeatureView<keyof Value & string>[],
>(contract: Contract<Value>, views: Views): Stream<StreamRecord<unknown, Enriched<Value, NamesOf<Views>>>> {
  const names = views.flatMap((view) => [...view.features.keys()]) as NamesOf<Views>[]
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new RangeError(`two of the features are named "${twice}"; rename one`)
  for (const view of views) {
    for (const { field } of view.entity) {
      const named = view.keys[contract.name]?.[field] ?? field
      if (contract.fieldNames.includes(named)) continue
      throw new RangeError(
        `view "${view.name}" is about "${named}", which event "${contract.name}" lacks; it has ${contract.fieldNames.join(', ')}`,
      )
    }
  }
  for (const view of views) requireNumbers(view, `events of "${contract.name}" are enriched`)
  const vectorsOf = (context: GraphContext) =>
    views.map((view) => new ViewVector(view, context.view(view.name), contract.name))
  return new Stream(
    {
      sources: [contract as unknown as Contract],
      idleMs: new Map(),
      operators: [],
      views,
      acrossPartitions: [],
      calls: [],
      wants: [
        (context) => {
          const vectors = vectorsOf(context)
          return (record, want) => {
            if (record.topic !== contract.topic) return
            for (const vector of vectors) vector.want(record.value, want)
          }
        },
      ],
    },
    ({ context }) => {
      const vectors = vectorsOf(context)
      const slab = new VectorSlab(names.length)
      return context.source(contract.topic).pipe(
        eachRecord<TaskRecord, StreamRecord<unknown, Enriched<Value, NamesOf<Views>>>>(
          context,
          (record, emit) => {
            const features = slab.take()
            let at = 0
            for (const vector of vectors) {
              vector.read(record.value, record.timestampMs, features, at)
              at += vector.width
            }
            const value: Enriched<Value, NamesOf<Views>> = { event: record.value as Value, features, names }
            emit(deriveRecord(record, record.key, value, record.timestampMs))
          },
        ),
      )
    },
  )
}
