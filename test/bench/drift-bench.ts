import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SeededGenerator } from '../../models/policy/seeded-generator.ts'
import { Outputs } from '../../processors/outputs.ts'
import { drift } from '../../replay/drift.ts'
import { driftHtml } from '../../replay/drift-html.ts'
import { openTable } from '../../replay/table-reader.ts'
import { bindContract } from '../../state/contracts/codec.ts'
import { engineContracts } from '../../state/contracts/engine-contracts.ts'
import { event, hashedRegression, hours, model, request, topology } from '../../topology/index.ts'
import { wire } from '../../topology/runtime/wire.ts'
import { plainLoopMicros } from './yardsticks.ts'

/*
 *     npm run bench:drift [-- flights-3m.parquet] [--rows=300000]
 *
 * Job P10: a drift report with plots, the first half of three million
 * predictions against the second, over six columns. Without the file of
 * flights (Zstandard: Node 22.15 or later) the columns are drawn with a seed, alike in their shape. The log is
 * written first; then a process of its own makes the report, so that its CPU
 * seconds and its memory are those of the report alone.
 */

const columns = ['delay', 'distance', 'hour', 'origin', 'destination', 'weekday'] as const
type Row = readonly [number, number, number, number, number, number]
const rowCount = Number(
  /^--rows=(\d+)$/.exec(process.argv.find((each) => each.startsWith('--rows=')) ?? '')?.[1] ?? 3_000_000,
)
const startMs = 1_000_000_000_000

const flight = event('flight', { id: 'string', x: 'double', at: 'timestamp' }, { key: 'id', time: 'at' })
const landed = event('landed', { id: 'string', y: 'double', at: 'timestamp' }, { key: 'id', time: 'at' })
const read = ({ x }: { readonly x: number }) => x
const flights = topology('flights', {
  events: [flight, landed],
  models: [
    model('late', {
      on: flight,
      features: [
        request(flight, {
          delay: read,
          distance: read,
          hour: read,
          origin: read,
          destination: read,
          weekday: read,
        }),
      ],
      label: { from: landed, join: 'id', value: ({ y }) => y, within: hours(1) },
      learner: hashedRegression({ bits: 4 }),
    }),
  ],
})

async function* rowsOf(path: string | undefined): AsyncGenerator<Row> {
  if (path === undefined) {
    const random = SeededGenerator.of(10)
    for (let index = 0; index < rowCount; index++) {
      const late = index >= rowCount / 2 ? 12 : 0
      yield [
        Math.round(random.normal() * 30 + late),
        50 + random.below(2_500),
        random.below(24),
        random.below(230),
        random.below(230),
        random.below(7),
      ]
    }
    return
  }
  const table = await openTable(path, 'parquet')
  const airports = new Map<string, number>()
  const numberOf = (airport: string) => {
    const known = airports.get(airport)
    if (known === undefined) airports.set(airport, airports.size)
    return known ?? airports.size - 1
  }
  for await (const { count, columns: found } of table.chunks()) {
    const of = (name: string, row: number) => found.get(name)![row]
    for (let row = 0; row < count; row++) {
      const at = new Date(Number(of('date', row)))
      yield [
        Number(of('delay', row)),
        Number(of('distance', row)),
        at.getUTCHours(),
        numberOf(String(of('origin', row))),
        numberOf(String(of('destination', row))),
        at.getUTCDay(),
      ]
    }
  }
}

