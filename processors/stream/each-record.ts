import { Observable, type OperatorFunction } from 'rxjs'
import type { OperatorContext, StreamRecord } from '../operator.ts'
import type { Emit } from './connect-stage.ts'

/**
 * Makes the RxJS operator of a step that keeps no state. RxJS ends a stream
 * whose function throws; here one bad record does not take the next ones with it.
 */
export function eachRecord<In extends StreamRecord, Out extends StreamRecord>(
  context: OperatorContext,
  handle: (record: In, emit: Emit<Out>) => void,
): OperatorFunction<In, Out> {
  return (source) =>
    new Observable<Out>((subscriber) => {
      const emit = (out: Out): void => subscriber.next(out)
      return source.subscribe({
        next: (record) => {
          try {
            handle(record, emit)
          } catch (error) {
            context.functionFailed(error, record)
          }
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => subscriber.complete(),
      })
    })
}
