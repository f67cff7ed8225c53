import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { OrderedStore } from '../../state/store/state-store.ts'
import type { Drop, Operator, OperatorContext, StreamRecord } from '../operator.ts'
import { connectStage } from './connect-stage.ts'
import { requireDuration } from './declaration-checks.ts'
import { deriveRecord, noOrigin, type Origin, originOf } from './derive-record.ts'
import { alignedSchedule, type PunctuationSchedule, punctuate, scheduleFrom } from './punctuation-schedule.ts'

/** A periodic call. */
export interface Punctuator<In extends StreamRecord> {
  readonly everyMs: DurationMs
  /**
   * Absent: stream time. Otherwise time is what records tell: `tick` gives the
   * time of a record that is a clock's tick, and undefined for all others. The
   * first tick starts the period. Ticks are records on the log, so a replay
   * makes the same calls.
   */
  readonly tick?: (record: In) => TimestampMs | undefined
}

/** What a process works with. */
export interface ProcessTools<Out extends StreamRecord> {
  /** -Infinity before the first record. */
  streamTimeMs(): TimestampMs
  /** Sorted state of this operator under `name`. Ask for it in `start`, read it only once records flow. */
  store<Value>(name: string): OrderedStore<Value>
  emit(record: Out): void
  /** A record whose origin is that of the record being processed. */
  derive<Key, Value>(key: Key, value: Value, timestampMs: TimestampMs): StreamRecord<Key, Value>
  drop(drop: Omit<Drop, 'operator'>): void
  deadLetter(record: StreamRecord, reason: string): void
}

export interface ProcessHandlers<In extends StreamRecord, Name extends string> {
  process(record: In): void
  readonly punctuate?: { readonly [Each in Name]: (atMs: TimestampMs) => void }
}

export interface ProcessOptions<In extends StreamRecord, Out extends StreamRecord, Name extends string> {
  readonly name: string
  readonly punctuators?: { readonly [Each in Name]: Punctuator<In> }
  /** Called once a task. State belongs into stores, not into variables: variables are lost at a restart. */
  readonly start: (tools: ProcessTools<Out>) => ProcessHandlers<In, Name>
}

/**
 * The open end of the algebra: any function of the records and of named state.
 * Calls on stream time come after the record that moved it.
 *
 * Store of its own: `<name>-schedule` `[punctuator]`.
 *
 * @throws RangeError for a period below 1 ms.
 */
export function process<In extends StreamRecord, Out extends StreamRecord, Name extends string = never>(
  options: ProcessOptions<In, Out, Name>,
): Operator<In, Out> {
  const { name, start } = options
  const punctuators = Object.entries<Punctuator<In>>(options.punctuators ?? {})
  for (const [each, { everyMs }] of punctuators) {
    requireDuration(`everyMs of punctuator "${each}"`, everyMs, { least: 1 })
  }
  return {
    name,
    connect: (context) =>
      connectStage<In, Out>(context, (emit) => {
        let cause: Origin = noOrigin
        const schedules: OrderedStore<PunctuationSchedule> = context.store(`${name}-schedule`)
        const handlers = start({ ...toolsOf<Out>(name, context, () => cause), emit })
        const call = (
          each: string,
          before: PunctuationSchedule,
          everyMs: DurationMs,
          nowMs: TimestampMs,
        ): void => {
          const after = punctuate(before, everyMs, nowMs)
          if (after === undefined) return
          schedules.put([each], after)
          handlers.punctuate?.[each as Name](nowMs)
        }
        const tick = (record: In): boolean => {
          let ticked = false
          for (const [each, { everyMs, tick }] of punctuators) {
            const nowMs = tick?.(record)
            if (nowMs === undefined) continue
            ticked = true
            const before = schedules.get([each])
            if (before === undefined) schedules.put([each], scheduleFrom(nowMs, everyMs))
            else call(each, before, everyMs, nowMs)
          }
          return ticked
        }
        return {
          next(record) {
            cause = originOf(record)
            if (!tick(record)) handlers.process(record)
          },
          streamTime(nowMs) {
            for (const [each, { everyMs, tick }] of punctuators) {
              if (tick === undefined) call(each, schedules.get([each]) ?? alignedSchedule, everyMs, nowMs)
            }
          },
        }
      }),
  }
}

const toolsOf = <Out extends StreamRecord>(
  name: string,
  context: OperatorContext,
  cause: () => Origin,
): Omit<ProcessTools<Out>, 'emit'> => ({
  streamTimeMs: () => context.streamTimeMs,
  store: (store) => context.store(`${name}-${store}`),
  derive: (key, value, timestampMs) => deriveRecord(cause(), key, value, timestampMs),
  drop: (drop) => context.drop({ operator: name, ...drop }),
  deadLetter: (record, reason) => context.deadLetter(record, reason),
})
