import { merge as mergeAll, type Observable } from 'rxjs'
import type { StreamRecord } from '../operator.ts'

/** One stream of several. */
export interface Merge<In extends StreamRecord = StreamRecord> {
  readonly name: string
  connect(): (...inputs: Observable<In>[]) => Observable<In>
}

/** All records of the inputs, in the order in which the task takes them. Keeps no state. */
export function merge<In extends StreamRecord>(name: string): Merge<In> {
  return {
    name,
    connect:
      () =>
      (...inputs) =>
        mergeAll(...inputs),
  }
}
