import type { Engine } from '../../topology/index.ts'
import {
  count,
  days,
  event,
  hours,
  max,
  mean,
  min,
  rekey,
  stream,
  sum,
  topology,
  tumbling,
  windowAggregate,
  windowFolds,
} from '../../topology/index.ts'
import { byTerminal, transaction, transactions } from './fraud-topology.ts'

/*
 * Job P2A: the windows of 1 hour, 1 day and 7 days of each customer, each
 * terminal, and each pair of the two; count, sum, mean, min and max; one
 * output for each window that a commit touched.
 */

const sizes = { hour: hours(1), day: days(1), week: days(7) }

const numbers = {
  size: 'int',
  start: 'timestamp',
  count: 'double',
  sum: 'double',
  mean: 'double',
  min: 'double',
  max: 'double',
  at: 'timestamp',
} as const
const customerWindow = event(
  'customer-window',
  { customer: 'int', ...numbers },
  { key: 'customer', time: 'at' },
)
const pairWindow = event(
  'pair-window',
  { customer: 'int', terminal: 'int', ...numbers },
  { key: ['customer', 'terminal'], time: 'at' },
)
const terminalWindow = event(
  'terminal-window',
  { terminal: 'int', ...numbers },
  { key: 'terminal', time: 'at' },
)
const outputs = [customerWindow, pairWindow, terminalWindow]

const statistics = windowFolds({ count: count(), sum: sum(), mean: mean(), min: min(), max: max() })
/** A window that has come into being has a transaction: nothing is null. */
type Row = Readonly<Record<'count' | 'sum' | 'mean' | 'min' | 'max', number>>

/** A task takes its inputs by event time, backlog or not, so little grace drops nothing: the counts tell. */
const graceMs = hours(1)
const windowsOf = (name: string, sizeMs: number) =>
  windowAggregate({
    name,
    windows: tumbling({ sizeMs, graceMs }),
    aggregate: statistics,
    input: ({ value }: { readonly value: unknown }) => (value as { readonly amount: number }).amount,
    emit: 'commit',
  })

/** `path` is the fraud handbook's transactions.csv.gz. */
export function windowTopology(path: string, hop: 'fused' | 'log') {
  const byCustomer = stream(transaction)
  const byPair = byCustomer.pipe(
    rekey('pair', ({ value }) => [value.customer, value.terminal] as const, { samePartition: true }),
  )
  const terminals: typeof byCustomer =
    hop === 'log'
      ? stream(byTerminal)
      : byCustomer.pipe(rekey('by-terminal', ({ value }) => value.terminal as unknown))
  const streams = Object.entries(sizes).flatMap(([name, sizeMs]) => {
    const size = sizeMs / hours(1)
    return [
      byCustomer
        .pipe(windowsOf(`customer-${name}`, sizeMs))
        .to(customerWindow, ({ key, value, timestampMs }) => {
          const { count, sum, mean, min, max } = value as Row
          return {
            customer: key.key as number,
            size,
            start: key.startMs,
            count,
            sum,
            mean,
            min,
            max,
            at: timestampMs,
          }
        }),
      byPair.pipe(windowsOf(`pair-${name}`, sizeMs)).to(pairWindow, ({ key, value, timestampMs }) => {
        const { count, sum, mean, min, max } = value as Row
        const [customer, terminal] = key.key as readonly [number, number]
        return { customer, terminal, size, start: key.startMs, count, sum, mean, min, max, at: timestampMs }
      }),
      terminals
        .pipe(windowsOf(`terminal-${name}`, sizeMs))
        .to(terminalWindow, ({ key, value, timestampMs }) => {
          const { count, sum, mean, min, max } = value as Row
          return {
            terminal: key.key as number,
            size,
            start: key.startMs,
            count,
            sum,
            mean,
            min,
            max,
            at: timestampMs,
          }
        }),
    ]
  })
  return topology(`windows-${hop}`, {
    events: hop === 'log' ? [transaction, byTerminal, ...outputs] : [transaction, ...outputs],
    streams: hop === 'log' ? [stream(transaction).to(byTerminal, ({ value }) => value), ...streams] : streams,
    sources: [{ name: 'transactions', rows: () => transactions(path) }],
  })
}

/** Adds up the last count of each window, by entity and size: each is the number of transactions. */
export async function windowCounts({ log, assembly }: Engine): Promise<Readonly<Record<string, number>>> {
  const totals: Record<string, number> = {}
  for (const { name, topic, fieldNames } of outputs) {
    const bound = assembly.events.get(name)!
    const ids = fieldNames.filter((field) => field === 'customer' || field === 'terminal')
    const last = new Map<string, number>()
    for (let partition = 0; partition < assembly.declaration.partitions; partition++) {
      const { start, end } = await log.offsets(topic, partition)
      for (let offset = start; offset < end; ) {
        const batch = await log.read({ topic, partition, offset, maxBytes: 1 << 20 })
        for (let index = 0; index < batch.count; index++) {
          const value = bound.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!)
          const row = value as Readonly<Record<string, number>>
          last.set(`${row['size']} ${row['start']} ${ids.map((id) => row[id])}`, row['count']!)
        }
        offset = batch.nextOffset
      }
    }
    for (const [window, windowCount] of last) {
      const total = `${name} ${window.slice(0, window.indexOf(' '))}h`
      totals[total] = (totals[total] ?? 0) + windowCount
    }
  }
  return totals
}
