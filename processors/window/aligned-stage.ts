import type { TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedKey, OrderedStore } from '../../state/store/state-store.ts'
import type { StreamRecord } from '../operator.ts'
import type { StageHandlers } from '../stream/connect-stage.ts'
import { noOrigin, type Origin, originOf } from '../stream/derive-record.ts'
import { packKey, unpackKey } from '../stream/record-key.ts'
import type { AlignedWindows } from './time-windows.ts'
import type { WindowSpan, WindowStage } from './window.ts'
import { windowClock } from './window-clock.ts'
import { lateResult, resultTimeOf, windowResult } from './window-result.ts'
import { isCountable, type StageSetup } from './window-stage.ts'

interface WindowCell {
  state: unknown
  latestMs: TimestampMs
  /** Records so far; kept only for emission by count. */
  count: number
  /** Given out when its end had come. */
  fired: boolean
}

/**
 * Tumbling, hopping and calendar windows.
 *
 * Store `<name>-windows`: where the partition's time closes, `[start, key]`,
 * so that closing is one walk in the order in which results come out; where
 * each key's own time closes, `[key, start]`.
 */
export function alignedStage<In extends StreamRecord, Input, State, Output>(
  setup: StageSetup<In, Input, State, Output, AlignedWindows>,
): StageHandlers<In> {
  const { name, windows, fold, states, context, out, emit, resultTime } = setup
  const { graceMs, leastSizeMs, greatestSizeMs } = windows
  const cells: OrderedStore<WindowCell> = context.store(`${name}-windows`)
  const clock = windowClock(name, setup.closing, context)
  const byCount = typeof emit === 'object' ? emit : undefined
  const emitsUpdates = emit === 'update' || emit === 'update-and-close'
  const stageAtEnd: WindowStage = emit === 'end' ? 'on-time' : 'final'
  const firesAfterMs = emit === 'end' ? 0 : graceMs
  const firesAtAll = emit !== 'update' && byCount === undefined
  let cause: Origin = noOrigin
  // No window ends before this; undefined: not known since the start.
  let earliestEndMs: TimestampMs | undefined

  const place = (key: KeyPart, startMs: TimestampMs): OrderedKey =>
    clock.byKey ? [key, startMs] : [startMs, key]

  const give = (stage: WindowStage, from: Origin, key: KeyPart, span: WindowSpan, cell: WindowCell): void => {
    const at = resultTimeOf(resultTime, span.startMs, span.endMs - 1, cell.latestMs)
    const value = fold.finish(states.load(cell.state), span.endMs)
    out(windowResult(stage, from, unpackKey(key) as In['key'], span, value, at))
  }

  /** Entries whose windows end after `afterMs` and at or before `upToMs`, by window, then by key. */
  function* ended(key: KeyPart, afterMs: TimestampMs, upToMs: TimestampMs) {
    const scope = clock.byKey ? [key] : []
    const from = afterMs === Number.NEGATIVE_INFINITY ? scope : [...scope, afterMs - greatestSizeMs]
    const to = [...scope, upToMs - leastSizeMs + 1]
    for (const [at, cell] of cells.range(from, to)) {
      const startMs = at[clock.byKey ? 1 : 0] as TimestampMs
      const endMs = windows.endOf(startMs)
      if (endMs > afterMs && endMs <= upToMs)
        yield { at, owner: at[clock.byKey ? 0 : 1]!, startMs, endMs, cell }
    }
  }

  const close = (key: KeyPart, nowMs: TimestampMs): void => {
    const fireMs = nowMs - firesAfterMs
    if (!clock.byKey && earliestEndMs !== undefined && fireMs < earliestEndMs) return
    if (firesAtAll) {
      const firedMs = clock.fired(key)
      let hasGiven = false
      for (const { owner, startMs, endMs, cell, at } of ended(key, firedMs, fireMs)) {
        if (cell.fired) continue
        hasGiven = true
        if (emit === 'end') cells.put(at, { ...cell, fired: true })
        give(stageAtEnd, cause, owner, { startMs, endMs }, cell)
      }
      // Only then: calls that have nothing to give are left out or not, by what is in memory since the start.
      if (hasGiven && fireMs > firedMs) clock.setFired(key, fireMs)
    }
    for (const { at } of ended(key, Number.NEGATIVE_INFINITY, nowMs - graceMs)) cells.delete(at)
    if (!clock.byKey) earliestEndMs = earliestEnd()
  }

  const earliestEnd = (): TimestampMs => {
    for (const [at] of cells.range()) {
      // An open window that has fired would otherwise hold the clock's hand at its end.
      const endMs = windows.endOf(at[0] as TimestampMs)
      return emit === 'end' ? Number.NEGATIVE_INFINITY : endMs
    }
    return Number.POSITIVE_INFINITY
  }

  const count = (record: In, key: KeyPart, span: WindowSpan, nowMs: TimestampMs): void => {
    const at = place(key, span.startMs)
    const atMs = record.timestampMs
    const before = cells.get(at)
    const cell: WindowCell = before ?? { state: undefined, latestMs: atMs, count: 0, fired: false }
    const state = before === undefined ? fold.init() : states.load(before.state)
    cell.state = states.save(fold.add(state, setup.input(record), atMs))
    if (atMs > cell.latestMs) cell.latestMs = atMs
    if (earliestEndMs !== undefined && span.endMs < earliestEndMs) earliestEndMs = span.endMs
    if (byCount !== undefined) {
      cell.count++
      if (cell.count % byCount.everyCount === 0) {
        give('update', record, key, span, cell)
        if (byCount.purge) cell.state = states.save(fold.init())
      }
    } else if (emitsUpdates) {
      give('update', record, key, span, cell)
    } else if (emit === 'end' && span.endMs <= nowMs) {
      give(cell.fired ? 'correction' : 'on-time', record, key, span, cell)
      cell.fired = true
    }
    cells.put(at, cell)
  }

  return {
    next(record) {
      cause = originOf(record)
      const announcedMs = clock.announcement(record)
      if (announcedMs !== undefined) {
        clock.announce(announcedMs)
        close(null, clock.now(null))
        return
      }
      if (!isCountable(name, record, context)) return
      const key = packKey(record.key)
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
    ...(clock.followsStreamTime ? { streamTime: () => close(null, clock.now(null)) } : {}),
  }
}
