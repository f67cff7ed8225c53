import { Observable, type OperatorFunction, type Subscriber } from 'rxjs'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { OperatorContext, StreamRecord } from '../operator.ts'

/** Sends one record downstream, at once. */
export type Emit<Out> = (record: Out) => void

/** What a stateful operator does with a record, and when stream time has moved. */
export interface StageHandlers<In> {
  next(record: In): void
  /** Called after the record that moved stream time was handled by all operators of the task. */
  streamTime?(streamTimeMs: TimestampMs): void
  /** Called behind the last record of each batch. */
  batchEnd?(): void
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
export function connectStage<In extends StreamRecord, Out>(
  context: OperatorContext,
  build: (emit: Emit<Out>) => StageHandlers<In>,
): OperatorFunction<In, Out> {
  const out = new Outlet<Out>()
  const handlers = build((record) => out.next(record))
  listenToTime(context, handlers)
  if (handlers.batchEnd !== undefined) {
    context.onBatchEnd(() => {
      try {
        handlers.batchEnd?.()
      } catch (error) {
        context.functionFailed(error)
      }
    })
  }
  return (source) => subscribeOnce(out, [feed(context, source, (record) => handlers.next(record))])
}

/** `connectStage` for a join: the left input is subscribed first. */
export function connectJoin<Left extends StreamRecord, Right extends StreamRecord, Out>(
  context: OperatorContext,
  build: (emit: Emit<Out>) => JoinHandlers<Left, Right>,
): (left: Observable<Left>, right: Observable<Right>) => Observable<Out> {
  const out = new Outlet<Out>()
  const handlers = build((record) => out.next(record))
  listenToTime(context, handlers)
  return (left, right) =>
    subscribeOnce(out, [
      feed(context, left, (record) => handlers.left(record)),
      feed(context, right, (record) => handlers.right(record)),
    ])
}

function listenToTime(
  context: OperatorContext,
  handlers: { streamTime?(streamTimeMs: TimestampMs): void },
): void {
  if (handlers.streamTime === undefined) return
  context.onStreamTime((streamTimeMs) => {
    try {
      handlers.streamTime?.(streamTimeMs)
    } catch (error) {
      context.functionFailed(error)
    }
  })
}

/** Starts one input: `complete` is told when it ends, `fail` when it fails. */
type Feed = (fail: (error: unknown) => void, complete: () => void) => void

const feed =
  <In extends StreamRecord>(
    context: OperatorContext,
    source: Observable<In>,
    next: (record: In) => void,
  ): Feed =>
  (fail, complete) => {
    source.subscribe({
      next: (record) => {
        try {
          next(record)
        } catch (error) {
          context.functionFailed(error, record)
        }
      },
      error: fail,
      complete,
    })
  }

/** All that are subscribed to a stage's results. A subject does the same and makes a closure for every record. */
class Outlet<Out> {
  readonly #subscribers: Subscriber<Out>[] = []

  add(subscriber: Subscriber<Out>): () => void {
    this.#subscribers.push(subscriber)
    return () => this.#subscribers.splice(this.#subscribers.indexOf(subscriber), 1)
  }

  next(record: Out): void {
    const subscribers = this.#subscribers
    for (let index = 0; index < subscribers.length; index++) subscribers[index]!.next(record)
  }

  error(error: unknown): void {
    for (const each of [...this.#subscribers]) each.error(error)
  }

  complete(): void {
    for (const each of [...this.#subscribers]) each.complete()
  }
}

function subscribeOnce<Out>(out: Outlet<Out>, feeds: readonly Feed[]): Observable<Out> {
  let subscribed = false
  return new Observable<Out>((subscriber) => {
    const leave = out.add(subscriber)
    if (subscribed) return leave
    subscribed = true
    const fail = (error: unknown): void => out.error(error)
    let open = feeds.length
    for (const start of feeds) {
      start(fail, () => {
        open--
        if (open === 0) out.complete()
      })
    }
    return leave
  })
}
