import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Declaration } from '../../models/declaration.ts'
import movies from '../../topology/examples/movies/topology.ts'
import { Engine } from '../../topology/index.ts'
import { benchBackfill } from './backfill-bench.ts'
import { fraudTopology } from './fraud-topology.ts'
import { type PeerRun, runPeer } from './peer-program.ts'
import { type StageTime, stageTimes } from './stage-profile.ts'
import { windowQueries } from './window-queries.ts'
import { windowCounts, windowTopology } from './window-topology.ts'
import { fdatasyncTimes, plainLoopMicros, quantile } from './yardsticks.ts'

/*
 *     npm run bench -- [transactions.csv.gz] [--runs N] [--only TEXT] [--stages]
 *
 * The main job and, where the fraud handbook's transactions are given, job
 * P2B (30 windowed features before each of 622,892 transactions, one example
 * event each) and job P2A (nine windows for each of them, one output for each
 * window that a commit touched; the counts are checked), durable, each run in a folder of its own. Beside each run a
 * yardstick of the same run: a bare write and fdatasync of 4 KiB, and a plain
 * loop that folds as many numbers into a Map. Machines differ; ratios less so.
 * P7 (100,000 questions of exact windows and their 300 largest values) stands
 * beside the same by DuckDB and numpy, where their programs can be run.
 * The job "backfill" folds views over a log that was written without them.
 * With --stages one more run of each job, under the profiler, says where the
 * time goes.
 */

interface Row {
  readonly job: string
  readonly eventsPerSecond: number
  readonly cpuMicros: number
  /** CPU of an event in units of the plain loop's. */
  readonly timesPlainLoop: number
  readonly fdatasyncMs: number
}

interface Job {
  readonly name: string
  readonly declare: () => Declaration
  /** How often the task meets an event: once more for each internal topic that it goes through. */
  readonly recordsPerEvent: number
  /** Throws where what came out is not what had to. */
  readonly check?: (engine: Engine, events: number) => Promise<void>
}

