import type { TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { StreamRecord } from '../operator.ts'
import type { StageHandlers } from '../stream/connect-stage.ts'
import { noOrigin, type Origin, originOf } from '../stream/derive-record.ts'
import { packKey, unpackKey } from '../stream/record-key.ts'
import { type CloseEntry, CloseIndex } from './close-index.ts'
import type { SlidingWindows } from './sliding-windows.ts'
import type { WindowSpan, WindowStage } from './window.ts'
import { windowClock } from './window-clock.ts'
import { lateResult, resultTimeOf, windowResult } from './window-result.ts'
import { isCountable, type StageSetup } from './window-stage.ts'

interface SlidingCell {
  state: unknown
  latestMs: TimestampMs
  fired: boolean
}

interface Found {
  readonly startMs: TimestampMs
  readonly cell: SlidingCell
}

/** A key's windows around a record at t, oldest first; each group is named by how it lies to t. */
interface Neighbours {
  /** The newest window that ends before t: holds all earlier records that share a window with t. */
  readonly before: Found | undefined
  /** Windows that hold t. */
  readonly holding: readonly Found[]
  /** The greatest event time before t of which windows know. */
  readonly previousMs: TimestampMs | undefined
  readonly hasLeft: boolean
  readonly hasRight: boolean
  /** The record before t has a window that begins just after it. */
  readonly previousHasRight: boolean
}

/**
 * Sliding windows by aggregates alone, without keeping records. Each record at
 * t owns a left window `[t - d, t]` and, once a later record falls into it, a
 * right window `[t + 1, t + 1 + d]`. These are all distinct sets. What a new
 * window holds already is read off a neighbour: the left one from the newest
 * window that ends before t, the right one from the newest that holds t.
 *
 * Source of the rules: Kafka Streams, `SlidingWindows`, KIP-450 (Leah Thomas,
 * 2020); of `record-ends`: Quix Streams, sliding windows.
 *
 * Stores: `<name>-windows` `[key, start]`, `<name>-ends` the order of closing.
 * Closed windows stay for twice the difference, as neighbours of records that
 * are out of order. A record counts as late, once, when its own left window is
 * closed, even if an open window still takes it.
 */
export function slidingStage<In extends StreamRecord, Input, State, Output>(
  setup: StageSetup<In, Input, State, Output, SlidingWindows>,
): StageHandlers<In> {
  const { name, windows, fold, states, context, out, emit, resultTime } = setup
  const { differenceMs, graceMs, report } = windows
  const cells: OrderedStore<SlidingCell> = context.store(`${name}-windows`)
  const clock = windowClock(name, setup.closing, context)
  const index = new CloseIndex(context.store(`${name}-ends`), clock.byKey)
  const stageAtEnd: WindowStage = emit === 'end' ? 'on-time' : 'final'
  let cause: Origin = noOrigin

  // Where only windows that end at a record are given out, those that reach over the epoch are kept
  // with their true start, so that each has its own, and are named and closed as if they began at 0.
  const shownStart = (startMs: TimestampMs): TimestampMs =>
    report === 'record-ends' && startMs < 0 && startMs + differenceMs >= 0 ? 0 : startMs
  // All records before `differenceMs` share one window, unless each record has its own.
  const isEarly = (atMs: TimestampMs): boolean => report === 'every-set' && atMs >= 0 && atMs < differenceMs
  const leftStart = (atMs: TimestampMs): TimestampMs => (isEarly(atMs) ? 0 : atMs - differenceMs)
  const closingEnd = (startMs: TimestampMs): TimestampMs => shownStart(startMs) + differenceMs
  const entryOf = (key: KeyPart, startMs: TimestampMs): CloseEntry => ({
    endMs: closingEnd(startMs),
    key,
    startMs,
  })

  const give = (
    stage: WindowStage,
    from: Origin,
    key: KeyPart,
    startMs: TimestampMs,
    cell: SlidingCell,
  ): void => {
    const span: WindowSpan = { startMs: shownStart(startMs), endMs: startMs + differenceMs }
    if (report === 'record-ends' && cell.latestMs !== span.endMs) return
    const at = resultTimeOf(resultTime, span.startMs, span.endMs, cell.latestMs)
    const value = fold.finish(states.load(cell.state), span.endMs)
    out(windowResult(stage, from, unpackKey(key) as In['key'], span, value, at))
  }

  const neighbours = (key: KeyPart, atMs: TimestampMs): Neighbours => {
    const fromMs = isEarly(atMs) ? 0 : atMs - 2 * differenceMs
    const leftMs = leftStart(atMs)
    let before: Found | undefined
    const holding: Found[] = []
    let previousMs: TimestampMs | undefined
    let hasLeft = false
    let hasRight = false
    const starts = new Set<TimestampMs>()
    for (const [place, cell] of cells.range([key, fromMs], [key, atMs + 2])) {
      const startMs = place[1] as TimestampMs
      starts.add(startMs)
      if (startMs === atMs + 1) {
        hasRight = true
        continue
      }
      if (startMs + differenceMs < atMs) {
        before = { startMs, cell }
        previousMs = cell.latestMs
        continue
      }
      if (startMs === leftMs) {
        hasLeft = true
        if (cell.latestMs < atMs) previousMs = cell.latestMs
      }
      holding.push({ startMs, cell })
    }
    const previousHasRight = previousMs !== undefined && starts.has(previousMs + 1)
    return { before, holding, previousMs, hasLeft, hasRight, previousHasRight }
  }

  const close = (key: KeyPart, nowMs: TimestampMs): void => {
    const closedMs = nowMs - graceMs
    if (emit !== 'update') {
      const firedMs = clock.fired(key)
      const fireMs = emit === 'end' ? nowMs : closedMs
      for (const { key: owner, startMs } of index.ended(key, firedMs, fireMs)) {
        const cell = cells.get([owner, startMs])
        if (cell === undefined || cell.fired) continue
        if (emit === 'end') cells.put([owner, startMs], { ...cell, fired: true })
        give(stageAtEnd, cause, owner, startMs, cell)
      }
      if (fireMs > firedMs) clock.setFired(key, fireMs)
    }
    for (const entry of index.ended(key, Number.NEGATIVE_INFINITY, closedMs - 2 * differenceMs)) {
      cells.delete([entry.key, entry.startMs])
      index.remove(entry)
    }
  }

  const count = (record: In, key: KeyPart, nowMs: TimestampMs): void => {
    const atMs = record.timestampMs
    const closedMs = nowMs - graceMs
    // No window that is open, or can still be made, holds the record.
    if (atMs + differenceMs < closedMs) return
    const around = neighbours(key, atMs)
    const { before, holding, previousMs } = around
    const newest = holding.at(-1)
    const touched: { startMs: TimestampMs; cell: SlidingCell; isNew: boolean }[] = []

    const withRecord = (startMs: TimestampMs, known: SlidingCell | undefined, isNew: boolean): void => {
      if (closingEnd(startMs) < closedMs) return
      const state =
        known === undefined ? fold.init() : states.load(isNew ? states.copy(known.state) : known.state)
      const latestMs = known === undefined ? atMs : Math.max(known.latestMs, atMs)
      const added = states.save(fold.add(state, setup.input(record), atMs))
      touched.push({
        startMs,
        isNew,
        cell: { state: added, latestMs, fired: !isNew && known?.fired === true },
      })
    }

    // The right window holds what was there before this record, so it is made first.
    if (!around.hasRight && newest !== undefined && newest.cell.latestMs > atMs) {
      const { state, latestMs } = newest.cell
      const cell: SlidingCell = { state: states.copy(state), latestMs, fired: false }
      touched.push({ startMs: atMs + 1, cell, isNew: true })
    }
    for (const { startMs, cell } of holding) withRecord(startMs, cell, false)
    if (previousMs !== undefined && !around.previousHasRight && previousMs + 1 + differenceMs >= atMs) {
      withRecord(previousMs + 1, undefined, true)
    }
    if (!around.hasLeft) {
      const leftMs = leftStart(atMs)
      const shares = previousMs !== undefined && previousMs >= leftMs
      withRecord(leftMs, shares ? before?.cell : undefined, true)
    }

    touched.sort((left, right) => left.startMs - right.startMs)
    for (const { startMs, cell, isNew } of touched) {
      if (isNew) index.add(entryOf(key, startMs))
      if (emit === 'update' || emit === 'update-and-close') give('update', record, key, startMs, cell)
      else if (emit === 'end' && closingEnd(startMs) < nowMs) {
        give(cell.fired ? 'correction' : 'on-time', record, key, startMs, cell)
        cell.fired = true
      }
      cells.put([key, startMs], cell)
    }
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
      const atMs = record.timestampMs
      const leftMs = leftStart(atMs)
      const latenessMs = nowMs - graceMs - closingEnd(leftMs)
      if (latenessMs > 0) {
        const span = { startMs: shownStart(leftMs), endMs: leftMs + differenceMs }
        context.drop({ operator: name, reason: 'late-for-window', record, latenessMs, detail: span })
        if (setup.emitLate) out(lateResult(record, span, latenessMs))
      }
      count(record, key, nowMs)
      if (clock.byKey) close(key, nowMs)
    },
    ...(clock.followsStreamTime ? { streamTime: () => close(null, clock.now(null)) } : {}),
  }
}
