import { type EventOf, event, nullable, stream, topology } from '../../topology/index.ts'

export const payment = event(
  'payment',
  { card: 'string', number: 'int', at: 'timestamp' },
  { key: 'card', time: 'at' },
)
export const located = event(
  'located-payment',
  { card: 'string', number: 'int', city: nullable('string'), at: 'timestamp' },
  { key: 'card', time: 'at' },
)
export type Payment = EventOf<typeof payment>

/** A city for each payment, asked of `call`. */
export const placesAskedOf = (call: (asked: readonly Payment[]) => Promise<readonly string[]>) =>
  topology('places', {
    events: [payment, located],
    calls: [
      stream(payment).enrichAsync({
        name: 'geo',
        into: located,
        call,
        event: (ask, city) => ({ ...ask, city }),
        onFailure: 'stop',
        batch: 5,
        concurrency: 2,
      }),
    ],
    partitions: 2,
  })
