import { Observable, type OperatorFunction, Subject } from 'rxjs'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { OperatorContext } from '../operator.ts'

/** Sends one record downstream, at once. */
export type Emit<Out> = (record: Out) => void

/** What a stateful operator does with a record, and when stream time has moved. */
export interface StageHandlers<In> {
  next(record: In): void
  /** Called after the record that moved stream time was handled by all operators of the task. */
  streamTime?(streamTimeMs: TimestampMs): void
}

/** The same with two inputs. */
export interface JoinHandlers<Left, Right> {
  left(record: Left): void
  right(record: Right): void
  streamTime?(streamTimeMs: TimestampMs): void
}

/**
 * Makes the RxJS operator of a stateful step. Its state exists once a task, so
 * its source is subscribed once, however many consumers the result has: a
 * second subscription would count every record twice.
 */
export function connectStage<In, Out>(
  context: OperatorContext,
  build: (emit: Emit<Out>) => StageHandlers<In>,
): OperatorFunction<In, Out> {
  const out = new Subject<Out>()
  const handlers = build((record) => out.next(record))
  listenToTime(context, handlers, out)
  return (source) => subscribeOnce(out, [{ source, next: (record) => handlers.next(record) }])
}

/** `connectStage` for a join: the left input is subscribed first. */
export function connectJoin<Left, Right, Out>(
  context: OperatorContext,
  build: (emit: Emit<Out>) => JoinHandlers<Left, Right>,
): (left: Observable<Left>, right: Observable<Right>) => Observable<Out> {
  const out = new Subject<Out>()
  const handlers = build((record) => out.next(record))
  listenToTime(context, handlers, out)
  return (left, right) =>
    subscribeOnce(out, [
      { source: left, next: (record) => handlers.left(record as Left) },
      { source: right, next: (record) => handlers.right(record as Right) },
    ])
}

function listenToTime<Out>(
  context: OperatorContext,
  handlers: { streamTime?(streamTimeMs: TimestampMs): void },
  out: Subject<Out>,
): void {
  if (handlers.streamTime === undefined) return
  context.onStreamTime((streamTimeMs) => guard(out, () => handlers.streamTime?.(streamTimeMs)))
}

interface Feed<In> {
  readonly source: Observable<In>
  next(record: In): void
}

function subscribeOnce<In, Out>(out: Subject<Out>, feeds: readonly Feed<In>[]): Observable<Out> {
  let subscribed = false
  return new Observable<Out>((subscriber) => {
    const subscription = out.subscribe(subscriber)
    if (subscribed) return subscription
    subscribed = true
    let open = feeds.length
    for (const { source, next } of feeds) {
      source.subscribe({
        next: (record) => guard(out, () => next(record)),
        error: (error: unknown) => out.error(error),
        complete: () => {
          open--
          if (open === 0) out.complete()
        },
      })
    }
    return subscription
  })
}

/** RxJS reports what a handler throws later, from a timer; the task must learn of it with the record. */
function guard<Out>(out: Subject<Out>, run: () => void): void {
  try {
    run()
  } catch (error) {
    out.error(error)
  }
}
