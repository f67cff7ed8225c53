import type { TimestampMs } from '../../state/contracts/units.ts'
import { compareKeys } from '../../state/store/key-encoding.ts'
import type { KeyPart } from '../../state/store/state-store.ts'
import type { StreamRecord } from '../operator.ts'
import type { StageHandlers } from '../stream/connect-stage.ts'
import { noOrigin, type Origin } from '../stream/derive-record.ts'
import { packKey } from '../stream/record-key.ts'
import { compactKey, expandKey } from './compact-key.ts'
import { DueHeap } from './due-heap.ts'
import type { SessionWindows } from './session-windows.ts'
import type { WindowSpan, WindowStage } from './window.ts'
import { windowClock } from './window-clock.ts'
import { lateResult, resultTimeOf, windowResult } from './window-result.ts'
import { windowRows } from './window-rows.ts'
import { isCountable, type StageSetup } from './window-stage.ts'

/** Doubles before a session's fold. NaN: the slot is free. */
const last = 0
/** Records since the last emission by count. */
const counted = 1
/** A result of exactly this window was given out, so a merge must take it back. */
const shown = 2
const header = 3

/**
 * Session windows. A record joins all sessions of its key within the gap into
 * one: each of them that had been given out is taken back first, oldest first,
 * with a null (stage `retraction`), then the merged one follows. The fold
 * merges the sessions oldest first and then adds the record.
 *
 * Store: `<name>-sessions`, by key. A key's sessions lie apart, so that they
 * end in the order in which they begin.
 */
