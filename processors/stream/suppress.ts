import { EngineError } from '../../state/contracts/engine-error.ts'
import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedKey, OrderedStore } from '../../state/store/state-store.ts'
import type { Operator, StreamRecord } from '../operator.ts'
import type { WindowResult, WindowSpan, WindowStage } from '../window/window.ts'
import type { Windows } from '../window/window-stage.ts'
import { connectStage } from './connect-stage.ts'
import { requireCount, requireDuration } from './declaration-checks.ts'
import { plainRecord } from './derive-record.ts'
import { packKey } from './record-key.ts'

export interface SuppressOptions {
  readonly name: string
  /**
   * `windowCloses`: each window's last result comes out once, when no record
   * can change it any more, with the stage `final`; the windows are those of
   * the aggregate before. `timeLimitMs`: a key's newest record comes out when
   * so much stream time has passed since the first one that is held.
   */
  readonly until: { readonly windowCloses: Windows } | { readonly timeLimitMs: DurationMs }
  /**
   * How many keys it may hold, and what happens with one more: the one that is
   * due first comes out early, or the task fails with `suppress-full`. Windows
   * must not come out before they are final, so `emit-oldest` is not for them.
   */
  readonly bound: 'unbounded' | { readonly maxRecords: number; readonly whenFull: 'emit-oldest' | 'fail' }
}

/**
 * Holds updates back and lets the newest of each key through. What is held is
 * ordered by the time at which it comes out, then by key, so that results of
 * one instant are in the order of their keys.
 *
 * A retracted window that is still held vanishes without a trace.
 *
 * Stores: `<name>-held` `[due, key…]`, `<name>-due` `[key…]`.
 *
 * @throws RangeError for a negative limit, a bound below 1, count windows
 *   (which close by count), or `emit-oldest` for windows.
 */
export function suppress<In extends StreamRecord>({ name, until, bound }: SuppressOptions): Operator<In, In> {
  const windows = 'windowCloses' in until ? until.windowCloses : undefined
  const timeLimitMs = 'timeLimitMs' in until ? requireDuration('suppress timeLimitMs', until.timeLimitMs) : 0
  const limit =
    bound === 'unbounded' ? Number.POSITIVE_INFINITY : requireCount('maxRecords', bound.maxRecords)
  const failsWhenFull = bound !== 'unbounded' && bound.whenFull === 'fail'
  if (windows?.kind === 'count') {
    throw new RangeError(`"${name}" holds count windows until they close, expected windows of time`)
  }
  if (windows?.kind === 'session' && windows.mergesClosed) {
    throw new RangeError(`"${name}" holds sessions that merge after they closed, expected mergesClosed false`)
  }
  if (windows !== undefined && bound !== 'unbounded' && !failsWhenFull) {
    throw new RangeError(
      `"${name}" may emit windows early, expected whenFull "fail" since each comes out once`,
    )
  }
  return {
    name,
    connect: (context) =>
      connectStage<In, In>(context, (emit) => {
        const held: OrderedStore<In> = context.store(`${name}-held`)
        const dueOf: OrderedStore<TimestampMs> = context.store(`${name}-due`)

        const release = (upToMs: TimestampMs): void => {
          for (const [at, record] of held.range(undefined, [upToMs + 1])) take(at, record)
        }
        const take = (at: OrderedKey, record: In): void => {
          held.delete(at)
          dueOf.delete(at.slice(1))
          emit(windows === undefined ? record : { ...record, stage: 'final' })
        }
        const makeRoom = (): void => {
          if (held.size <= limit) return
          if (failsWhenFull) throw new EngineError('suppress-full', { operator: name, limit })
          for (const [at, record] of held.range()) {
            take(at, record)
            return
          }
        }

        return {
          next(record) {
            const stage = stageOf(record)
            if (stage === 'late') {
              emit(record)
              return
            }
            const key = partsOf(record.key)
            const knownMs = dueOf.get(key)
            if (windows !== undefined && stage === 'retraction') {
              if (knownMs !== undefined) {
                held.delete([knownMs, ...key])
                dueOf.delete(key)
              }
              return
            }
            const dueMs =
              knownMs ??
              (windows === undefined
                ? record.timestampMs + timeLimitMs
                : closesAt(windows, record.key as WindowSpan))
            if (knownMs === undefined) dueOf.put(key, dueMs)
            held.put([dueMs, ...key], plainResult(record))
            release(context.streamTimeMs)
            makeRoom()
          },
          streamTime: release,
        }
      }),
  }
}

/** The stream time from which nothing can change the window any more. */
function closesAt(windows: Windows, { startMs, endMs }: WindowSpan): TimestampMs {
  switch (windows.kind) {
    case 'aligned':
      return endMs + windows.graceMs
    case 'sliding':
      return Math.max(endMs, startMs + windows.differenceMs) + windows.graceMs + 1
    case 'session':
      return windows.bounds === 'inclusive'
        ? endMs + windows.gapMs + windows.graceMs + 1
        : endMs + windows.graceMs
    case 'count':
      return endMs
  }
}

const stageOf = (record: StreamRecord): WindowStage | undefined => (record as Partial<WindowResult>).stage

/** Results of one key lie together, in the order of their windows. */
function partsOf(key: unknown): KeyPart[] {
  if (
    typeof key !== 'object' ||
    key === null ||
    !('startMs' in key) ||
    !('endMs' in key) ||
    !('key' in key)
  ) {
    return [packKey(key)]
  }
  return [packKey(key.key), key.startMs as TimestampMs, key.endMs as TimestampMs]
}

function plainResult<In extends StreamRecord>(record: In): In {
  const stage = stageOf(record)
  const plain = plainRecord(record)
  return (stage === undefined ? plain : { ...plain, stage }) as In
}
