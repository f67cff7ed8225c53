import type { TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart } from '../../state/store/state-store.ts'
import type { StreamRecord } from '../operator.ts'
import type { StageHandlers } from '../stream/connect-stage.ts'
import { noOrigin, type Origin } from '../stream/derive-record.ts'
import { columnCells } from './column-cells.ts'
import { objectCells } from './object-cells.ts'
import type { AlignedWindows } from './time-windows.ts'
import type { WindowSpan, WindowStage } from './window.ts'
import type { WindowCells } from './window-cells.ts'
import { type WindowClock, windowClock } from './window-clock.ts'
import { lateResult, resultTimeOf, windowResult } from './window-result.ts'
import { isCountable, type StageSetup } from './window-stage.ts'

/** Tumbling, hopping and calendar windows. */
export function alignedStage<In extends StreamRecord, Input, State, Output>(
  setup: StageSetup<In, Input, State, Output, AlignedWindows>,
): StageHandlers<In> {
  const { name, windows, fold, states, context } = setup
  const clock = windowClock(name, setup.closing, context)
  if (fold.columns !== undefined && !clock.byKey) {
    return stageOver(setup, clock, columnCells(name, windows, fold.columns, context))
  }
  return stageOver(setup, clock, objectCells(name, windows, fold, states, clock.byKey, context))
}

/** A result that waits for the end of the batch. */
interface Awaited<Cell> {
  readonly cell: Cell
  readonly span: WindowSpan
  /** The record that touched the window first in this batch. */
  readonly cause: Origin
}

function stageOver<In extends StreamRecord, Input, State, Output, Cell>(
  setup: StageSetup<In, Input, State, Output, AlignedWindows>,
  clock: WindowClock<In>,
  cells: WindowCells<Input, Output, Cell>,
): StageHandlers<In> {
  const { name, windows, context, out, emit, resultTime } = setup
  const { graceMs } = windows
  const byCount = typeof emit === 'object' ? emit : undefined
  const emitsUpdates = emit === 'update' || emit === 'update-and-close'
  const stageAtEnd: WindowStage = emit === 'end' ? 'on-time' : 'final'
  const firesAfterMs = emit === 'end' ? 0 : graceMs
  const firesAtAll = emit === 'close' || emit === 'update-and-close' || emit === 'end'
  const firesBehindMs = clock.behindMs + firesAfterMs
  let cause: Origin = noOrigin
  // No window ends before this; undefined: not known since the start.
  let earliestEndMs: TimestampMs | undefined
  let awaited: Awaited<Cell>[] = []

  const give = (stage: WindowStage, from: Origin, span: WindowSpan, cell: Cell): void => {
    const at = resultTimeOf(resultTime, span.startMs, span.endMs - 1, cells.latestMs(cell))
    out(windowResult(stage, from, cells.keyOf(cell) as In['key'], span, cells.answer(cell, span.endMs), at))
  }

  /** Gives what is awaited of windows that end at or before `upToMs`. */
  const giveAwaited = (upToMs: TimestampMs): void => {
    const waiting = awaited
    awaited = []
    for (const each of waiting) {
      if (each.span.endMs > upToMs) {
        awaited.push(each)
        continue
      }
      cells.settle(each.cell)
      give('update', each.cause, each.span, each.cell)
    }
  }

  const close = (key: KeyPart, nowMs: TimestampMs): void => {
    const fireMs = nowMs - firesAfterMs
    if (!clock.byKey && earliestEndMs !== undefined && fireMs < earliestEndMs) return
    if (firesAtAll) {
      const firedMs = clock.fired(key)
      let hasGiven = false
      for (const { startMs, endMs, cell } of cells.ended(key, firedMs, fireMs)) {
        if (cells.isFired(cell)) continue
        hasGiven = true
        if (emit === 'end') cells.fire(cell)
        give(stageAtEnd, cause, { startMs, endMs }, cell)
      }
      // Only then: calls that have nothing to give are left out or not, by what is in memory since the start.
      if (hasGiven && fireMs > firedMs) clock.setFired(key, fireMs)
    }
    // A window that is let go of must have said its last word.
    giveAwaited(nowMs - graceMs)
    cells.remove(key, nowMs - graceMs)
    // An open window that has fired would otherwise hold the clock's hand at its end.
    if (!clock.byKey)
      earliestEndMs = emit === 'end' ? endOfNone(cells.earliestEndMs()) : cells.earliestEndMs()
  }

  const count = (record: In, key: KeyPart, span: WindowSpan, nowMs: TimestampMs): void => {
    const cell = cells.add(key, span.startMs, setup.input(record), record.timestampMs)
    if (earliestEndMs !== undefined && span.endMs < earliestEndMs) earliestEndMs = span.endMs
    if (emit === 'commit') {
      if (cells.await(cell)) awaited.push({ cell, span, cause })
    } else if (byCount !== undefined) {
      if (cells.count(cell) % byCount.everyCount === 0) {
        give('update', record, span, cell)
        if (byCount.purge) cells.purge(cell)
      }
    } else if (emitsUpdates) {
      give('update', record, span, cell)
    } else if (emit === 'end' && span.endMs <= nowMs) {
      give(cells.isFired(cell) ? 'correction' : 'on-time', record, span, cell)
      cells.fire(cell)
    }
  }

  return {
    next(record) {
      cause = record
      const announcedMs = clock.announcement(record)
      if (announcedMs !== undefined) {
        clock.announce(announcedMs)
        close(null, clock.now(null))
        return
      }
      if (!isCountable(name, record, context)) return
      const key = cells.pack(record.key)
      clock.observe(key, record.timestampMs)
      const nowMs = clock.now(key)
      for (const span of windows.containing(record.timestampMs)) {
        const missedMs = nowMs - graceMs - span.endMs
        if (missedMs < 0) {
          count(record, key, span, nowMs)
          continue
        }
        const latenessMs = missedMs + 1
        context.drop({ operator: name, reason: 'late-for-window', record, latenessMs, detail: { ...span } })
        if (setup.emitLate) out(lateResult(record, span, latenessMs))
      }
      if (clock.byKey) close(key, nowMs)
    },
    ...(clock.followsStreamTime
      ? {
          streamTime(streamTimeMs: TimestampMs) {
            // Called for nearly every record, and seldom with something to do.
            if (earliestEndMs !== undefined && streamTimeMs - firesBehindMs < earliestEndMs) return
            close(null, clock.now(null))
          },
        }
      : {}),
    ...(emit === 'commit' ? { batchEnd: () => giveAwaited(Number.POSITIVE_INFINITY) } : {}),
  }
}

const endOfNone = (earliestEndMs: TimestampMs): TimestampMs =>
  earliestEndMs === Number.POSITIVE_INFINITY ? earliestEndMs : Number.NEGATIVE_INFINITY
