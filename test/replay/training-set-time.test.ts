import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parquetReadObjects } from 'hyparquet'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type TrainingSetOptions, trainingSet } from '../../replay/training-set.ts'
import type { LabelFile, LabelTopic } from '../../replay/training-set-time-options.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'
import { count, featureView, hours, latest, minutes, sum } from '../../topology/index.ts'
import { wire } from '../../topology/runtime/wire.ts'
import {
  allPaid,
  fillTrainingShop,
  order,
  orderCount,
  orders,
  startMs,
  trainingShop,
} from '../support/training-shop.ts'

const folder = mkdtempSync(join(tmpdir(), 'headwater-training-time-'))
const data = join(folder, 'data')
let out = ''
let outs = 0

beforeAll(() => fillTrainingShop(data))
beforeEach(() => {
  out = join(folder, `set-${outs++}.parquet`)
})
afterEach(() => {
  expect(readdirSync(folder).filter((name) => /\.\d+\./.test(name))).toEqual([])
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function make(labels: LabelFile | LabelTopic, options: Partial<TrainingSetOptions> = {}) {
  const wiring = await wire({ data, now: () => startMs, readOnly: true })
  try {
    const database = await wiring.scratch()
    const report = await trainingSet({
      declaration: trainingShop,
      ...wiring,
      database,
      out,
      labels,
      ...options,
    })
    if (report.mode !== 'time') throw new Error('these rows come from a file')
    return report
  } finally {
    await wiring.close()
  }
}

const rowsOf = (path = out) => {
  const bytes = readFileSync(path)
  return parquetReadObjects({
    file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
  })
}

const file = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

interface Asked {
  readonly buyer: string
  readonly at: number
}

/** Unsorted, with times on the events', between them and on the edges of windows, some asked twice. */
const asked: readonly Asked[] = Array.from({ length: 300 }, (_, index) => ({
  buyer: `b${(index * 3) % 6}`,
  at:
    startMs +
    ((index * 7919) % (orderCount + 20)) * 60_000 +
    [0, 1, -1, 30_000, 59_999][index % 5]! -
    (index % 50 === 0 ? 60_000_000 : 0),
}))

/** The whole log looked through for each row: no tiles, no fold. */
function naive({ buyer, at: q }: Asked) {
  const own = orders.filter((order) => order.buyer === buyer)
  const inHour = own.filter(({ at }) => at >= q - hours(1) && at < q)
  const from = Math.floor((q - minutes(10)) / 60_000) * 60_000
  const latest = own
    .filter(({ at }) => at <= q && at >= q - minutes(30))
    .reduce<{ at: number; amount: number } | null>(
      (best, order) => (best === null || order.at >= best.at ? order : best),
      null,
    )
  return {
    orders10m: own.filter(({ at }) => at >= from && at < q).length,
    amount1h: inHour.length === 0 ? null : inHour.reduce((sum, { amount }) => sum + amount, 0),
    lastAmount: latest?.amount ?? null,
    latePaid: allPaid.filter((paid) => paid.buyer === buyer && paid.late && paid.at < q).length,
  }
}

const csvOf = (rows: readonly Asked[]): string =>
  ['buyer,at,note', ...rows.map(({ buyer, at }, index) => `${buyer},${at},"n, ${index}"`)].join('\n')

test('each row of a file is kept once, in its order, with what a look through the whole log gives', async () => {
  const path = file('asked.csv', csvOf(asked))
  const report = await make({ path, time: 'at' })
  expect(report).toMatchObject({
    rows: asked.length,
    waitMs: minutes(10),
    input: { rows: asked.length, nullKey: 0, nullTime: 0, beforeLog: 6, lateRecords: 1 },
  })
  const rows = await rowsOf()
  expect(rows).toEqual(
    asked.map((row, index) => ({ buyer: row.buyer, at: BigInt(row.at), note: `n, ${index}`, ...naive(row) })),
  )
})

test('the format of the file makes no difference', async () => {
  const wanted = asked.map(naive)
  const pick = async () =>
    (await rowsOf()).map(({ orders10m, amount1h, lastAmount, latePaid }) => ({
      orders10m,
      amount1h,
      lastAmount,
      latePaid,
    }))
  await make({ path: file('asked.csv.gz', gzipSync(csvOf(asked))), time: 'at' })
  expect(await pick()).toEqual(wanted)
  const lines = asked.map(({ buyer, at }) => JSON.stringify({ buyer, at: new Date(at).toISOString() }))
  await make({ path: file('asked.ndjson', lines.join('\n')), time: 'at' })
  expect(await pick()).toEqual(wanted)
  const parquet = parquetWriteBuffer({
    columnData: [
      { name: 'customer', data: asked.map(({ buyer }) => buyer), type: 'STRING' },
      { name: 'when', data: asked.map(({ at }) => new Date(at)), type: 'TIMESTAMP' },
      { name: 'paid', data: asked.map((_, index) => index % 4 === 0), type: 'BOOLEAN' },
    ],
    rowGroupSize: 70,
  })
  const keys = { buyer: 'customer' }
  await make({ path: file('asked.parquet', new Uint8Array(parquet)), time: 'when', keys })
  expect(await pick()).toEqual(wanted)
  const [row] = await rowsOf()
  expect(row).toMatchObject({ customer: 'b0', when: new Date(asked[0]!.at), paid: true })
})

test('rows that do not wait see what had come by then, and it is told', async () => {
  const path = file('asked.csv', csvOf(asked))
  const report = await make({ path, time: 'at', waitMs: 0 })
  expect(report.input.lateRecords).toBeGreaterThan(orderCount / 8)
  const counts = (await rowsOf()).map((row) => row['orders10m'] as number)
  const whole = asked.map((row) => naive(row).orders10m)
  expect(counts.every((count, index) => count <= whole[index]!)).toBe(true)
  expect(counts).not.toEqual(whole)
  const own = file('orders.ndjson', orders.map((row) => JSON.stringify(row)).join('\n'))
  await make({ path: own, time: 'at', waitMs: 0 })
  // Of each five that came together the last two are later than all payments before them.
  const inTime = (await rowsOf()).filter((_, index) => index % 7 !== 6 && index % 5 >= 3)
  expect(inTime.map((row) => row['lastAmount'])).toEqual(inTime.map((row) => Number(row['amount'])))
  await expect(make({ path, time: 'at', waitMs: minutes(11) })).rejects.toThrow('Declare a larger disorder')
})

test('declared events are rows too, as of their time or another field', async () => {
  const report = await make({ event: 'paid', label: 'late' }, { classWeights: new Map([[1, 3]]) })
  expect(report).toMatchObject({ rows: allPaid.length, classes: { 0: 74, 1: 38 } })
  const byOrder = new Map((await rowsOf()).map((row) => [`${row['orderId']} ${row['at'].getTime()}`, row]))
  for (const paid of allPaid) {
    const wanted = { ...naive(paid), late: paid.late, weight: paid.late ? 3 : 1 }
    expect(byOrder.get(`${paid.orderId} ${paid.at}`)).toMatchObject(wanted)
  }
  await expect(make({ event: 'pay' })).rejects.toMatchObject({ code: 'event-unknown' })
})

test('keys that the fold has put out of the memory are fetched for the rows that ask for them', async () => {
  const few = featureView('few', {
    entity: 'orderId',
    owner: 'tests',
    description: 'one order in memory at a time',
    maxKeys: 1,
    features: {
      events: count(order, { over: hours(3), hop: minutes(1) }),
      amounts: sum(order, 'amount', { over: hours(3), hop: 0 }),
      latestAmount: latest(order, 'amount'),
    },
  })
  const lines = orders.map(({ orderId, at }) => JSON.stringify({ orderId, at: at + minutes(45) }))
  const path = file('orders-later.ndjson', lines.join('\n'))
  // A database in memory is fast enough for every checkpoint to be done before the next batch.
  const database = memoryDatabase()
  await make({ path, time: 'at' }, { features: [few], database, task: { checkpointEvents: 3 } })
  expect(
    (await rowsOf()).map(({ events, amounts, latestAmount }) => [events, amounts, latestAmount]),
  ).toEqual(orders.map(({ amount }) => [1, amount, amount]))
})

test('the columns of a model, where the file has the fields of its trigger', async () => {
  const lines = orders.map(({ buyer, amount, at }) => JSON.stringify({ buyer, amount, at }))
  const path = file('triggers.jsonl', lines.join('\n'))
  await make({ path, format: 'ndjson', time: 'at' }, { model: 'late' })
  const rows = await rowsOf()
  expect(rows.map((row) => row['amountNow'])).toEqual(orders.map(({ amount }) => amount))
  expect(rows.map((row) => row['orders10m'])).toEqual(orders.map((row) => naive(row).orders10m))
})

test('bad rows are kept and counted by reason; strict refuses them', async () => {
  const iso = new Date(startMs + minutes(60)).toISOString()
  const later = startMs + hours(24 * 365)
  const lines = [
    'buyer,at',
    `,${iso}`,
    'b1,',
    'b1,soon',
    `b1,${iso.slice(0, -1)}`,
    'b1,1999-01-01',
    `b1,${later}`,
    `who,${iso}`,
  ]
  const path = file('bad.csv', lines.join('\n'))
  const report = await make({ path, time: 'at' })
  expect(report.input).toMatchObject({
    rows: 7,
    nullKey: 1,
    nullTime: 1,
    unreadableTime: 1,
    beforeLog: 1,
    afterLog: 1,
    unknownEntity: 3,
  })
  const rows = await rowsOf()
  expect(rows.map((row) => row['orders10m'])).toEqual([
    0,
    null,
    null,
    naive({ buyer: 'b1', at: startMs + minutes(60) }).orders10m,
    0,
    0,
    0,
  ])
  rmSync(out)
  await expect(make({ path, time: 'at' }, { strict: true })).rejects.toMatchObject({
    code: 'training-set-refused',
    message: expect.stringContaining('1 nullKey, 1 nullTime, 1 unreadableTime'),
  })
  expect(readdirSync(folder)).not.toContain(out)
})

test('seconds taken for milliseconds are named as the likely cause', async () => {
  const path = file('seconds.csv', ['buyer,at', `b1,${startMs / 1000 + 3600}`].join('\n'))
  await expect(make({ path, time: 'at' })).rejects.toThrow('they look like seconds')
  await make({ path, time: 'at', timeUnit: 's' })
  expect(await rowsOf()).toMatchObject([naive({ buyer: 'b1', at: startMs + hours(1) })])
})

test('what a file lacks is told with what it has', async () => {
  const path = file('asked.csv', csvOf(asked))
  await expect(make({ path, time: 'when' })).rejects.toThrow('no column "when"')
  await expect(make({ path, time: 'at', keys: { buyer: 'who' } })).rejects.toThrow('buyer, at, note')
  await expect(make({ path, time: 'at', views: ['none'] })).rejects.toThrow('there is no view "none"')
  await expect(make({ path: join(folder, 'gone.csv'), time: 'at' })).rejects.toMatchObject({
    code: 'table-unreadable',
  })
  const torn = file('torn.csv', 'buyer,at\nb1,1,2\n')
  await expect(make({ path: torn, time: 'at' })).rejects.toThrow('3 fields in record 2')
  const half = file('half.parquet', readFileSync(path).subarray(0, 50))
  await expect(make({ path: half, time: 'at' })).rejects.toMatchObject({ code: 'table-unreadable' })
})

test('the same rows give the same bytes and the same snapshot, other rows another', async () => {
  const path = file('asked.csv', csvOf(asked))
  const digest = () => createHash('sha256').update(readFileSync(out)).digest('hex')
  const shape = {
    split: { kind: 'share', shares: [0.8, 0.2], by: 'group' },
    group: 'buyer',
    seed: 3,
  } as const
  const first = await make({ path, time: 'at' }, shape)
  const before = digest()
  const again = await make({ path, time: 'at' }, shape)
  expect([digest(), again.provenance.snapshot]).toEqual([before, first.provenance.snapshot])
  const splits = new Map<string, Set<string>>()
  for (const row of await rowsOf()) {
    splits.set(row['buyer'], (splits.get(row['buyer']) ?? new Set()).add(row['split']))
  }
  expect([...splits.values()].every(({ size }) => size === 1)).toBe(true)
  const other = await make({ path: file('fewer.csv', csvOf(asked.slice(1))), time: 'at' }, shape)
  expect(other.provenance.snapshot).not.toBe(first.provenance.snapshot)
})
