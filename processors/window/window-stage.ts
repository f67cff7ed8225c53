import type { OperatorContext, StreamRecord } from '../operator.ts'
import type { Emit } from '../stream/connect-stage.ts'
import type { CountWindows } from './count-windows.ts'
import type { FoldStates } from './fold-states.ts'
import type { SessionWindows } from './session-windows.ts'
import type { SlidingWindows } from './sliding-windows.ts'
import type { AlignedWindows } from './time-windows.ts'
import type { ResultTime, WindowClosing, WindowEmit, WindowFold, WindowResult } from './window.ts'

export type Windows = AlignedWindows | SlidingWindows | SessionWindows | CountWindows

/** What the stages of all kinds of windows are given. */
export interface StageSetup<In extends StreamRecord, Input, State, Output, Kind extends Windows = Windows> {
  readonly name: string
  readonly windows: Kind
  readonly fold: WindowFold<Input, State, Output>
  readonly states: FoldStates<State>
  readonly input: (record: In) => Input
  readonly emit: WindowEmit
  readonly closing: WindowClosing<In>
  readonly resultTime: ResultTime
  readonly emitLate: boolean
  readonly context: OperatorContext
  readonly out: Emit<WindowResult<In['key'], Output>>
}

/** False, and counted, for a record that no window can take. */
export function isCountable(name: string, record: StreamRecord, context: OperatorContext): boolean {
  if (record.key !== null && record.key !== undefined && record.value !== null) return true
  const reason = record.value === null ? 'null-value' : 'null-key'
  context.drop({ operator: name, reason, record })
  return false
}
