import type { Operator, StreamRecord } from '../operator.ts'
import { connectStage, type StageHandlers } from '../stream/connect-stage.ts'
import { requireCount } from '../stream/declaration-checks.ts'
import { alignedStage } from './aligned-stage.ts'
import { countStage } from './count-stage.ts'
import { foldStates } from './fold-states.ts'
import { sessionStage } from './session-stage.ts'
import { slidingStage } from './sliding-stage.ts'
import type { ResultTime, WindowClosing, WindowEmit, WindowFold, WindowResult } from './window.ts'
import { checkClosing } from './window-clock.ts'
import type { StageSetup, Windows } from './window-stage.ts'

export interface WindowAggregateOptions<In extends StreamRecord, Input, State, Output> {
  /** Part of the stores' names: another name starts from nothing. */
  readonly name: string
  readonly windows: Windows
  readonly aggregate: WindowFold<Input, State, Output>
  /** What of a record is folded; its value unless said. */
  readonly input?: (record: In) => Input
  readonly emit: WindowEmit
  /** `partition` unless said. Count windows have no use for it. */
  readonly closing?: WindowClosing<In>
  /** `latest-event` unless said. */
  readonly resultTime?: ResultTime
  /** `count`, unless said: late records go to `context.drop`. `emit`: they come out with the stage `late` as well. */
  readonly late?: 'count' | 'emit'
}

/**
 * Folds each key's records by window.
 *
 * A record that is late for one window may be in time for the next: lateness
 * is decided, and counted by `context.drop` with the reason `late-for-window`,
 * for each window of its own. The lateness is the least additional grace with
 * which it would have counted. A null key or value is dropped with
 * `null-key` or `null-value`.
 *
 * The results of one record come out oldest window first; results of closing
 * come out after the record that moved time, by window, and by key within a
 * window.
 *
 * @throws RangeError for emission by a count below 1 or of sliding or count
 *   windows, emission by commit of any but aligned windows, a negative disorder, or sessions of an aggregate that cannot merge.
 */
export function windowAggregate<In extends StreamRecord, Input, State, Output>(
  options: WindowAggregateOptions<In, Input, State, Output>,
): Operator<In, WindowResult<In['key'], Output>> {
  const { name, windows, aggregate: fold, emit, closing = 'partition' } = options
  if (typeof emit === 'object') requireCount('emit everyCount', emit.everyCount)
  if (typeof emit === 'object' && (windows.kind === 'sliding' || windows.kind === 'count')) {
    throw new RangeError(
      `"${name}" emits ${windows.kind} windows by count, expected aligned or session windows`,
    )
  }
  if (emit === 'commit' && windows.kind !== 'aligned') {
    throw new RangeError(`"${name}" emits ${windows.kind} windows by commit, expected aligned windows`)
  }
  checkClosing(closing)
  if (windows.kind === 'session' && fold.merge === undefined) {
    throw new RangeError(
      `window aggregate "${name}" has sessions, and an aggregate without merge; sessions merge`,
    )
  }
  if (windows.kind === 'session' && windows.mergesClosed && emit !== 'update') {
    throw new RangeError(
      `window aggregate "${name}" merges closed sessions and emits ${JSON.stringify(emit)}, expected "update": a closed session could be taken back`,
    )
  }
  return {
    name,
    connect: (context) =>
      connectStage(context, (out) =>
        stageOf({
          name,
          windows,
          fold,
          states: foldStates(fold),
          input: options.input ?? ((record) => record.value as Input),
          emit,
          closing,
          resultTime: options.resultTime ?? 'latest-event',
          emitLate: options.late === 'emit',
          context,
          out,
        }),
      ),
  }
}

function stageOf<In extends StreamRecord, Input, State, Output>(
  setup: StageSetup<In, Input, State, Output>,
): StageHandlers<In> {
  const { windows } = setup
  switch (windows.kind) {
    case 'aligned':
      return alignedStage({ ...setup, windows })
    case 'sliding':
      return slidingStage({ ...setup, windows })
    case 'session':
      return sessionStage({ ...setup, windows })
    case 'count':
      return countStage({ ...setup, windows })
  }
}
