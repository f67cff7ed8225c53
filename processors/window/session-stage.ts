import type { TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { StreamRecord } from '../operator.ts'
import type { StageHandlers } from '../stream/connect-stage.ts'
import { noOrigin, type Origin, originOf } from '../stream/derive-record.ts'
import { packKey, unpackKey } from '../stream/record-key.ts'
import { CloseIndex } from './close-index.ts'
import type { SessionWindows } from './session-windows.ts'
import type { WindowSpan, WindowStage } from './window.ts'
import { windowClock } from './window-clock.ts'
import { lateResult, resultTimeOf, windowResult } from './window-result.ts'
import { isCountable, type StageSetup } from './window-stage.ts'

interface SessionCell {
  /** Event time of the last record. */
  lastMs: TimestampMs
  state: unknown
  /** Records since the last emission by count. */
  count: number
  /** A result of exactly this window was given out, so a merge must take it back. */
  shown: boolean
}

interface Found {
  readonly startMs: TimestampMs
  readonly cell: SessionCell
}

/**
 * Session windows. A record joins all sessions of its key within the gap into
 * one: each of them that had been given out is taken back first, oldest first,
 * with a null (stage `retraction`), then the merged one follows. The fold
 * merges the sessions oldest first and then adds the record.
 *
 * Stores: `<name>-sessions` `[key, first]`, `<name>-ends` the order of closing.
 */
export function sessionStage<In extends StreamRecord, Input, State, Output>(
  setup: StageSetup<In, Input, State, Output, SessionWindows>,
): StageHandlers<In> {
  const { name, windows, fold, states, context, out, emit, resultTime } = setup
  const { gapMs, graceMs, bounds, mergesClosed } = windows
  const sessions: OrderedStore<SessionCell> = context.store(`${name}-sessions`)
  const clock = windowClock(name, setup.closing, context)
  const index = new CloseIndex(context.store(`${name}-ends`), clock.byKey)
  const byCount = typeof emit === 'object' ? emit : undefined
  const merge = fold.merge?.bind(fold)
  const stageAtEnd: WindowStage = emit === 'end' ? 'on-time' : 'final'
  let cause: Origin = noOrigin

  const inclusive = bounds === 'inclusive'
  /** Sessions whose last record is before this have ended, with so much grace. */
  const endedBefore = (nowMs: TimestampMs, waitMs: number): TimestampMs =>
    nowMs - gapMs - waitMs + (inclusive ? 0 : 1)
  const spanOf = (startMs: TimestampMs, lastMs: TimestampMs): WindowSpan => ({
    startMs,
    endMs: inclusive ? lastMs : lastMs + gapMs,
  })

  const give = (
    stage: WindowStage,
    from: Origin,
    key: KeyPart,
    startMs: TimestampMs,
    cell: SessionCell,
  ): void => {
    const span = spanOf(startMs, cell.lastMs)
    const lastInstantMs = inclusive ? span.endMs : span.endMs - 1
    const at = resultTimeOf(resultTime, startMs, lastInstantMs, cell.lastMs)
    const value = stage === 'retraction' ? null : fold.finish(states.load(cell.state), span.endMs)
    out(windowResult(stage, from, unpackKey(key) as In['key'], span, value, at))
  }

  const close = (key: KeyPart, nowMs: TimestampMs): void => {
    if (emit === 'end') {
      const firedMs = clock.fired(key)
      const fireMs = endedBefore(nowMs, 0)
      for (const { key: owner, startMs } of index.ended(key, firedMs, fireMs)) {
        const cell = sessions.get([owner, startMs])
        if (cell === undefined || cell.shown) continue
        sessions.put([owner, startMs], { ...cell, shown: true })
        give(stageAtEnd, cause, owner, startMs, cell)
      }
      if (fireMs > firedMs) clock.setFired(key, fireMs)
    }
    const keptMs = mergesClosed ? graceMs + gapMs : graceMs
    for (const entry of index.ended(key, Number.NEGATIVE_INFINITY, endedBefore(nowMs, keptMs))) {
      const at = [entry.key, entry.startMs]
      const cell = sessions.get(at)
      if (cell !== undefined && (emit === 'close' || emit === 'update-and-close')) {
        give(stageAtEnd, cause, entry.key, entry.startMs, cell)
      }
      sessions.delete(at)
      index.remove(entry)
    }
  }

  const within = (key: KeyPart, atMs: TimestampMs): Found[] => {
    const found: Found[] = []
    for (const [at, cell] of sessions.range([key], [key, atMs + gapMs + 1])) {
      if (cell.lastMs >= atMs - gapMs) found.push({ startMs: at[1] as TimestampMs, cell })
    }
    return found
  }

  /** One session of all that were found and the record. */
  const joined = (record: In, found: readonly Found[]): { startMs: TimestampMs; cell: SessionCell } => {
    const atMs = record.timestampMs
    let state = fold.init()
    let startMs = atMs
    let lastMs = atMs
    let count = 1
    for (const { startMs: first, cell } of found) {
      if (merge !== undefined) state = merge(state, states.load(cell.state))
      if (first < startMs) startMs = first
      if (cell.lastMs > lastMs) lastMs = cell.lastMs
      count += cell.count
    }
    state = fold.add(state, setup.input(record), atMs)
    return { startMs, cell: { lastMs, state: states.save(state), count, shown: false } }
  }

  const count = (record: In, key: KeyPart, found: readonly Found[], nowMs: TimestampMs): void => {
    const { startMs, cell } = joined(record, found)
    const isPoint = startMs === record.timestampMs && cell.lastMs === record.timestampMs
    for (const { startMs: first, cell: old } of found) {
      // The same window with one more record is an update; any other is another window.
      if (old.shown && !isPoint) give('retraction', record, key, first, old)
      sessions.delete([key, first])
      index.remove({ endMs: old.lastMs, key, startMs: first })
    }
    if (byCount !== undefined) {
      if (cell.count >= byCount.everyCount) {
        give('update', record, key, startMs, cell)
        cell.count = 0
        if (byCount.purge) cell.state = states.save(fold.init())
      }
    } else if (emit === 'update' || emit === 'update-and-close') {
      give('update', record, key, startMs, cell)
      cell.shown = true
    } else if (emit === 'end' && cell.lastMs < endedBefore(nowMs, 0)) {
      give(found.some(({ cell: old }) => old.shown) ? 'correction' : 'on-time', record, key, startMs, cell)
      cell.shown = true
    }
    sessions.put([key, startMs], cell)
    index.add({ endMs: cell.lastMs, key, startMs })
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
      const found = within(key, record.timestampMs)
      const startMs = Math.min(record.timestampMs, ...found.map((each) => each.startMs))
      const lastMs = Math.max(record.timestampMs, ...found.map(({ cell }) => cell.lastMs))
      const latenessMs = endedBefore(nowMs, graceMs) - lastMs
      if (latenessMs > 0) {
        const span = spanOf(startMs, lastMs)
        context.drop({ operator: name, reason: 'late-for-window', record, latenessMs, detail: { ...span } })
        if (setup.emitLate) out(lateResult(record, span, latenessMs))
        return
      }
      count(record, key, found, nowMs)
      if (clock.byKey) close(key, nowMs)
    },
    ...(clock.followsStreamTime ? { streamTime: () => close(null, clock.now(null)) } : {}),
  }
}