/** Works off what a declaration imports, in a folder of its own; `drive` is around the part that is measured. */
async function run(
  { declare, recordsPerEvent, check }: Job,
  drive: (work: () => Promise<void>) => Promise<void>,
) {
  const declaration = declare()
  const data = mkdtempSync(join(tmpdir(), 'headwater-bench-'))
  try {
    const engine = await Engine.open({ topology: declaration, data })
    for (const source of declaration.sources) await engine.importer.run(source.name, source.rows())
    await drive(async () => {
      engine.run()
      await engine.caughtUp()
    })
    const events = engine.assembly.task.processed / recordsPerEvent
    await check?.(engine, events)
    await engine.close()
    return { events, fdatasyncMs: quantile(fdatasyncTimes(data, 50), 0.5) }
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
}

async function measure(job: Job): Promise<Row> {
  let elapsedMs = 0
  let cpu = { user: 0, system: 0 }
  const { events, fdatasyncMs } = await run(job, async (work) => {
    const before = process.cpuUsage()
    const startedMs = performance.now()
    await work()
    elapsedMs = performance.now() - startedMs
    cpu = process.cpuUsage(before)
  })
  const cpuMicros = (cpu.user + cpu.system) / events
  return {
    job: job.name,
    eventsPerSecond: (events / elapsedMs) * 1_000,
    cpuMicros,
    timesPlainLoop: cpuMicros / plainLoopMicros(),
    fdatasyncMs,
  }
}

async function printStages(job: Job): Promise<void> {
  let times: readonly StageTime[] = []
  const { events } = await run(job, async (work) => {
    times = await stageTimes(work)
  })
  process.stdout.write(`\n| ${job.name}: stage | µs an event, main thread |\n|---|---|\n`)
  for (const { stage, ms } of times) {
    const micros = (ms * 1000) / events
    if (micros >= 0.01) process.stdout.write(`| ${stage} | ${micros.toFixed(2)} |\n`)
  }
}

const args = process.argv.slice(2)
const runsAt = args.indexOf('--runs')
const runs = runsAt < 0 ? 3 : Number(args[runsAt + 1])
const path = args.find((each) => each.endsWith('.csv.gz'))
const onlyAt = args.indexOf('--only')
const only = onlyAt < 0 ? '' : (args[onlyAt + 1] ?? '')
const allJobs: readonly Job[] = [
  { name: 'movies', declare: () => movies, recordsPerEvent: 1 },
  ...(path === undefined
    ? []
    : [
        { name: 'P2B fused', declare: () => fraudTopology(path, 'fused'), recordsPerEvent: 1 },
        {
          name: 'P2B through the internal topic',
          declare: () => fraudTopology(path, 'log'),
          recordsPerEvent: 2,
        },
        {
          name: 'P2A fused',
          declare: () => windowTopology(path, 'fused'),
          recordsPerEvent: 1,
          check: checkWindows,
        },
        {
          name: 'P2A through the internal topic',
          declare: () => windowTopology(path, 'log'),
          recordsPerEvent: 2,
          check: checkWindows,
        },
      ]),
]

const jobs = allJobs.filter(({ name }) => name.includes(only))

async function checkWindows(engine: Engine, events: number): Promise<void> {
  const counts = await windowCounts(engine)
  const wrong = Object.entries(counts).filter(([, counted]) => counted !== events)
  if (wrong.length > 0 || Object.keys(counts).length !== 9) {
    throw new Error(`windows of ${events} transactions counted ${JSON.stringify(counts)}`)
  }
}

/** Job P7 beside its peers, in turns; a peer that cannot be run says why. */
function printQueries(): void {
  const rows = new Map<string, { readonly cpu: number[]; readonly seconds: number[] }>()
  const take = (name: string, { cpuSeconds, seconds }: Pick<PeerRun, 'cpuSeconds' | 'seconds'>) => {
    const row = rows.get(name) ?? { cpu: [], seconds: [] }
    row.cpu.push(cpuSeconds)
    row.seconds.push(seconds)
    rows.set(name, row)
  }
  const missing = new Set<string>()
  for (let round = 0; round < runs; round++) {
    const { differing, ...times } = windowQueries()
    if (differing.length > 0) throw new Error(`P7 differs from its checksums: ${differing.join('; ')}`)
    take(round === 0 ? 'headwater, cold' : 'headwater', times)
    for (const peer of ['duckdb-states', 'duckdb-window', 'numpy-states']) {
      const ran = runPeer('p7.py', ['--peer', peer, '--threads', '2'])
      if (typeof ran === 'string') missing.add(`${peer} was ${ran}`)
      else take(`${ran.peer} ${ran.version}`, ran)
    }
  }
  process.stdout.write('\n| P7: 100,000 questions, answers equal | CPU s | s |\n|---|---|---|\n')
  for (const [name, { cpu, seconds }] of rows) {
    process.stdout.write(`| ${name} | ${spread(cpu, 2)} | ${spread(seconds, 2)} |\n`)
  }
  for (const line of missing) process.stdout.write(`\n${line}\n`)
}

const spread = (values: readonly number[], digits: number): string => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted[Math.floor(sorted.length / 2)] ?? 0
  return `${middle.toFixed(digits)} (${sorted[0]?.toFixed(digits)}–${sorted.at(-1)?.toFixed(digits)})`
}
if (jobs.length > 0)
  process.stdout.write(
    '| job | events/s | CPU µs an event | × a plain loop | bare fdatasync, ms |\n|---|---|---|---|---|\n',
  )
for (const job of jobs) {
  const rows: Row[] = []
  for (let count = 0; count < runs; count++) rows.push(await measure(job))
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
  process.stdout.write(`| ${job.name} | ${cells.join(' | ')} |\n`)
}
if (args.includes('--stages')) for (const job of jobs) await printStages(job)
if ('P7'.includes(only)) printQueries()
if ('backfill'.includes(only)) await benchBackfill(runs)
if (path === undefined && jobs.length > 0)
  process.stdout.write('\nP2A and P2B were left out: give the path of transactions.csv.gz\n')
