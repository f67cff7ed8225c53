import { days, type Engine, hours } from '../../topology/index.ts'
import { transactions } from './fraud-topology.ts'

/** Sums, over all transactions, of how many of its customer and of its terminal lie in the 30 days before each. */
export interface ThirtyDayCounts {
  readonly examples: number
  readonly customer: number
  readonly terminal: number
}

/** Where the 30-day counts are among the 30 features. */
const customerCountAt = 10
const terminalCountAt = 25

/** What the examples on the log say. */
export async function thirtyDayCounts({ log, assembly }: Engine): Promise<ThirtyDayCounts> {
  const bound = assembly.events.get('packed-example')!
  const { topic } = bound.contract
  const found = { examples: 0, customer: 0, terminal: 0 }
  for (let partition = 0; partition < assembly.declaration.partitions; partition++) {
    const { start, end } = await log.offsets(topic, partition)
    for (let offset = start; offset < end; ) {
      const batch = await log.read({ topic, partition, offset, maxBytes: 1 << 20 })
      for (let index = 0; index < batch.count; index++) {
        const value = bound.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!)
        const features = Buffer.from((value as { readonly features: Uint8Array }).features)
        found.examples++
        found.customer += features.readDoubleLE(8 * customerCountAt)
        found.terminal += features.readDoubleLE(8 * terminalCountAt)
      }
      offset = batch.nextOffset
    }
  }
  return found
}

/**
 * The same by the plainest means: of each key the times of its transactions.
 * Also as one has them who goes by the order of the file, and so counts those
 * of the same second that stand before: features are of strictly before.
 */
export async function expectedThirtyDayCounts(
  path: string,
  events: number,
): Promise<{ readonly strictly: ThirtyDayCounts; readonly inFileOrder: ThirtyDayCounts }> {
  const customers = new Map<number, number[]>()
  const terminals = new Map<number, number[]>()
  const inFileOrder = { examples: 0, customer: 0, terminal: 0 }
  const ties = { customer: 0, terminal: 0 }
  for await (const [entry] of transactions(path)) {
    if (inFileOrder.examples === events) break
    const { customer, terminal, at } = entry![1] as Readonly<Record<'customer' | 'terminal' | 'at', number>>
    const ofCustomer = before(customers, customer, at)
    const ofTerminal = before(terminals, terminal, at)
    inFileOrder.examples++
    inFileOrder.customer += ofCustomer.length
    inFileOrder.terminal += ofTerminal.length
    ties.customer += ofCustomer.filter((each) => each === at).length
    ties.terminal += ofTerminal.filter((each) => each === at).length
    ofCustomer.push(at)
    ofTerminal.push(at)
  }
  const { examples, customer, terminal } = inFileOrder
  const strictly = { examples, customer: customer - ties.customer, terminal: terminal - ties.terminal }
  return { strictly, inFileOrder }
}

/** The times of a key's transactions from the hour on in which 30 days before `atMs` lies. */
function before(timesOf: Map<number, number[]>, key: number, atMs: number): number[] {
  const past = timesOf.get(key) ?? []
  const first = Math.floor((atMs - days(30)) / hours(1)) * hours(1)
  while (past.length > 0 && past[0]! < first) past.shift()
  timesOf.set(key, past)
  return past
}
