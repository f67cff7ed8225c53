import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  count,
  Engine,
  event,
  featureView,
  filter,
  forever,
  hashedLogistic,
  hours,
  mapValues,
  model,
  request,
  stream,
  sum,
  topology,
} from '../../topology/index.ts'

/*
 * Functions of a declaration that throw on some records. Each costs the record
 * what the function was for, a dead letter says where it threw, and all other
 * parts and records go on.
 */

const order = event(
  'order',
  { orderId: 'string', buyer: 'string', note: 'string', amount: 'double', at: 'timestamp' },
  { key: 'buyer', time: 'at' },
)
const paid = event(
  'paid',
  { orderId: 'string', buyer: 'string', note: 'string', at: 'timestamp' },
  { key: 'buyer', time: 'at' },
)
const copy = event('copy', { buyer: 'string', note: 'string', at: 'timestamp' }, { key: 'buyer', time: 'at' })
const wide = event('wide', { buyer: 'string', amount: 'int', at: 'timestamp' }, { key: 'buyer', time: 'at' })

const failsOn =
  <In extends { readonly note: string }, Out>(note: string, value: (input: In) => Out) =>
  (input: In): Out => {
    if (input.note.includes(note)) throw new TypeError(`cannot read ${note}`)
    return value(input)
  }

const buyer = featureView('buyer', {
  entity: 'buyer',
  owner: 'tests',
  description: 'orders of a buyer',
  features: {
    orders: count(order, { over: forever }),
    amount: sum(order, 'amount', { over: forever }),
  },
})

const failing = topology('failing', {
  events: [order, paid, copy, wide],
  features: [buyer],
  models: [
    model('pays', {
      on: order,
      features: [buyer, request(order, { half: failsOn('request', ({ amount }) => amount / 2) })],
      label: { from: paid, join: 'orderId', value: failsOn('label', () => true), within: hours(1) },
      learner: hashedLogistic({ bits: 6 }),
    }),
  ],
  streams: [
    stream(order)
      .pipe(
        filter('noted', ({ value }) => failsOn('filter', () => true)(value)),
        mapValues('shouted', ({ value }) => failsOn('map', () => value.note.toUpperCase())(value)),
      )
      .to(copy, ({ value, key, timestampMs }) => ({ buyer: String(key), note: value, at: timestampMs })),
    stream(order).to(wide, ({ value, key, timestampMs }) => ({
      buyer: String(key),
      amount: value.amount,
      at: timestampMs,
    })),
  ],
})

const start = 1_700_000_000_000
let engine: Engine

interface Letter {
  readonly topic: string
  readonly offset: number
  readonly reason: string
  readonly detail: string
}

async function all(
  topic: string,
  read: (bytes: Buffer, from: number, to: number) => object,
): Promise<object[]> {
  const found: object[] = []
  const { partitions } = (await engine.log.topics()).find(({ name }) => name === topic)!
  for (let partition = 0; partition < partitions; partition++) {
    const batch = await engine.log.read({ topic, partition, offset: 0n, maxBytes: 1 << 24 })
    for (let index = 0; index < batch.count; index++) {
      found.push(read(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!))
    }
  }
  return found
}

async function letters(): Promise<readonly Letter[]> {
  const bound = engine.assembly.engine.deadLetter
  return (await all(bound.contract.topic, (...at) => bound.readValue(...at))) as Letter[]
}

async function valuesOn(event: string): Promise<readonly Record<string, unknown>[]> {
  const bound = engine.assembly.events.get(event)!
  return (await all(event, (...at) => bound.readValue(...at))) as Record<string, unknown>[]
}

let orders = 0
const orderOf = (note: string, amount = 10) => ({
  orderId: `o${orders}`,
  buyer: 'ann',
  note,
  amount,
  at: start + 1000 * orders++,
})

describe('a function that throws', () => {
  beforeAll(async () => {
    engine = await Engine.open({ topology: failing, now: () => start + 10_000_000 })
    engine.run()
  })
  afterAll(() => engine.close())

  test.each([
    ['in a filter', 'filter'],
    ['in a map', 'map'],
  ])('%s costs its stream the record, and nothing else', async (_, note) => {
    const before = { letters: (await letters()).length, copies: (await valuesOn('copy')).length }
    const { orders: known } = await engine.features('buyer', ['ann'])
    await engine.append('order', [orderOf('one'), orderOf(note), orderOf('two')])
    await engine.caughtUp()
    const found = await letters()
    expect(found.slice(before.letters)).toEqual([
      expect.objectContaining({
        topic: 'order',
        reason: 'function-failed',
        detail: expect.stringMatching(
          new RegExp(
            `threw TypeError: cannot read ${note} \\(at .*failing-functions\\.test\\.ts:\\d+:\\d+\\)`,
          ),
        ),
      }),
    ])
    expect((await valuesOn('copy')).slice(before.copies).map(({ note: each }) => each)).toEqual([
      'ONE',
      'TWO',
    ])
    expect((await engine.features('buyer', ['ann']))['orders']).toBe(Number(known ?? 0) + 3)
  })

  test('in a request feature is told to the caller, and the next request is answered', async () => {
    await expect(engine.predict('pays', orderOf('request'))).rejects.toThrow(
      /model "pays" gave no answer to request "o\d+": a function of the declaration threw TypeError: cannot read request/,
    )
    const answered = await engine.predict('pays', orderOf('fine', 8))
    expect(answered.features['half']).toBe(4)
  })

  test('in a label teaches nothing, and the next label does', async () => {
    const asked = orderOf('fine')
    await engine.predict('pays', asked)
    const label = { orderId: asked.orderId, buyer: 'ann', at: asked.at + 1 }
    const part = engine.model('pays')
    const before = { version: part.version, letters: (await letters()).length }
    await engine.append('paid', [{ ...label, note: 'label' }])
    await engine.caughtUp()
    expect([part.version - before.version, (await letters()).length - before.letters]).toEqual([0, 1])
    await engine.append('paid', [{ ...label, note: 'fine' }])
    await engine.caughtUp()
    expect([part.version - before.version, (await letters()).length - before.letters]).toEqual([1, 1])
  })

  test('whose event does not fit its contract becomes a dead letter too', async () => {
    const before = { letters: (await letters()).length, wide: (await valuesOn('wide')).length }
    await engine.append('order', [orderOf('ok', 1.5), orderOf('ok', 3)])
    await engine.caughtUp()
    const found = (await letters()).slice(before.letters)
    expect(found.map(({ reason }) => reason)).toEqual(['function-failed'])
    expect(found[0]!.detail).toContain('1.5')
    expect((await valuesOn('wide')).slice(before.wide).map(({ amount }) => amount)).toEqual([3])
  })
})