export function sessionStage<In extends StreamRecord, Input, State, Output>(
  setup: StageSetup<In, Input, State, Output, SessionWindows>,
): StageHandlers<In> {
  const { name, windows, context, out, emit, resultTime } = setup
  const { gapMs, graceMs, bounds, mergesClosed } = windows
  const rows = windowRows(setup, 'sessions', header)
  const { store } = rows
  const { width } = store
  const clock = windowClock(name, setup.closing, context)
  const byCount = typeof emit === 'object' ? emit : undefined
  const stageAtEnd: WindowStage = emit === 'end' ? 'on-time' : 'final'
  const givesAtClose = emit === 'close' || emit === 'update-and-close'
  let cause: Origin = noOrigin
  // When each session may have ended, where the time of the partition ends it; undefined: not gathered since the start.
  let due: DueHeap | undefined
  /** By slot, the earliest time at which the heap has it; a session that grew since is put back. */
  let queuedMs: number[] = []

  const inclusive = bounds === 'inclusive'
  const keptMs = mergesClosed ? graceMs + gapMs : graceMs
  /** A session has ended when its last record is so much before time. */
  const endsAfterMs = gapMs - (inclusive ? 0 : 1)
  const spanOf = (startMs: TimestampMs, lastMs: TimestampMs): WindowSpan => ({
    startMs,
    endMs: inclusive ? lastMs : lastMs + gapMs,
  })
  const lastOf = (slot: number): TimestampMs => store.cells[slot * width + last]!
  const isShown = (slot: number): boolean => store.cells[slot * width + shown] === 1
  const show = (slot: number): void => {
    store.cells[slot * width + shown] = 1
    store.changed(slot)
  }
  const remove = (slot: number): void => {
    store.cells[slot * width + last] = Number.NaN
    store.remove(slot)
  }
  const removedAt = (slot: number): TimestampMs => lastOf(slot) + endsAfterMs + keptMs
  const dueAt = (slot: number): TimestampMs =>
    emit === 'end' && !isShown(slot) ? lastOf(slot) + endsAfterMs : removedAt(slot)

  const give = (stage: WindowStage, from: Origin, slot: number): void => {
    const lastMs = lastOf(slot)
    const span = spanOf(store.startOf(slot), lastMs)
    const lastInstantMs = inclusive ? span.endMs : span.endMs - 1
    const at = resultTimeOf(resultTime, span.startMs, lastInstantMs, lastMs)
    const value = stage === 'retraction' ? null : rows.answer(slot, span.endMs)
    out(windowResult(stage, from, expandKey(store.keyOf(slot)) as In['key'], span, value, at))
  }

  const schedule = (heap: DueHeap, slot: number): void => {
    const dueMs = dueAt(slot)
    const known = queuedMs[slot]
    if (known !== undefined && known <= dueMs) return
    queuedMs[slot] = dueMs
    heap.push(dueMs, slot)
  }

  const dueSessions = (): DueHeap => {
    if (due === undefined) {
      due = new DueHeap()
      queuedMs = []
      for (const slot of store.slots()) schedule(due, slot)
    }
    return due
  }

  const inClosingOrder = (slots: number[]): number[] => {
    if (slots.length < 2) return slots
    const entries = slots.map((slot) => ({
      slot,
      lastMs: lastOf(slot),
      place: [packKey(expandKey(store.keyOf(slot))), store.startOf(slot)],
    }))
    entries.sort((left, right) => left.lastMs - right.lastMs || compareKeys(left.place, right.place))
    return entries.map(({ slot }) => slot)
  }

  /** Gives out and lets go of sessions whose time has come, in the order of closing. */
  const end = (ended: readonly number[], nowMs: TimestampMs): void => {
    if (emit === 'end') {
      for (const slot of ended) {
        if (isShown(slot)) continue
        show(slot)
        give(stageAtEnd, cause, slot)
      }
    }
    for (const slot of ended) {
      if (removedAt(slot) >= nowMs) {
        if (due !== undefined) schedule(due, slot)
        continue
      }
      if (givesAtClose) give(stageAtEnd, cause, slot)
      remove(slot)
    }
  }

  const close = (nowMs: TimestampMs): void => {
    const heap = dueSessions()
    if (heap.firstMs >= nowMs) return
    const ended: number[] = []
    while (heap.firstMs < nowMs) {
      const dueMs = heap.firstMs
      const slot = heap.pop()
      if (queuedMs[slot] !== dueMs) continue
      queuedMs[slot] = Number.NaN
      if (Number.isNaN(lastOf(slot))) continue
      if (dueAt(slot) < nowMs) ended.push(slot)
      else schedule(heap, slot)
    }
    end(inClosingOrder(ended), nowMs)
  }

  /** Sessions of the key at most the gap from an instant, oldest first. */
  const within = (key: KeyPart, atMs: TimestampMs): readonly number[] => {
    const slots = store.slotsOf(key)
    const to = store.placeOf(slots, atMs + gapMs + 1)
    let from = to
    while (from > 0 && lastOf(slots[from - 1]!) >= atMs - gapMs) from--
    return from === to ? none : slots.slice(from, to)
  }

  /** One session of all that were found, of so many more records, with the record still to be added. */
  const joined = (
    key: KeyPart,
    found: readonly number[],
    startMs: TimestampMs,
    lastMs: TimestampMs,
  ): number => {
    const [oldest] = found
    let slot = oldest ?? -1
    let count = 1
    for (const each of found) count += store.cells[each * width + counted]!
    if (oldest === undefined || store.startOf(oldest) !== startMs) {
      slot = store.add(key, startMs)
      if (oldest === undefined) rows.init(slot)
      else rows.copy(oldest, slot)
    }
    for (let index = 1; index < found.length; index++) rows.merge(slot, found[index]!)
    for (const each of found) if (each !== slot) remove(each)
    store.cells[slot * width + last] = lastMs
    store.cells[slot * width + counted] = count
    store.cells[slot * width + shown] = 0
    store.changed(slot)
    return slot
  }

  const count = (
    record: In,
    key: KeyPart,
    found: readonly number[],
    [startMs, lastMs]: readonly [TimestampMs, TimestampMs],
    nowMs: TimestampMs,
  ): void => {
    const input = setup.input(record)
    // Gathered before there are sessions that it does not know.
    if (!clock.byKey) dueSessions()
    const isPoint = startMs === record.timestampMs && lastMs === record.timestampMs
    let wasShown = false
    for (const slot of found) {
      if (!isShown(slot)) continue
      wasShown = true
      // The same window with one more record is an update; any other is another window.
      if (!isPoint) give('retraction', record, slot)
    }
    const slot = joined(key, found, startMs, lastMs)
    rows.add(slot, input, record.timestampMs)
    if (byCount !== undefined) {
      if (store.cells[slot * width + counted]! >= byCount.everyCount) {
        give('update', record, slot)
        store.cells[slot * width + counted] = 0
        if (byCount.purge) rows.init(slot)
      }
    } else if (emit === 'update' || emit === 'update-and-close') {
      give('update', record, slot)
      show(slot)
    } else if (emit === 'end' && lastMs + endsAfterMs < nowMs) {
      give(wasShown ? 'correction' : 'on-time', record, slot)
      show(slot)
    }
    if (due !== undefined) schedule(due, slot)
  }

  return {
    next(record) {
      cause = record
      const announcedMs = clock.announcement(record)
      if (announcedMs !== undefined) {
        clock.announce(announcedMs)
        close(clock.now(null))
        return
      }
      if (!isCountable(name, record, context)) return
      const key = compactKey(record.key)
      const atMs = record.timestampMs
      clock.observe(key, atMs)
      const nowMs = clock.now(key)
      const found = within(key, atMs)
      const startMs = found.length === 0 ? atMs : Math.min(atMs, store.startOf(found[0]!))
      const lastMs = found.length === 0 ? atMs : Math.max(atMs, lastOf(found.at(-1)!))
      const latenessMs = nowMs - endsAfterMs - graceMs - lastMs
      if (latenessMs > 0) {
        const span = spanOf(startMs, lastMs)
        context.drop({ operator: name, reason: 'late-for-window', record, latenessMs, detail: { ...span } })
        if (setup.emitLate) out(lateResult(record, span, latenessMs))
        return
      }
      count(record, key, found, [startMs, lastMs], nowMs)
      if (clock.byKey) {
        end(
          store.slotsOf(key).filter((slot) => dueAt(slot) < nowMs),
          nowMs,
        )
      }
    },
    ...(clock.followsStreamTime ? { streamTime: () => close(clock.now(null)) } : {}),
  }
}

const none: readonly number[] = []
