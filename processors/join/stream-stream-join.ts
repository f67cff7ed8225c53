import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { Join, JoinInput, OperatorContext, StreamRecord } from '../operator.ts'
import { connectJoin, type Emit, type JoinHandlers } from '../stream/connect-stage.ts'
import { requireDuration } from '../stream/declaration-checks.ts'
import { deriveRecord, plainRecord } from '../stream/derive-record.ts'
import { packKey } from '../stream/record-key.ts'

export interface StreamStreamJoinOptions<Left extends StreamRecord, Right extends StreamRecord, Out> {
  readonly name: string
  /** Whose records come out, with null for the other side, when their window closes without a partner: no one's, the left's, both. */
  readonly how: 'inner' | 'left' | 'outer'
  /** How long before a left record a right one may lie; at the border it still joins. */
  readonly beforeMs: DurationMs
  /** How long after a left record a right one may lie; at the border it still joins. */
  readonly afterMs: DurationMs
  /** How long after the window a result without a partner waits for records that come late. */
  readonly graceMs: DurationMs
  readonly value: (left: NonNullable<Left['value']> | null, right: NonNullable<Right['value']> | null) => Out
}

const stream: JoinInput = { as: 'stream', copartitioned: true }

/** Which input a record came from; right ones of an instant come out before left ones. */
const rightSide = 0
const leftSide = 1
type Side = typeof rightSide | typeof leftSide

interface Row {
  readonly record: StreamRecord
  joined: boolean
}

/**
 * Joins records of one key whose event times are close: a right one at r with
 * every left one at l for which `l - beforeMs <= r <= l + afterMs`.
 *
 * A pair comes out at once, when its second record arrives, with the greater of
 * both event times; partners come out by event time, then by arrival. A record
 * that found no partner comes out with null, once, when stream time has passed
 * the end of its window by more than `graceMs`, before the join of the record
 * that moved time. It then joins nothing any more, so that no null result is
 * ever contradicted by a later pair.
 *
 * Records are kept for `beforeMs + afterMs + graceMs` of stream time and join
 * whatever comes until then. A record behind that which finds no partner, and
 * has no null result, is dropped with `late-for-join`. A null key finds no
 * partner; a null value is dropped with `null-value`.
 *
 * Source of the rules: Kafka Streams, `KStreamKStreamJoin`, KIP-633 and KIP-962.
 *
 * Stores: `<name>-left` and `<name>-right` `[key, eventTime]`, the records of
 * the instant by arrival; `<name>-expiry` `[eventTime, side, key]`; unless
 * inner, `<name>-unjoined` `[windowEnd + grace, side, eventTime, key]`.
 *
 * @throws RangeError for a negative length of time, or none.
 */
export function streamStreamJoin<Left extends StreamRecord, Right extends StreamRecord, Out>(
  options: StreamStreamJoinOptions<Left, Right, Out>,
): Join<Left, Right, StreamRecord<Left['key'], Out>> {
  requireDuration('join beforeMs', options.beforeMs)
  requireDuration('join afterMs', options.afterMs)
  requireDuration('join graceMs', options.graceMs)
  return {
    name: options.name,
    inputs: { left: stream, right: stream },
    connect: (context) =>
      connectJoin<Left, Right, StreamRecord<Left['key'], Out>>(context, (emit) =>
        handlersOf(context, options, emit),
      ),
  }
}

