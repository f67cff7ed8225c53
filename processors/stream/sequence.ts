import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { Operator, OperatorContext, StreamRecord } from '../operator.ts'
import { connectStage, type Emit, type StageHandlers } from './connect-stage.ts'
import { requireDuration } from './declaration-checks.ts'
import { deriveRecord, plainRecord } from './derive-record.ts'
import { packKey, unpackKey } from './record-key.ts'

export interface SequenceOptions<In extends StreamRecord, Out> {
  readonly name: string
  /** What has to happen, one after the other; other records may come between. */
  readonly steps: readonly ((record: In) => boolean)[]
  /** What must not happen after the first step. */
  readonly without?: (record: In) => boolean
  /**
   * `match`: a sequence is found with its last step, if nothing forbidden came
   * before. `end`: it is found when its time is over, if nothing forbidden came
   * in all of it; so one step alone means "this, and not that within …".
   */
  readonly until: 'match' | 'end'
  /** How long after the first step the last one may come, and what is forbidden stays so; at the border it counts. */
  readonly withinMs: DurationMs
  /** How long records wait for others that come late, since they are taken in the order of event time. */
  readonly graceMs: DurationMs
  /** Of the records of the steps, in their order. */
  readonly value: (records: readonly In[]) => Out
}

interface Partial {
  readonly startMs: TimestampMs
  readonly records: StreamRecord[]
}

/**
 * Finds sequences of a key's records: "A, then B, and no C, within 10 minutes".
 * Every record of the first step begins a sequence; each goes on with the next
 * record that fits its next step, and a record may carry on several. What is
 * forbidden ends all sequences of the key that have begun, before the record is
 * a step of any.
 *
 * Records are taken in the order of event time, at equal times of arrival, when
 * stream time is `graceMs` past them. One behind that is dropped with
 * `late-for-sequence`, a null key with `null-key`.
 *
 * A result has the event time of the last step, until `end` of the end of the
 * sequence's time.
 *
 * Stores: `<name>-waiting` `[eventTime, number]`, `<name>-open` `[key]`,
 * `<name>-ends` `[end, key]`.
 *
 * @throws RangeError without a step, for a time below 1 ms, or a negative grace, or none.
 */
export function sequence<In extends StreamRecord, Out>(
  options: SequenceOptions<In, Out>,
): Operator<In, StreamRecord<In['key'], Out>> {
  const { name, steps } = options
  if (steps.length === 0) throw new RangeError(`sequence "${name}" has no steps, expected at least one`)
  requireDuration('sequence withinMs', options.withinMs, { least: 1 })
  requireDuration('sequence graceMs', options.graceMs)
  return {
    name,
    connect: (context) => connectStage(context, (emit) => handlersOf(context, options, emit)),
  }
}

function handlersOf<In extends StreamRecord, Out>(
  context: OperatorContext,
  options: SequenceOptions<In, Out>,
  emit: Emit<StreamRecord<In['key'], Out>>,
): StageHandlers<In> {
  const { name, steps, without, until, withinMs, graceMs } = options
  const waiting: OrderedStore<StreamRecord> = context.store(`${name}-waiting`)
  const open: OrderedStore<Partial[]> = context.store(`${name}-open`)
  const ends: OrderedStore<true> = context.store(`${name}-ends`)

  const give = (key: KeyPart, { startMs, records }: Partial): void => {
    const last = records.at(-1)
    if (last === undefined) return
    const atMs = until === 'end' ? startMs + withinMs : last.timestampMs
    const value = options.value(records as unknown as readonly In[])
    emit(deriveRecord(last, unpackKey(key) as In['key'], value, atMs, last.headers))
  }

  /** Sequences whose time ended before `beforeMs`. */
  const end = (beforeMs: TimestampMs): void => {
    for (const [at] of ends.range(undefined, [beforeMs])) {
      const [endMs, key] = at as [TimestampMs, KeyPart]
      ends.delete(at)
      const partials = open.get([key]) ?? []
      const still = partials.filter(({ startMs }) => startMs + withinMs > endMs)
      if (still.length === 0) open.delete([key])
      else open.put([key], still)
      for (const partial of partials) {
        if (partial.startMs + withinMs <= endMs && partial.records.length === steps.length) give(key, partial)
      }
    }
  }

  const take = (record: In): void => {
    end(record.timestampMs)
    const key = packKey(record.key)
    const before = open.get([key]) ?? []
    const kept = without?.(record) === true ? [] : before
    const partials: Partial[] = []
    for (const partial of kept) {
      const step = steps[partial.records.length]
      if (step?.(record) !== true) {
        partials.push(partial)
        continue
      }
      const further = { ...partial, records: [...partial.records, plainRecord(record)] }
      if (further.records.length === steps.length && until === 'match') give(key, further)
      else partials.push(further)
    }
    if (steps[0]?.(record) === true) {
      const begun: Partial = { startMs: record.timestampMs, records: [plainRecord(record)] }
      if (steps.length === 1 && until === 'match') give(key, begun)
      else {
        partials.push(begun)
        ends.put([begun.startMs + withinMs, key], true)
      }
    }
    if (partials.length > 0) open.put([key], partials)
    else if (before.length > 0) open.delete([key])
  }

  const release = (streamTimeMs: TimestampMs): void => {
    for (const [at, record] of waiting.range(undefined, [streamTimeMs - graceMs + 1])) {
      waiting.delete(at)
      take(record as In)
    }
    end(streamTimeMs - graceMs)
  }

  return {
    next(record) {
      if (record.key === null || record.key === undefined) {
        context.drop({ operator: name, reason: 'null-key', record })
        return
      }
      const atMs = record.timestampMs
      const latenessMs = context.streamTimeMs - graceMs - atMs
      if (latenessMs > 0) {
        context.drop({ operator: name, reason: 'late-for-sequence', record, latenessMs })
        return
      }
      let number = 0
      for (const [at] of waiting.range([atMs], [atMs + 1])) number = (at[1] as number) + 1
      waiting.put([atMs, number], plainRecord(record) as StreamRecord)
      release(context.streamTimeMs)
    },
    streamTime: release,
  }
}