/** The predictions of a model over the rows, as the engine logs them. */
async function writeLog(data: string, rows: AsyncIterable<Row>): Promise<number> {
  const wiring = await wire({ data, now: () => startMs })
  const contract = engineContracts(flights.name).prediction
  await wiring.log.createTopic({ name: contract.topic, partitions: 1 })
  for (const name of ['label', 'commit', 'taskLayout'] as const) {
    await wiring.log.createTopic({ name: engineContracts(flights.name)[name].topic, partitions: 1 })
  }
  for (const name of ['prediction', 'label'] as const) {
    await bindContract<object>(engineContracts(flights.name)[name] as never, wiring.registry)
  }
  const bound = await bindContract<object>(contract as never, wiring.registry)
  const predict = new Outputs(wiring.writer.sink).emitter(bound as never, 1)
  let index = 0
  for await (const row of rows) {
    const at = startMs + index * 1_000
    predict(
      {
        requestId: `flight-${index}`,
        model: 'late',
        modelVersion: 1,
        variant: 'champion',
        propensity: 1,
        role: 'champion',
        entityKeys: {},
        features: new Uint8Array(Float64Array.from(row).buffer),
        featureSet: '0123456789abcdef',
        output: row[0] / 2 + row[2],
        scores: null,
        position: { task: 'flights-0', offsets: [index, 0] },
        triggerTopic: 'flight',
        triggerPartition: 0,
        triggerOffset: index,
        latencyMicros: null,
        predictedAt: at,
      },
      at,
    )
    if (++index % 4_000 === 0) await (await wiring.writer.commit()).durable
  }
  await (await wiring.writer.commit()).durable
  await wiring.close()
  return index
}

interface Measured {
  readonly cpuSeconds: number
  readonly maxRssMb: number
  readonly plainLoopMicros: number
  readonly subjects: number
  readonly found: number
}

/** Makes the report and says what it cost; beside it the yardstick, in the same process. */
async function measure(data: string, html: string): Promise<Measured> {
  const wiring = await wire({ data, now: () => startMs, readOnly: true })
  const cpu = process.cpuUsage()
  const report = await drift({ declaration: flights, log: wiring.log, registry: wiring.registry })
  writeFileSync(html, driftHtml(report))
  const { user, system } = process.cpuUsage(cpu)
  const { maxRSS } = process.resourceUsage()
  await wiring.close()
  const { subjects } = report.comparisons[0]!
  return {
    cpuSeconds: (user + system) / 1e6,
    maxRssMb: maxRSS / 1_024,
    plainLoopMicros: plainLoopMicros(),
    subjects: subjects.length,
    found: subjects.filter(({ tests }) => tests.some(({ isDrift }) => isDrift)).length,
  }
}

const at = process.argv.indexOf('--measure')
if (at >= 0) {
  process.stdout.write(`${JSON.stringify(await measure(process.argv[at + 1]!, process.argv[at + 2]!))}\n`)
} else {
  const folder = mkdtempSync(join(tmpdir(), 'headwater-drift-bench-'))
  try {
    const data = join(folder, 'data')
    const html = join(folder, 'drift.html')
    const rows = await writeLog(data, rowsOf(process.argv.find((each) => each.endsWith('.parquet'))))
    process.stdout.write(`wrote ${rows} predictions in ${(process.cpuUsage().user / 1e6).toFixed(1)} CPU s\n`)
    const script = fileURLToPath(import.meta.url)
    const runs: Measured[] = []
    for (let run = 0; run < 3; run++) {
      const { stdout, stderr, status } = spawnSync(
        process.execPath,
        ['--import', 'tsx', script, '--measure', data, html],
        { encoding: 'utf8' },
      )
      if (status !== 0) throw new Error(stderr)
      runs.push(JSON.parse(stdout) as Measured)
    }
    const best = runs.sort((one, other) => one.cpuSeconds - other.cpuSeconds)[0]!
    const plots = readFileSync(html, 'utf8').match(/<svg/g)?.length ?? 0
    const micros = (best.cpuSeconds * 1e6) / rows
    process.stdout.write(
      [
        `P10  ${rows} rows x ${columns.length} columns, ${best.subjects} subjects, ${best.found} with drift, ${plots} plots`,
        `     ${best.cpuSeconds.toFixed(2)} CPU s (${runs.map((run) => run.cpuSeconds.toFixed(2)).join(', ')}), ${best.maxRssMb.toFixed(0)} MB resident at most`,
        `     ${micros.toFixed(3)} us a row, ${(micros / best.plainLoopMicros).toFixed(1)} plain loops of ${best.plainLoopMicros.toFixed(3)} us`,
        '',
      ].join('\n'),
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
