import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type TrainingSetOptions, trainingSet } from '../../replay/training-set.ts'
import { count, Engine, featureView, minutes } from '../../topology/index.ts'
import { wire } from '../../topology/runtime/wire.ts'
import {
  fillTrainingShop,
  orderCount,
  orders,
  startMs,
  trainingShop,
  visit,
} from '../support/training-shop.ts'

const folder = mkdtempSync(join(tmpdir(), 'headwater-training-'))
const data = join(folder, 'data')
let out = ''
let outs = 0

beforeAll(() => fillTrainingShop(data))
beforeEach(() => {
  out = join(folder, `set-${outs++}.parquet`)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function make(options: Partial<TrainingSetOptions> = {}) {
  const wiring = await wire({ data, now: () => startMs, readOnly: true })
  try {
    const database = await wiring.scratch()
    const report = await trainingSet({ declaration: trainingShop, ...wiring, database, out, ...options })
    if (report.mode !== 'position') throw new Error('these rows come from predictions')
    return report
  } finally {
    await wiring.close()
  }
}

const bytesOf = (path: string) => {
  const bytes = readFileSync(path)
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
}
const rowsOf = (path = out) => parquetReadObjects({ file: bytesOf(path) })

test('every labelled prediction is a row, and none differs from what was served', async () => {
  const report = await make()
  expect(report).toMatchObject({
    rows: orderCount - 10,
    predictions: { predictions: orderCount, compared: orderCount, mismatches: 0, unserved: 0, unmade: 0 },
    labels: { read: orderCount - 8, empty: 0, requests: orderCount - 10 },
    dropped: { unlabelled: 10 },
  })
  expect(await rowsOf()).toHaveLength(orderCount - 10)
})

test('a row holds the features, output, version and position that the engine served', async () => {
  await make({ withUnlabelled: true })
  const rows = await rowsOf()
  expect(rows).toHaveLength(orderCount)
  const engine = await Engine.open({ topology: trainingShop, data })
  try {
    for (const row of rows) {
      const served = await engine.prediction('late', row['requestId'])
      expect({
        output: row['prediction'],
        modelVersion: Number(row['modelVersion']),
        predictedAt: row['eventTime'].getTime(),
        offsets: row['position'].map(Number),
        features: Object.fromEntries(Object.keys(served!.features).map((name) => [name, row[name]])),
      }).toEqual({
        output: served!.output,
        modelVersion: served!.modelVersion,
        predictedAt: served!.predictedAt,
        offsets: Object.values(served!.position.offsets),
        features: served!.features,
      })
    }
  } finally {
    await engine.abort()
  }
})

test('the last label within the time that the model allows counts', async () => {
  const report = await make()
  const rows = new Map((await rowsOf()).map((row) => [row['requestId'], row]))
  expect(rows.get('o0')).toMatchObject({ label: 0, labeledAt: new Date(startMs + 100 * 60_000) })
  expect(rows.get('o1')).toMatchObject({ label: 0, labeledAt: new Date(startMs + 4 * 60_000) })
  expect(rows.get('o3')).toMatchObject({ label: 1 })
  expect(report.predictions).toMatchObject({ correctedLabels: 2, labelsBeforePrediction: 0 })
})

test('columns are typed, and the file says where its rows come from', async () => {
  const report = await make({ rowGroup: 50 })
  const metadata = parquetMetadata(bytesOf(out))
  expect(metadata.row_groups.map(({ num_rows }) => Number(num_rows))).toEqual([50, 50, 10])
  expect(
    metadata.schema.slice(1).map(({ name, type, converted_type }) => [name, converted_type ?? type]),
  ).toEqual([
    ['requestId', 'UTF8'],
    ['buyer', 'UTF8'],
    ['eventTime', 'TIMESTAMP_MILLIS'],
    ['position', 'LIST'],
    ['list', undefined],
    ['element', 'INT64'],
    ['triggerPartition', 'INT64'],
    ['triggerOffset', 'INT64'],
    ['orders10m', 'DOUBLE'],
    ['amount1h', 'DOUBLE'],
    ['lastAmount', 'DOUBLE'],
    ['latePaid', 'DOUBLE'],
    ['amountNow', 'DOUBLE'],
    ['label', 'DOUBLE'],
    ['labeledAt', 'TIMESTAMP_MILLIS'],
    ['prediction', 'DOUBLE'],
    ['modelVersion', 'INT64'],
  ])
  expect(metadata.row_groups[0]!.columns[8]!.meta_data!.statistics!.max_value).toBe(99)
  const told = Object.fromEntries(metadata.key_value_metadata!.map(({ key, value }) => [key, value]))
  expect(told['headwater.snapshot']).toBe(report.provenance.snapshot)
  expect(JSON.parse(told['headwater.provenance']!)).toEqual(JSON.parse(JSON.stringify(report.provenance)))
  expect(JSON.parse(told['headwater.counts']!)).toMatchObject({ rows: orderCount - 10 })
})

test('the same command gives the same bytes, and an earlier horizon the same rows again', async () => {
  const digest = () => createHash('sha256').update(readFileSync(out)).digest('hex')
  const first = await make()
  const before = digest()
  await make()
  expect(digest()).toBe(before)
  const again = await make({ untilCommit: first.provenance.commits })
  expect(digest()).toBe(before)
  expect(again.provenance.snapshot).toBe(first.provenance.snapshot)
  const shorter = await make({ untilCommit: Math.floor(first.provenance.commits / 2) })
  expect(shorter.rows).toBeLessThan(first.rows)
  expect(shorter.provenance.snapshot).not.toBe(first.provenance.snapshot)
})

test('a view of events that nobody read is computed as of each position', async () => {
  const visits = featureView('visits', {
    entity: 'buyer',
    owner: 'tests',
    description: 'came later',
    features: { visits30m: count(visit, { over: minutes(30), hop: 0 }) },
  })
  const report = await make({ features: [visits], withUnlabelled: true })
  expect(report.predictions.mismatches).toBe(0)
  for (const row of await rowsOf()) {
    const at = row['eventTime'].getTime()
    const index = orders.findIndex(({ orderId }) => orderId === row['requestId'])
    const seen = orders
      .slice(0, orderCount)
      .filter(
        (other) => other.buyer === row['buyer'] && other.at - 1 < at && other.at - 1 >= at - minutes(30),
      )
    // Of events out of order only those count that were on the log by then.
    expect(row['visits30m'], `${index}`).toBeLessThanOrEqual(seen.length)
    expect(row['visits30m']).toBeGreaterThan(0)
  }
})

test('text formats hold the same rows, with their provenance beside them', async () => {
  await make()
  const rows = await rowsOf()
  const ndjson = join(folder, 'set.ndjson')
  const { provenance } = await make({ out: ndjson })
  const lines = readFileSync(ndjson, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines.map(({ requestId, amount1h, eventTime }) => [requestId, amount1h, eventTime])).toEqual(
    rows.map((row) => [row['requestId'], row['amount1h'], row['eventTime'].toISOString()]),
  )
  expect(JSON.parse(readFileSync(`${ndjson}.provenance.json`, 'utf8'))['headwater.snapshot']).toBe(
    provenance.snapshot,
  )
  const csv = join(folder, 'set.csv')
  await make({ out: csv })
  const [header, ...records] = readFileSync(csv, 'utf8').trimEnd().split('\n')
  expect(header!.split(',').slice(0, 5)).toEqual([
    'requestId',
    'buyer',
    'eventTime',
    'position',
    'triggerPartition',
  ])
  expect(records.map((record) => record.split(',')[0])).toEqual(rows.map((row) => row['requestId']))
})

test('what a killed run left is swept, and a refusal leaves what was there', async () => {
  writeFileSync(out, 'earlier')
  writeFileSync(`${out}.999999.part`, 'half')
  await expect(make({ fromMs: startMs + 1e12, toMs: startMs + 2e12 })).rejects.toMatchObject({
    code: 'training-set-refused',
  })
  expect(readFileSync(out, 'utf8')).toBe('earlier')
  expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([])
})

test('a place that cannot be written is told, with what to do', async () => {
  await expect(make({ out: join(folder, 'no', 'such', 'set.parquet') })).rejects.toMatchObject({
    code: 'table-unwritable',
  })
  await expect(make({ out: join(folder, 'set.xlsx') })).rejects.toThrow('.parquet, .avro, .csv, .ndjson')
})

test('a split by time leaves the gap out', async () => {
  const at = startMs + 60 * 60_000
  const report = await make({ split: { kind: 'time', at: [at], gapMs: minutes(10) } })
  const rows = await rowsOf()
  const split = (name: string) =>
    rows.filter((row) => row['split'] === name).map((row) => row['eventTime'].getTime())
  expect(Math.max(...split('train'))).toBeLessThan(at - minutes(10))
  expect(Math.min(...split('test'))).toBeGreaterThanOrEqual(at)
  expect(report.dropped.inGap).toBe(orderCount - 10 - rows.length)
  expect(report.dropped.inGap).toBeGreaterThan(0)
})

test('balanced weights give every label the same sum', async () => {
  const report = await make({ classWeights: 'balanced', keep: new Map([[0, 0.5]]), seed: 7 })
  const rows = await rowsOf()
  const sum = (label: number, of: (row: Record<string, unknown>) => number) =>
    rows.filter((row) => row['label'] === label).reduce((total, row) => total + of(row), 0)
  const kept = sum(0, () => 1)
  expect(report.dropped.sampledOut).toBe(orderCount - 10 - rows.length)
  expect(sum(1, (row) => row['weight'] as number)).toBeCloseTo(rows.length / 2)
  expect(sum(0, (row) => row['weight'] as number)).toBeCloseTo(rows.length)
  expect(kept).toBeGreaterThan(10)
})

test('a dry run counts and writes nothing', async () => {
  const before = readdirSync(folder)
  const report = await make({ dryRun: true })
  expect(report).toMatchObject({ path: null, rows: orderCount })
  expect(readdirSync(folder)).toEqual(before)
})
