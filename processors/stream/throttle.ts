import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { Operator, StreamRecord } from '../operator.ts'
import { connectStage } from './connect-stage.ts'
import { requireDuration } from './declaration-checks.ts'
import { packKey } from './record-key.ts'

export interface ThrottleOptions {
  readonly name: string
  /** The least event time between two records of a key. */
  readonly everyMs: DurationMs
  /** How far behind stream time a record is still taken; keys are remembered so much longer. */
  readonly graceMs: DurationMs
}

/**
 * Lets a record through when its key's last one that came through is at least
 * `everyMs` before it, in event time. Others are dropped with `throttled`; a
 * record behind stream time by more than the grace with `late-for-throttle`; a
 * null key with `null-key`.
 *
 * Stores: `<name>-last` `[key]`, `<name>-expiry` `[eventTime, key]`.
 *
 * @throws RangeError for a period below 1 ms or a negative grace, or none.
 */
export function throttle<In extends StreamRecord>(options: ThrottleOptions): Operator<In, In> {
  const { name } = options
  const everyMs = requireDuration('throttle everyMs', options.everyMs, { least: 1 })
  const graceMs = requireDuration('throttle graceMs', options.graceMs)
  return {
    name,
    connect: (context) =>
      connectStage<In, In>(context, (emit) => {
        const last: OrderedStore<TimestampMs> = context.store(`${name}-last`)
        const expiry: OrderedStore<true> = context.store(`${name}-expiry`)
        return {
          next(record) {
            if (record.key === null || record.key === undefined) {
              context.drop({ operator: name, reason: 'null-key', record })
              return
            }
            const atMs = record.timestampMs
            const latenessMs = context.streamTimeMs - graceMs - atMs
            if (latenessMs > 0) {
              context.drop({ operator: name, reason: 'late-for-throttle', record, latenessMs })
              return
            }
            const key = packKey(record.key)
            const lastMs = last.get([key])
            if (lastMs !== undefined && atMs < lastMs + everyMs) {
              context.drop({ operator: name, reason: 'throttled', record })
              return
            }
            if (lastMs !== undefined) expiry.delete([lastMs, key])
            last.put([key], atMs)
            expiry.put([atMs, key], true)
            emit(record)
          },
          streamTime(streamTimeMs) {
            for (const [at] of expiry.range(undefined, [streamTimeMs - graceMs - everyMs + 1])) {
              expiry.delete(at)
              last.delete([at[1] as KeyPart])
            }
          },
        }
      }),
  }
}
