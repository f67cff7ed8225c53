import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { StreamRecord } from '../operator.ts'
import { noHeaders, type Origin, plainRecord } from '../stream/derive-record.ts'
import type { ResultTime, WindowResult, WindowSpan, WindowStage } from './window.ts'

export function windowResult<Key, Value>(
  stage: WindowStage,
  from: Origin,
  key: Key,
  { startMs, endMs }: WindowSpan,
  value: Value | null,
  timestampMs: TimestampMs,
): WindowResult<Key, Value> {
  return {
    key: { key, startMs, endMs },
    value,
    timestampMs,
    topic: from.topic,
    partition: from.partition,
    offset: from.offset,
    headers: noHeaders,
    stage,
  }
}

/** The side output of a record that came after its window had closed. */
export function lateResult<Key, Value>(
  record: StreamRecord<Key>,
  span: WindowSpan,
  latenessMs: DurationMs,
): WindowResult<Key, Value> {
  return {
    ...windowResult<Key, Value>('late', record, record.key, span, null, record.timestampMs),
    late: { record: plainRecord(record), latenessMs },
  }
}

/** `lastInstantMs` is the last millisecond that belongs to the window. */
export function resultTimeOf(
  kind: ResultTime,
  startMs: TimestampMs,
  lastInstantMs: TimestampMs,
  latestEventMs: TimestampMs,
): TimestampMs {
  if (kind === 'latest-event') return latestEventMs
  return kind === 'start' ? startMs : lastInstantMs
}
