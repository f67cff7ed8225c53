import type { TimestampMs } from '../../state/contracts/units.ts'
import type { OrderedStore } from '../../state/store/state-store.ts'
import type { StreamRecord } from '../operator.ts'
import type { StageHandlers } from '../stream/connect-stage.ts'
import { packKey } from '../stream/record-key.ts'
import type { CountWindows } from './count-windows.ts'
import type { WindowStage } from './window.ts'
import { resultTimeOf, windowResult } from './window-result.ts'
import { isCountable, type StageSetup } from './window-stage.ts'

interface OpenWindow {
  startMs: TimestampMs
  endMs: TimestampMs
  latestMs: TimestampMs
  count: number
  state: unknown
}

interface KeyCell {
  /** Records of the key so far, modulo the step: at 0 a window begins. */
  phase: number
  /** Oldest first. */
  open: OpenWindow[]
}

/** Windows of so many records. Store: `<name>-windows` `[key]`, all open windows of the key together, since each record touches them all. */
export function countStage<In extends StreamRecord, Input, State, Output>(
  setup: StageSetup<In, Input, State, Output, CountWindows>,
): StageHandlers<In> {
  const { name, windows, fold, states, context, out, emit, resultTime } = setup
  const cells: OrderedStore<KeyCell> = context.store(`${name}-windows`)
  const emitsUpdates = emit === 'update' || emit === 'update-and-close'

  const give = (stage: WindowStage, record: In, window: OpenWindow): void => {
    const { startMs, endMs } = window
    const at = resultTimeOf(resultTime, startMs, endMs, window.latestMs)
    const value = fold.finish(states.load(window.state), endMs)
    out(windowResult(stage, record, record.key as In['key'], { startMs, endMs }, value, at))
  }

  return {
    next(record) {
      if (!isCountable(name, record, context)) return
      const at = [packKey(record.key)]
      const atMs = record.timestampMs
      const cell = cells.get(at) ?? { phase: 0, open: [] }
      if (cell.phase === 0) {
        const state = states.save(fold.init())
        cell.open.push({ startMs: atMs, endMs: atMs, latestMs: atMs, count: 0, state })
      }
      cell.phase = (cell.phase + 1) % windows.step
      for (const window of cell.open) {
        window.state = states.save(fold.add(states.load(window.state), setup.input(record), atMs))
        window.endMs = atMs
        window.latestMs = Math.max(window.latestMs, atMs)
        window.count++
        if (emitsUpdates) give('update', record, window)
      }
      const [oldest] = cell.open
      if (oldest !== undefined && oldest.count === windows.count) {
        cell.open.shift()
        if (emit !== 'update') give('final', record, oldest)
      }
      cells.put(at, cell)
    },
  }
}
