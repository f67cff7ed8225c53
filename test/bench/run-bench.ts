import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Declaration } from '../../models/declaration.ts'
import movies from '../../topology/examples/movies/topology.ts'
import { Engine } from '../../topology/index.ts'
import { fraudTopology } from './fraud-topology.ts'
import { fdatasyncTimes, plainLoopMicros, quantile } from './yardsticks.ts'

/*
 *     npm run bench -- [transactions.csv.gz] [--runs N]
 *
 * The main job and, where the fraud handbook's transactions are given, job
 * P2B (30 windowed features before each of 622,892 transactions, one example
 * event each), durable, each run in a folder of its own. Beside each run a
 * yardstick of the same run: a bare write and fdatasync of 4 KiB, and a plain
 * loop that folds as many numbers into a Map. Machines differ; ratios less so.
 */

interface Row {
  readonly job: string
  readonly eventsPerSecond: number
  readonly cpuMicros: number
  /** CPU of an event in units of the plain loop's. */
  readonly timesPlainLoop: number
  readonly fdatasyncMs: number
}

async function measure(job: string, declaration: Declaration): Promise<Row> {
  const data = mkdtempSync(join(tmpdir(), 'headwater-bench-'))
  try {
    const engine = await Engine.open({ topology: declaration, data })
    for (const source of declaration.sources) await engine.importer.run(source.name, source.rows())
    const cpu = process.cpuUsage()
    const startedMs = performance.now()
    engine.run()
    await engine.caughtUp()
    const elapsedMs = performance.now() - startedMs
    const { user, system } = process.cpuUsage(cpu)
    const events = engine.assembly.task.processed
    await engine.close()
    const cpuMicros = (user + system) / events
    return {
      job,
      eventsPerSecond: (events / elapsedMs) * 1_000,
      cpuMicros,
      timesPlainLoop: cpuMicros / plainLoopMicros(),
      fdatasyncMs: quantile(fdatasyncTimes(data, 50), 0.5),
    }
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
}

const args = process.argv.slice(2)
const runsAt = args.indexOf('--runs')
const runs = runsAt < 0 ? 3 : Number(args[runsAt + 1])
const path = args.find((each) => each.endsWith('.csv.gz'))
const jobs: readonly (readonly [string, () => Declaration])[] = [
  ['movies', () => movies],
  ...(path === undefined
    ? []
    : ([
        ['P2B fused', () => fraudTopology(path, 'fused')],
        ['P2B through the internal topic', () => fraudTopology(path, 'log')],
      ] as const)),
]
const spread = (values: readonly number[], digits: number): string => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted[Math.floor(sorted.length / 2)] ?? 0
  return `${middle.toFixed(digits)} (${sorted[0]?.toFixed(digits)}–${sorted.at(-1)?.toFixed(digits)})`
}
process.stdout.write(
  '| job | records/s | CPU µs a record | × a plain loop | bare fdatasync, ms |\n|---|---|---|---|---|\n',
)
for (const [job, declare] of jobs) {
  const rows: Row[] = []
  for (let run = 0; run < runs; run++) rows.push(await measure(job, declare()))
  const cells = [
    spread(
      rows.map((row) => row.eventsPerSecond),
      0,
    ),
    spread(
      rows.map((row) => row.cpuMicros),
      1,
    ),
    spread(
      rows.map((row) => row.timesPlainLoop),
      0,
    ),
    spread(
      rows.map((row) => row.fdatasyncMs),
      2,
    ),
  ]
  process.stdout.write(`| ${job} | ${cells.join(' | ')} |\n`)
}
if (path === undefined) process.stdout.write('\nP2B was left out: give the path of transactions.csv.gz\n')
