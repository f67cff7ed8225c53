import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { Operator, StreamRecord } from '../operator.ts'
import { connectStage } from './connect-stage.ts'
import { requireDuration } from './declaration-checks.ts'
import { packKey } from './record-key.ts'

export interface DeduplicateOptions<In extends StreamRecord> {
  readonly name: string
  /** What two records of a key have in common when one repeats the other. */
  readonly id: (record: In) => KeyPart
  /** How far apart in event time, either way, a record still repeats one that was let through. */
  readonly withinMs: DurationMs
  /** How far behind stream time a record is still taken; ids are kept so much longer. */
  readonly graceMs: DurationMs
}

/**
 * Lets each id of a key through once in `withinMs`. Repeats are dropped with
 * `duplicate`; a record behind stream time by more than the grace with
 * `late-for-deduplicate`, since it may repeat what was forgotten; a null key
 * with `null-key`.
 *
 * Stores: `<name>-seen` `[key, id, eventTime]`, `<name>-expiry` `[eventTime, key, id]`.
 *
 * @throws RangeError for a time below 1 ms or a negative grace, or none.
 */
export function deduplicate<In extends StreamRecord>(options: DeduplicateOptions<In>): Operator<In, In> {
  const { name, id } = options
  const withinMs = requireDuration('deduplicate withinMs', options.withinMs, { least: 1 })
  const graceMs = requireDuration('deduplicate graceMs', options.graceMs)
  return {
    name,
    connect: (context) =>
      connectStage<In, In>(context, (emit) => {
        const seen: OrderedStore<true> = context.store(`${name}-seen`)
        const expiry: OrderedStore<true> = context.store(`${name}-expiry`)

        const isRepeat = (key: KeyPart, each: KeyPart, atMs: TimestampMs): boolean =>
          !seen.range([key, each, atMs - withinMs], [key, each, atMs + withinMs + 1]).next().done

        return {
          next(record) {
            if (record.key === null || record.key === undefined) {
              context.drop({ operator: name, reason: 'null-key', record })
              return
            }
            const atMs = record.timestampMs
            const latenessMs = context.streamTimeMs - graceMs - atMs
            if (latenessMs > 0) {
              context.drop({ operator: name, reason: 'late-for-deduplicate', record, latenessMs })
              return
            }
            const key = packKey(record.key)
            const each = id(record)
            if (isRepeat(key, each, atMs)) {
              context.drop({ operator: name, reason: 'duplicate', record })
              return
            }
            seen.put([key, each, atMs], true)
            expiry.put([atMs, key, each], true)
            emit(record)
          },
          streamTime(streamTimeMs) {
            // A record still taken is at least at streamTime - grace, so what is further back than
            // withinMs from there repeats nothing.
            for (const [at] of expiry.range(undefined, [streamTimeMs - graceMs - withinMs])) {
              const [atMs, key, each] = at as [TimestampMs, KeyPart, KeyPart]
              expiry.delete(at)
              seen.delete([key, each, atMs])
            }
          },
        }
      }),
  }
}
