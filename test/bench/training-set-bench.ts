import { createReadStream, createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { TopicTable } from '../../replay/table-reader-topic.ts'
import {
  count,
  csvRows,
  days,
  Engine,
  event,
  featureView,
  forever,
  last,
  max,
  mean,
  type SourceRow,
  sum,
  timeSinceLast,
  topology,
  trainingSet,
} from '../../topology/index.ts'
import { wire } from '../../topology/runtime/wire.ts'
import { plainLoopMicros } from './yardsticks.ts'

/*
 *     npm run bench:training-set -- transactions.csv.gz
 *
 * Job P6: a training set of the fraud handbook's 622,892 transactions, each a
 * label with 20 features as of its time, windows exact to the millisecond,
 * from the log to Parquet. The columns are held against checksums that DuckDB
 * and polars agree on.
 */

const path = process.argv.find((each) => each.endsWith('.csv.gz'))
if (path === undefined) throw new Error('give the path of the fraud handbook transactions.csv.gz')

/** Rows with a value and their sum, by column: those of DuckDB 2.0.0, whose window form and ours are different programs. */
const expected: Readonly<Record<string, readonly [rows: number, sum: number]>> = {
  cCount1d: [622_892, 1_584_696],
  cSum1d: [622_892, 85_084_968.87],
  cMean1d: [544_161, 29_173_683.34],
  cMax1d: [544_161, 38_632_957.47],
  cCount7d: [622_892, 10_595_052],
  cSum7d: [622_892, 568_533_021.32],
  cMean7d: [616_575, 33_060_111.26],
  cMax7d: [616_575, 60_826_294.8],
  cCount30d: [622_892, 36_898_233],
  cSum30d: [622_892, 1_980_068_000.85],
  cMean30d: [617_899, 33_152_359.89],
  cMax30d: [617_899, 70_371_375.43],
  tCount1d: [622_892, 617_176],
  tMean1d: [386_353, 20_710_269.36],
  tCount7d: [622_892, 4_123_082],
  tMean7d: [611_779, 32_789_609.03],
  tCount30d: [622_892, 14_366_455],
  tMean30d: [612_892, 32_878_880.67],
  cLastAmount: [617_925, 33_132_802.93],
  cSinceLast: [617_925, 26_774_421_953_000],
}

const transaction = event(
  'transaction',
  { id: 'int', customer: 'int', terminal: 'int', amount: 'double', at: 'timestamp' },
  { key: 'customer', time: 'at' },
)
const exact = (length: number) => ({ over: days(length), hop: 0 })
const customer = featureView('customer', {
  entity: 'customer',
  owner: 'bench',
  description: 'What a customer spent',
  features: {
    ...Object.fromEntries(
      [1, 7, 30].flatMap((length) => [
        [`cCount${length}d`, count(transaction, exact(length))],
        [`cSum${length}d`, sum(transaction, 'amount', { ...exact(length), default: 0 })],
        [`cMean${length}d`, mean(transaction, 'amount', exact(length))],
        [`cMax${length}d`, max(transaction, 'amount', exact(length))],
      ]),
    ),
    // Windows end before the row's own time; a lookup would see the row's own transaction.
    cLastAmount: last(transaction, 'amount', { over: forever }),
    cSinceLast: timeSinceLast(transaction, { over: forever }),
  },
})
const terminal = featureView('terminal', {
  entity: 'terminal',
  owner: 'bench',
  description: 'What a terminal took',
  features: Object.fromEntries(
    [1, 7, 30].flatMap((length) => [
      [`tCount${length}d`, count(transaction, exact(length))],
      [`tMean${length}d`, mean(transaction, 'amount', exact(length))],
    ]),
  ),
})
const declaration = topology('training-set-bench', {
  events: [transaction],
  features: [customer, terminal],
  sources: [{ name: 'transactions', rows: () => transactions(path) }],
})

async function* transactions(file: string): AsyncGenerator<SourceRow> {
  let isHeader = true
  for await (const [id = '', at = '', by = '', where = '', amount = ''] of csvRows(file)) {
    if (!isHeader) {
      const times = { at: Date.parse(`${at.replace(' ', 'T')}Z`) }
      yield [
        [
          'transaction',
          { id: Number(id), customer: Number(by), terminal: Number(where), amount: Number(amount), ...times },
        ],
      ]
    }
    isHeader = false
  }
}

/** The file as it is, its times in ISO 8601 with a zone: without one they would be ambiguous, and are refused. */
async function labelFile(folder: string): Promise<string> {
  const labels = join(folder, 'labels.csv')
  const zoned = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      done(null, chunk.toString('latin1').replace(/(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)/g, '$1T$2Z'))
    },
  })
  // A time may lie across two chunks, so whole lines are needed: the file is small enough for one chunk.
  await pipeline(
    createReadStream(path!),
    createGunzip({ chunkSize: 256 << 20 }),
    zoned,
    createWriteStream(labels),
  )
  return labels
}

