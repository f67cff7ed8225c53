import { Observable, type Subscriber, type Subscription } from 'rxjs'

/**
 * One subscription to the source for all that subscribe, in their order.
 * RxJS's `share` does the same and makes a closure and a copy of the list for
 * every record; here nobody subscribes while a record passes.
 */
export function multicast<Value>(source: Observable<Value>): Observable<Value> {
  const subscribers: Subscriber<Value>[] = []
  let connection: Subscription | undefined
  return new Observable<Value>((subscriber) => {
    subscribers.push(subscriber)
    connection ??= source.subscribe({
      next(value) {
        for (let index = 0; index < subscribers.length; index++) subscribers[index]!.next(value)
      },
      error(error: unknown) {
        for (const each of [...subscribers]) each.error(error)
      },
      complete() {
        for (const each of [...subscribers]) each.complete()
      },
    })
    return () => {
      subscribers.splice(subscribers.indexOf(subscriber), 1)
      if (subscribers.length > 0) return
      connection?.unsubscribe()
      connection = undefined
    }
  })
}
