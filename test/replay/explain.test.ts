import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Explanation, explain } from '../../replay/explain.ts'
import {
  count,
  Engine,
  event,
  featureView,
  forever,
  hashedLogistic,
  hoeffdingTree,
  hours,
  latest,
  minutes,
  model,
  request,
  sum,
  topology,
} from '../../topology/index.ts'
import { wire } from '../../topology/runtime/wire.ts'

/** A minute-by-minute shop, small enough to know by heart what is behind an answer. */
const order = event(
  'order',
  { orderId: 'string', buyer: 'string', amount: 'double', at: 'timestamp' },
  { key: 'buyer', time: 'at' },
)
const paid = event(
  'paid',
  { orderId: 'string', buyer: 'string', late: 'boolean', at: 'timestamp' },
  { key: 'buyer', time: 'at' },
)

const buyer = featureView('buyer', {
  entity: 'buyer',
  owner: 'tests',
  description: 'orders of a buyer',
  features: {
    orders10m: count(order, { over: minutes(10), hop: minutes(1) }),
    dear: count(order, { over: forever, where: ({ amount }) => amount > 50 }),
    amount1h: sum(order, 'amount', { over: hours(1), hop: 0 }),
    lastAmount: latest(order, 'amount', { ttl: minutes(30) }),
  },
})

const shared = {
  on: order,
  features: [buyer, request(order, { amountNow: ({ amount }) => amount })],
  label: {
    from: paid,
    join: 'orderId',
    value: ({ late }: { readonly late: boolean }) => late,
    within: hours(2),
  },
} as const
const shop = topology('explained', {
  events: [order, paid],
  features: [buyer],
  models: [
    model('late', { ...shared, learner: hashedLogistic({ bits: 8 }) }),
    model('tree', { ...shared, learner: hoeffdingTree({ gracePeriod: 5 }) }),
  ],
  partitions: 2,
})

const start = 1_700_000_040_000
let data = ''
const explained = async (modelName: string, requestId: string, events?: number): Promise<Explanation> => {
  const wiring = await wire({ data, now: () => start, readOnly: true })
  try {
    return await explain({
      declaration: shop,
      ...wiring,
      database: await wiring.scratch(),
      model: modelName,
      requestId,
      ...(events === undefined ? {} : { events }),
    })
  } finally {
    await wiring.close()
  }
}

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'headwater-explain-'))
  const engine = await Engine.open({ topology: shop, data, now: () => start + hours(100) })
  engine.run()
  for (let minute = 0; minute < 40; minute++) {
    const at = start + minutes(minute)
    const about = { orderId: `o${minute}`, buyer: minute % 2 === 0 ? 'ann' : 'bob' }
    await engine.append('order', [{ ...about, amount: 10 + 2 * minute, at }])
    await engine.caughtUp()
    if (minute !== 35) await engine.append('paid', [{ ...about, late: minute % 3 === 0, at: at + 1_000 }])
    await engine.caughtUp()
  }
  // Came after the answer to o30, though it happened before: not seen then, so not shown now.
  await engine.append('order', [{ orderId: 'x', buyer: 'ann', amount: 999, at: start + minutes(29) }])
  await engine.caughtUp()
  await engine.close()
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

test('an explanation names the events behind each feature, in its window and before the position', async () => {
  const { features, ...about } = await explained('late', 'o30', 2)
  expect(about).toMatchObject({
    requestId: 'o30',
    recomputed: 'equal',
    modelVersion: 30,
    label: { value: 1, labeledAt: start + minutes(30) + 1_000 },
  })
  // ann ordered at every even minute.
  const byName = Object.fromEntries(features.map((feature) => [feature.name, feature]))
  expect(features.map(({ name, value, eventCount, from }) => [name, value, eventCount, from])).toEqual([
    ['orders10m', 5, 5, 'count of order over 10 min by 1 min'],
    ['dear', 4, 4, 'count of order over all time'],
    ['amount1h', 15 * 10 + 4 * 105, 15, 'sum of order over 1 h'],
    ['lastAmount', 66, 15, 'latest of order, at most 30 min old'],
    ['amountNow', 70, undefined, 'request'],
  ])
  expect(byName['amount1h']).toMatchObject({ view: 'buyer', keys: [['ann']] })
  expect(byName['amount1h']!.events!.map(({ atMs, value }) => [(atMs - start) / 60_000, value])).toEqual([
    [28, 66],
    [26, 62],
  ])
})

test('the terms of a sum add up to the score behind the answer', async () => {
  const { contributions, output } = await explained('late', 'o33')
  expect(contributions.kind).toBe('terms')
  expect(contributions.values.map(({ name }) => name)).toEqual([
    'constant',
    'orders10m',
    'dear',
    'amount1h',
    'lastAmount',
    'amountNow',
  ])
  const score = contributions.values.reduce((sum, { value }) => sum + value, 0)
  expect(Math.abs(score)).toBeGreaterThan(0.001)
  expect(1 / (1 + Math.exp(-score))).toBeCloseTo(output, 12)
})

test('a model that is no sum tells what each feature changed', async () => {
  const { contributions, recomputed } = await explained('tree', 'o33')
  expect(recomputed).toBe('equal')
  expect(contributions.kind).toBe('differences')
  expect(contributions.values).toHaveLength(5)
})

test('a prediction without its label says so by leaving it out', async () => {
  expect(await explained('late', 'o35')).not.toHaveProperty('label')
})

test('what is not there is named', async () => {
  await expect(explained('late', 'o400')).rejects.toThrow(
    'the log holds no prediction of model "late" for request "o400"; check the request id and the model',
  )
  await expect(explained('never', 'o1')).rejects.toThrow('late, tree')
})
