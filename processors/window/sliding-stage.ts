import type { TimestampMs } from '../../state/contracts/units.ts'
import { compareKeys } from '../../state/store/key-encoding.ts'
import type { KeyPart } from '../../state/store/state-store.ts'
import type { StreamRecord } from '../operator.ts'
import type { StageHandlers } from '../stream/connect-stage.ts'
import { noOrigin, type Origin } from '../stream/derive-record.ts'
import { packKey } from '../stream/record-key.ts'
import { compactKey, expandKey } from './compact-key.ts'
import { DueHeap } from './due-heap.ts'
import type { SlidingWindows } from './sliding-windows.ts'
import type { WindowSpan, WindowStage } from './window.ts'
import { windowClock } from './window-clock.ts'
import { lateResult, resultTimeOf, windowResult } from './window-result.ts'
import { windowRows } from './window-rows.ts'
import { isCountable, type StageSetup } from './window-stage.ts'

/** Doubles before a window's fold. */
const latest = 0
/** Its end has come, and it was given out if it is one to be given out. */
const fired = 1
const header = 2

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
 * Store: `<name>-windows`, by key. Closed windows stay for twice the
 * difference, as neighbours of records that are out of order. A record counts
 * as late, once, when its own left window is closed, even if an open window
 * still takes it.
 */
