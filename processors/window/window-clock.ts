import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { OperatorContext, StreamRecord } from '../operator.ts'
import { requireDuration } from '../stream/declaration-checks.ts'
import type { WindowClosing } from './window.ts'

/** The time that closes windows, and how far closing has come. Times of keys are kept by key, others under no key. */
export interface WindowClock<In> {
  /** True: windows of a key are closed by its own records. */
  readonly byKey: boolean
  /** True: time can move without a record of this operator. */
  readonly followsStreamTime: boolean
  /** How far time is behind stream time, where it follows it. */
  readonly behindMs: DurationMs
  /** The time that the record announces, where records can do that; such a record is not counted. */
  announcement(record: In): TimestampMs | undefined
  /** Takes note of a record, which is time where keys close by their own. */
  observe(key: KeyPart, atMs: TimestampMs): void
  /** Moves time to what was announced; never back. */
  announce(atMs: TimestampMs): void
  /** -Infinity before the first record. */
  now(key: KeyPart): TimestampMs
  /** Up to where windows of the key were given out; -Infinity before the first time. */
  fired(key: KeyPart): TimestampMs
  setFired(key: KeyPart, upToMs: TimestampMs): void
}

interface ClockCell {
  readonly nowMs: TimestampMs
  readonly firedMs: TimestampMs
}

const unset: ClockCell = { nowMs: Number.NEGATIVE_INFINITY, firedMs: Number.NEGATIVE_INFINITY }

/** @throws RangeError for a negative allowed disorder. */
export function checkClosing<In extends StreamRecord>(closing: WindowClosing<In>): void {
  if (typeof closing === 'object' && 'disorderMs' in closing)
    requireDuration('disorderMs', closing.disorderMs)
}

export function windowClock<In extends StreamRecord>(
  name: string,
  closing: WindowClosing<In>,
  context: OperatorContext,
): WindowClock<In> {
  const cells: OrderedStore<ClockCell> = context.store(`${name}-clock`)
  const byKey = closing === 'key'
  const announced = typeof closing === 'object' && 'announced' in closing
  const disorderMs = typeof closing === 'object' && 'disorderMs' in closing ? closing.disorderMs : 0
  const followsStreamTime = !byKey && !announced
  const at = (key: KeyPart): readonly KeyPart[] => (byKey ? [key] : [])
  const cell = (key: KeyPart): ClockCell => cells.get(at(key)) ?? unset
  const moveTo = (key: KeyPart, atMs: TimestampMs): void => {
    const before = cell(key)
    if (atMs > before.nowMs) cells.put(at(key), { ...before, nowMs: atMs })
  }
  return {
    byKey,
    followsStreamTime,
    behindMs: disorderMs,
    announcement: announced ? closing.announced : () => undefined,
    observe(key, atMs) {
      if (byKey) moveTo(key, atMs)
    },
    announce: (atMs) => moveTo(null, atMs),
    now: (key) => (followsStreamTime ? context.streamTimeMs - disorderMs : cell(key).nowMs),
    fired: (key) => cell(key).firedMs,
    setFired: (key, firedMs) => cells.put(at(key), { ...cell(key), firedMs }),
  }
}
