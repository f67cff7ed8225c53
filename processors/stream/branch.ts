import { Observable, type Observable as Stream, Subject } from 'rxjs'
import type { OperatorContext, StreamRecord } from '../operator.ts'
import { eachRecord } from './each-record.ts'

/** Several streams of one. */
export interface Branch<In extends StreamRecord, Name extends string> {
  readonly name: string
  readonly branches: readonly Name[]
  connect(context: OperatorContext): (input: Stream<In>) => { readonly [Each in Name]: Stream<In> }
}

/**
 * Sends each record to the first branch whose predicate holds, in the order of
 * declaration; a record that no predicate wants goes nowhere, so end with
 * `rest: () => true` to keep all. Predicates are asked once a record.
 *
 * @throws RangeError without a branch.
 */
export function branch<In extends StreamRecord, Name extends string>(
  name: string,
  when: { readonly [Each in Name]: (record: In) => boolean },
): Branch<In, Name> {
  const branches = Object.keys(when) as Name[]
  if (branches.length === 0) throw new RangeError(`branch "${name}" has no branches, expected at least one`)
  return {
    name,
    branches,
    connect: (context) => (input) => {
      const outs = branches.map((each) => ({ each, wants: when[each], out: new Subject<In>() }))
      let subscribed = false
      const start = (): void => {
        if (subscribed) return
        subscribed = true
        const choose = eachRecord<In, In>(context, (record) =>
          outs.find(({ wants }) => wants(record))?.out.next(record),
        )
        choose(input).subscribe({
          error: (error: unknown) => {
            for (const { out } of outs) out.error(error)
          },
          complete: () => {
            for (const { out } of outs) out.complete()
          },
        })
      }
      const streams = outs.map(({ each, out }) => [
        each,
        new Observable<In>((subscriber) => {
          const subscription = out.subscribe(subscriber)
          start()
          return subscription
        }),
      ])
      return Object.fromEntries(streams) as { [Each in Name]: Stream<In> }
    },
  }
}