export function slidingStage<In extends StreamRecord, Input, State, Output>(
  setup: StageSetup<In, Input, State, Output, SlidingWindows>,
): StageHandlers<In> {
  const { name, windows, context, out, emit, resultTime } = setup
  const { differenceMs, graceMs, report } = windows
  const rows = windowRows(setup, 'windows', header)
  const { store } = rows
  const { width } = store
  const clock = windowClock(name, setup.closing, context)
  const stageAtEnd: WindowStage = emit === 'end' ? 'on-time' : 'final'
  const emitsUpdates = emit === 'update' || emit === 'update-and-close'
  const firesAtAll = emit !== 'update'
  const firesAfterMs = emit === 'end' ? 0 : graceMs
  const removedAfterMs = graceMs + 2 * differenceMs
  let cause: Origin = noOrigin
  // When each window is to be given out, and later to be let go of, where the time of the partition does it;
  // undefined: not gathered from the store since the start.
  let due: DueHeap | undefined

  // Where only windows that end at a record are given out, those that reach over the epoch are kept
  // with their true start, so that each has its own, and are named and closed as if they began at 0.
  const shownStart = (startMs: TimestampMs): TimestampMs =>
    report === 'record-ends' && startMs < 0 && startMs + differenceMs >= 0 ? 0 : startMs
  // All records before `differenceMs` share one window, unless each record has its own.
  const isEarly = (atMs: TimestampMs): boolean => report === 'every-set' && atMs >= 0 && atMs < differenceMs
  const leftStart = (atMs: TimestampMs): TimestampMs => (isEarly(atMs) ? 0 : atMs - differenceMs)
  const closingEnd = (startMs: TimestampMs): TimestampMs => shownStart(startMs) + differenceMs
  const endOf = (slot: number): TimestampMs => closingEnd(store.startOf(slot))
  const latestMs = (slot: number): TimestampMs => store.cells[slot * width + latest]!
  const isFired = (slot: number): boolean => store.cells[slot * width + fired] === 1
  const fire = (slot: number): void => {
    store.cells[slot * width + fired] = 1
    store.changed(slot)
  }

  const give = (stage: WindowStage, from: Origin, slot: number): void => {
    const startMs = store.startOf(slot)
    const span: WindowSpan = { startMs: shownStart(startMs), endMs: startMs + differenceMs }
    const newestMs = latestMs(slot)
    if (report === 'record-ends' && newestMs !== span.endMs) return
    const at = resultTimeOf(resultTime, span.startMs, span.endMs, newestMs)
    const key = expandKey(store.keyOf(slot)) as In['key']
    out(windowResult(stage, from, key, span, rows.answer(slot, span.endMs), at))
  }

  const schedule = (heap: DueHeap, slot: number): void => {
    const isToFire = firesAtAll && !isFired(slot)
    heap.push(endOf(slot) + (isToFire ? firesAfterMs : removedAfterMs), slot)
  }

  const dueWindows = (): DueHeap => {
    if (due === undefined) {
      due = new DueHeap()
      for (const slot of store.slots()) schedule(due, slot)
    }
    return due
  }

  const inClosingOrder = (slots: number[]): number[] => {
    if (slots.length < 2) return slots
    const entries = slots.map((slot) => ({
      slot,
      endMs: endOf(slot),
      place: [packKey(expandKey(store.keyOf(slot))), store.startOf(slot)],
    }))
    entries.sort((left, right) => left.endMs - right.endMs || compareKeys(left.place, right.place))
    return entries.map(({ slot }) => slot)
  }

  const close = (nowMs: TimestampMs): void => {
    const heap = dueWindows()
    if (heap.firstMs >= nowMs) return
    const ended: number[] = []
    while (heap.firstMs < nowMs) {
      const slot = heap.pop()
      if (firesAtAll && !isFired(slot)) {
        fire(slot)
        ended.push(slot)
      } else if (endOf(slot) + removedAfterMs < nowMs) store.remove(slot)
      else schedule(heap, slot)
    }
    for (const slot of inClosingOrder(ended)) give(stageAtEnd, cause, slot)
    for (const slot of ended) {
      if (endOf(slot) + removedAfterMs < nowMs) store.remove(slot)
      else schedule(heap, slot)
    }
  }

  /** Where windows of a key are closed by its own time: they are few. */
  const closeKey = (key: KeyPart, nowMs: TimestampMs): void => {
    const ended = firesAtAll
      ? store.slotsOf(key).filter((slot) => !isFired(slot) && endOf(slot) + firesAfterMs < nowMs)
      : []
    for (const slot of ended) {
      fire(slot)
      give(stageAtEnd, cause, slot)
    }
    for (;;) {
      const [oldest] = store.slotsOf(key)
      if (oldest === undefined || endOf(oldest) + removedAfterMs >= nowMs) return
      store.remove(oldest)
    }
  }

  /** A window of which none is known yet, with what another holds, or with nothing. */
  const begin = (key: KeyPart, startMs: TimestampMs, newestMs: TimestampMs, from: number): number => {
    const slot = store.add(key, startMs)
    if (from < 0) rows.init(slot)
    else rows.copy(from, slot)
    store.cells[slot * width + latest] = newestMs
    store.cells[slot * width + fired] = 0
    store.changed(slot)
    return slot
  }

  /** Gives out what a record made of a window, and sees to its end if it is new. */
  const tell = (record: In, slot: number, isNew: boolean, nowMs: TimestampMs): void => {
    if (emitsUpdates) give('update', record, slot)
    else if (emit === 'end' && endOf(slot) < nowMs) {
      give(isFired(slot) ? 'correction' : 'on-time', record, slot)
      fire(slot)
    }
    if (isNew && due !== undefined) schedule(due, slot)
  }

  const count = (record: In, key: KeyPart, nowMs: TimestampMs): void => {
    const atMs = record.timestampMs
    const closedMs = nowMs - graceMs
    // No window that is open, or can still be made, holds the record.
    if (atMs + differenceMs < closedMs) return
    const input = setup.input(record)
    // Gathered before there are windows that it does not know.
    if (!clock.byKey) dueWindows()
    const leftMs = leftStart(atMs)
    const slots = store.slotsOf(key)
    // Windows that hold the record begin from here on to its own time.
    let from = store.placeOf(slots, leftMs)
    const upTo = store.placeOf(slots, atMs + 1)
    const newest = upTo > from ? slots[upTo - 1]! : -1
    const hasLeft = upTo > from && store.startOf(slots[from]!) === leftMs
    const hasRight = upTo < slots.length && store.startOf(slots[upTo]!) === atMs + 1
    // The newest window that ends before the record: holds all earlier records that share a window with it.
    let before = from > 0 && !isEarly(atMs) ? slots[from - 1]! : -1
    if (before >= 0 && store.startOf(before) < atMs - 2 * differenceMs) before = -1
    // The greatest event time before the record of which windows know.
    let previousMs = before < 0 ? Number.NEGATIVE_INFINITY : latestMs(before)
    if (hasLeft && latestMs(slots[from]!) < atMs) previousMs = latestMs(slots[from]!)

    // The right window holds what was there before this record, so it is made first.
    let right = -1
    if (!hasRight && newest >= 0 && latestMs(newest) > atMs) {
      right = begin(key, atMs + 1, latestMs(newest), newest)
    }
    let between = -1
    const betweenMs = previousMs + 1
    // Just behind the one before it may begin the left window itself.
    if (betweenMs !== leftMs && betweenMs + differenceMs >= atMs && closingEnd(betweenMs) >= closedMs) {
      const place = store.placeOf(slots, betweenMs)
      if (place >= slots.length || store.startOf(slots[place]!) !== betweenMs)
        between = begin(key, betweenMs, atMs, -1)
    }
    let left = -1
    if (!hasLeft && closingEnd(leftMs) >= closedMs)
      left = begin(key, leftMs, atMs, previousMs >= leftMs ? before : -1)

    const touched = store.slotsOf(key)
    from = store.placeOf(touched, leftMs)
    for (let place = from; place < touched.length; place++) {
      const slot = touched[place]!
      const startMs = store.startOf(slot)
      if (startMs > atMs) break
      if (closingEnd(startMs) < closedMs) continue
      rows.add(slot, input, atMs)
      if (atMs > latestMs(slot)) store.cells[slot * width + latest] = atMs
      store.changed(slot)
      tell(record, slot, slot === left || slot === between, nowMs)
    }
    if (right >= 0) tell(record, right, true, nowMs)
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
      clock.observe(key, record.timestampMs)
      const nowMs = clock.now(key)
      const leftMs = leftStart(record.timestampMs)
      const latenessMs = nowMs - graceMs - closingEnd(leftMs)
      if (latenessMs > 0) {
        const span = { startMs: shownStart(leftMs), endMs: leftMs + differenceMs }
        context.drop({ operator: name, reason: 'late-for-window', record, latenessMs, detail: span })
        if (setup.emitLate) out(lateResult(record, span, latenessMs))
      }
      count(record, key, nowMs)
      if (clock.byKey) closeKey(key, nowMs)
    },
    ...(clock.followsStreamTime ? { streamTime: () => close(clock.now(null)) } : {}),
  }
}