function handlersOf<Left extends StreamRecord, Right extends StreamRecord, Out>(
  context: OperatorContext,
  options: StreamStreamJoinOptions<Left, Right, Out>,
  emit: Emit<StreamRecord<Left['key'], Out>>,
): JoinHandlers<Left, Right> {
  const { name, how, beforeMs, afterMs, graceMs } = options
  const keptMs = beforeMs + afterMs + graceMs
  const sides: readonly OrderedStore<Row[]>[] = [
    context.store(`${name}-right`),
    context.store(`${name}-left`),
  ]
  const expiry: OrderedStore<true> = context.store(`${name}-expiry`)
  const unjoined: OrderedStore<true> | undefined =
    how === 'inner' ? undefined : context.store(`${name}-unjoined`)
  const isKept = (side: Side): boolean => how === 'outer' || (how === 'left' && side === leftSide)
  /** From here on no partner of the record is waited for. */
  const dueOf = (side: Side, atMs: TimestampMs): TimestampMs =>
    atMs + (side === leftSide ? afterMs : beforeMs) + graceMs
  // Spares the walks while time stands; begins anew after a restart.
  let releasedMs = Number.NEGATIVE_INFINITY

  const give = (side: Side, record: StreamRecord, other: StreamRecord | null): void => {
    const [left, right] = side === leftSide ? [record, other] : [other, record]
    const value = options.value(
      (left?.value ?? null) as NonNullable<Left['value']> | null,
      (right?.value ?? null) as NonNullable<Right['value']> | null,
    )
    const atMs = other === null ? record.timestampMs : Math.max(record.timestampMs, other.timestampMs)
    emit(deriveRecord(record, record.key as Left['key'], value, atMs, record.headers))
  }

  const forget = (side: Side, key: KeyPart, atMs: TimestampMs, rows: Row[]): void => {
    if (rows.length > 0) {
      sides[side]!.put([key, atMs], rows)
      return
    }
    sides[side]!.delete([key, atMs])
    expiry.delete([atMs, side, key])
  }

  const release = (nowMs: TimestampMs): void => {
    if (nowMs <= releasedMs) return
    releasedMs = nowMs
    if (unjoined !== undefined) {
      for (const [at] of unjoined.range(undefined, [nowMs])) {
        const [, side, atMs, key] = at as [number, Side, TimestampMs, KeyPart]
        unjoined.delete(at)
        const rows = sides[side]!.get([key, atMs]) ?? []
        forget(
          side,
          key,
          atMs,
          rows.filter((row) => row.joined),
        )
        for (const row of rows) if (!row.joined) give(side, row.record, null)
      }
    }
    for (const [at] of expiry.range(undefined, [nowMs - keptMs])) {
      const [atMs, side, key] = at as [TimestampMs, Side, KeyPart]
      expiry.delete(at)
      sides[side]!.delete([key, atMs])
    }
  }

  const partners = (side: Side, key: KeyPart, record: StreamRecord): boolean => {
    const atMs = record.timestampMs
    const fromMs = atMs - (side === leftSide ? beforeMs : afterMs)
    const toMs = atMs + (side === leftSide ? afterMs : beforeMs) + 1
    const others = sides[1 - side]!
    let found = false
    for (const [at, rows] of others.range([key, fromMs], [key, toMs])) {
      let changed = false
      for (const row of rows) {
        changed ||= !row.joined
        row.joined = true
      }
      found = true
      if (changed && isKept((1 - side) as Side)) others.put(at, rows)
      for (const row of rows) give(side, record, row.record)
    }
    return found
  }

  const take = (side: Side, record: StreamRecord): void => {
    release(context.streamTimeMs)
    if (record.value === null) {
      context.drop({ operator: name, reason: 'null-value', record })
      return
    }
    if (record.key === null || record.key === undefined) {
      if (isKept(side)) give(side, record, null)
      else context.drop({ operator: name, reason: 'null-key', record })
      return
    }
    const key = packKey(record.key)
    const atMs = record.timestampMs
    const joined = partners(side, key, record)
    if (!joined && isKept(side)) {
      if (dueOf(side, atMs) < context.streamTimeMs) {
        give(side, record, null)
        return
      }
      unjoined?.put([dueOf(side, atMs), side, atMs, key], true)
    }
    const latenessMs = context.streamTimeMs - keptMs - atMs
    if (latenessMs > 0) {
      if (!joined) context.drop({ operator: name, reason: 'late-for-join', record, latenessMs })
      return
    }
    const rows = sides[side]!.get([key, atMs])
    const row: Row = { record: plainRecord(record), joined }
    if (rows === undefined) expiry.put([atMs, side, key], true)
    sides[side]!.put([key, atMs], rows === undefined ? [row] : [...rows, row])
  }

  return {
    left: (record) => take(leftSide, record),
    right: (record) => take(rightSide, record),
    streamTime: release,
  }
}