const root = mkdtempSync(join(tmpdir(), 'headwater-training-set-bench-'))
try {
  const data = join(root, 'data')
  const engine = await Engine.open({ topology: declaration, data })
  for (const source of declaration.sources) await engine.importer.run(source.name, source.rows())
  await engine.close()
  const labels = await labelFile(root)

  const readingSeconds = await readLog(data)
  const out = join(root, 'train.parquet')
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  const report = await trainingSet({
    topology: declaration,
    data,
    labels: {
      path: labels,
      time: 'TX_DATETIME',
      keys: { customer: 'CUSTOMER_ID', terminal: 'TERMINAL_ID' },
      label: 'TX_FRAUD',
    },
    out,
  })
  const seconds = (performance.now() - startedMs) / 1_000
  const { user, system } = process.cpuUsage(cpu)

  const wrong = await differing(out)
  if (wrong.length > 0) throw new Error(`columns differ from their checksums: ${wrong.join(', ')}`)
  const micros = (user + system) / report.rows
  console.log(
    '| training set | rows | s | CPU s | of it reading the log | CPU µs a row | × a plain loop | MB |',
  )
  console.log('|---|---|---|---|---|---|---|---|')
  console.log(
    `| 20 exact features, text in, Parquet out | ${report.rows} | ${seconds.toFixed(1)} | ${((user + system) / 1e6).toFixed(1)} | ${readingSeconds.toFixed(1)} | ${micros.toFixed(1)} | ${(micros / plainLoopMicros()).toFixed(0)} | ${(statSync(out).size / 1e6).toFixed(0)} |`,
  )
  console.log(`\n${Object.keys(expected).length} columns equal to their checksums`)
} finally {
  rmSync(root, { recursive: true, force: true })
}

/** CPU seconds of reading and decoding every event once, as the fold does too. */
async function readLog(data: string): Promise<number> {
  const { log, registry, close } = await wire({ data, app: declaration.name, now: Date.now, readOnly: true })
  const cpu = process.cpuUsage()
  let rows = 0
  const events = await TopicTable.open(declaration, transaction.name, log, registry)
  for await (const { count } of events.chunks({ names: [] })) rows += count
  const { user, system } = process.cpuUsage(cpu)
  await close()
  if (rows !== expected['cCount1d']![0]) throw new Error(`the log has ${rows} events`)
  return (user + system) / 1e6
}

/** The columns whose values are not the expected ones. */
async function differing(parquet: string): Promise<readonly string[]> {
  const file = await asyncBufferFromFile(parquet)
  const names = Object.keys(expected)
  const rows = new Map(names.map((name) => [name, 0]))
  const sums = new Map(names.map((name) => [name, 0]))
  const step = 50_000
  for (let from = 0; ; from += step) {
    const part = await parquetReadObjects({ file, columns: names, rowStart: from, rowEnd: from + step })
    for (const row of part) {
      for (const name of names) {
        const value = row[name] as number | null
        if (value === null) continue
        rows.set(name, rows.get(name)! + 1)
        sums.set(name, sums.get(name)! + value)
      }
    }
    if (part.length < step) break
  }
  return names.filter((name) => {
    const [count, total] = expected[name]!
    return rows.get(name) !== count || Math.abs(sums.get(name)! - total) > 1e-8 * total
  })
}
