import {
  count,
  csvRows,
  days,
  enrich,
  event,
  featureView,
  hours,
  max,
  mean,
  min,
  type SourceRow,
  stream,
  sum,
  topology,
} from '../../topology/index.ts'

/*
 * Job P2B: before each transaction is folded, its customer's and its
 * terminal's count, sum, mean, min and max over 1, 7 and 30 days in hour
 * tiles: 30 features, one example event a transaction.
 */

const fields = {
  id: 'int',
  customer: 'int',
  terminal: 'int',
  amount: 'double',
  at: 'timestamp',
} as const

export const transaction = event('transaction', fields, { key: 'customer', time: 'at' })
/** The internal topic: the same by terminal. */
export const byTerminal = event('transaction-by-terminal', fields, { key: 'terminal', time: 'at' })
/** Features as packed doubles, as the engine carries them in its own examples. */
const packedExample = event(
  'packed-example',
  { id: 'int', customer: 'int', features: 'bytes', at: 'timestamp' },
  { key: 'customer', time: 'at' },
)

const windows = { d1: days(1), d7: days(7), d30: days(30) }
const aggregates = (source: typeof transaction | typeof byTerminal, prefix: string) =>
  Object.fromEntries(
    Object.entries(windows).flatMap(([name, over]) => {
      const window = { over, hop: hours(1) }
      return [
        [`${prefix}Count${name}`, count(source, window)],
        [`${prefix}Sum${name}`, sum(source, 'amount', window)],
        [`${prefix}Mean${name}`, mean(source, 'amount', window)],
        [`${prefix}Min${name}`, min(source, 'amount', window)],
        [`${prefix}Max${name}`, max(source, 'amount', window)],
      ]
    }),
  )

/**
 * Behind the internal topic a question comes when its customer's later
 * transactions of the same batch are folded already; a batch is some hours.
 */
const disorder = hours(12)

const views = (terminalSource: typeof transaction | typeof byTerminal) => [
  featureView('customer', {
    entity: 'customer',
    ...(terminalSource === byTerminal ? { disorder } : {}),
    owner: 'bench',
    description: 'What a customer spent',
    features: aggregates(transaction, 'customer'),
  }),
  featureView('terminal', {
    entity: 'terminal',
    owner: 'bench',
    description: 'What a terminal took',
    features: aggregates(terminalSource, 'terminal'),
  }),
]

const packed = (features: Float64Array) =>
  new Uint8Array(features.buffer, features.byteOffset, features.byteLength)

/** `path` is the fraud handbook's transactions.csv.gz. */
export function fraudTopology(path: string, hop: 'fused' | 'log') {
  const asked = hop === 'fused' ? transaction : byTerminal
  const rows = enrich(asked, views(asked)).to(packedExample, ({ value: { event: each, features } }) => ({
    id: each.id,
    customer: each.customer,
    features: packed(features),
    at: each.at,
  }))
  return topology(`fraud-${hop}`, {
    events: hop === 'fused' ? [transaction, packedExample] : [transaction, byTerminal, packedExample],
    streams: hop === 'fused' ? [rows] : [stream(transaction).to(byTerminal, ({ value }) => value), rows],
    sources: [{ name: 'transactions', rows: () => transactions(path) }],
  })
}

export async function* transactions(path: string): AsyncGenerator<SourceRow> {
  let isHeader = true
  for await (const [id = '', at = '', customer = '', terminal = '', amount = ''] of csvRows(path)) {
    if (!isHeader) {
      yield [
        [
          'transaction',
          {
            id: Number(id),
            customer: Number(customer),
            terminal: Number(terminal),
            amount: Number(amount),
            at: Date.parse(`${at.replace(' ', 'T')}Z`),
          },
        ],
      ]
    }
    isHeader = false
  }
}
