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
  return (source) => subscribeOnce(out, [feed(source, (record) => handlers.next(record))])
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
      feed(left, (record) => handlers.left(record)),
      feed(right, (record) => handlers.right(record)),
    ])
}

function listenToTime<Out>(
  context: OperatorContext,
  handlers: { streamTime?(streamTimeMs: TimestampMs): void },
  out: Subject<Out>,
): void {
  if (handlers.streamTime === undefined) return
  const fail = (error: unknown): void => out.error(error)
  context.onStreamTime((streamTimeMs) => guard(fail, () => handlers.streamTime?.(streamTimeMs)))
}

/** Starts one input: `complete` is told when it ends, `fail` when it or the handler fails. */
type Feed = (fail: (error: unknown) => void, complete: () => void) => void

const feed =
  <In>(source: Observable<In>, next: (record: In) => void): Feed =>
  (fail, complete) => {
    source.subscribe({ next: (record) => guard(fail, () => next(record)), error: fail, complete })
  }

function subscribeOnce<Out>(out: Subject<Out>, feeds: readonly Feed[]): Observable<Out> {
  let subscribed = false
  return new Observable<Out>((subscriber) => {
    const subscription = out.subscribe(subscriber)
    if (subscribed) return subscription
    subscribed = true
    const fail = (error: unknown): void => out.error(error)
    let open = feeds.length
    for (const start of feeds) {
      start(fail, () => {
        open--
        if (open === 0) out.complete()
      })
    }
    return subscription
  })
}

/** RxJS reports what a handler throws later, from a timer; the task must learn of it with the record. */
function guard(fail: (error: unknown) => void, run: () => void): void {
  try {
    run()
  } catch (error) {
    fail(error)
  }
}
