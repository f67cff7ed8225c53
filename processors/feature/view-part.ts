import type { GraphContext, GraphPart, Want } from '../graph.ts'
import { eachRecord } from '../stream/each-record.ts'
import type { TaskRecord } from '../task-input.ts'
import type { ViewState } from './view-state.ts'

/** Folds a view's source events into its state, as a part of a task's graph. */
export function viewPart(state: ViewState): GraphPart {
  return {
    stores: state.stores,
    connect(context: GraphContext) {
      for (const { topic } of state.view.sources) {
        context.drive(
          context
            .source(topic)
            .pipe(
              eachRecord<TaskRecord, never>(context, (record) =>
                state.update(topic, record.timestampMs, record.value),
              ),
            ),
        )
      }
    },
    want(record: TaskRecord, want: Want) {
      state.wantForUpdate(record.topic, record.value, want)
    },
  }
}
