import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setInterval } from 'node:timers'
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'
import { days, Engine } from '../../topology/index.ts'
import { cancelBackfill, type FolderBackfillReport } from '../../topology/runtime/folder-replay.ts'

/*
 * The taxi example, its slice twenty times over, written to the log by the
 * running example; then two views that it was written without, folded by one
 * process and by two, and the whole topology, as a changed expectation asks
 * for it. Rates of a backfill are those of its fold; the seconds beside them
 * have the start of the processes in them.
 */

const copies = 20
const wider = fileURLToPath(new URL('backfill-topology.ts', import.meta.url))
const changed = fileURLToPath(new URL('backfill-whole-topology.ts', import.meta.url))
const command = fileURLToPath(new URL('../../topology/cli/headwater.ts', import.meta.url))
const slice = fileURLToPath(new URL('../../topology/examples/taxi/data/trips.csv.gz', import.meta.url))

/** Each copy a year after the one before. */
function copiedTrips(): string {
  const [header = '', ...rows] = gunzipSync(readFileSync(slice)).toString('utf8').trim().split('\n')
  const later = (text: string, shiftMs: number) =>
    new Date(Date.parse(`${text.replace(' ', 'T')}Z`) + shiftMs).toISOString().slice(0, 19).replace('T', ' ')
  const lines = [header]
  for (let copy = 0; copy < copies; copy++) {
    const shiftMs = copy * days(9 * 365 + 100)
    for (const row of rows) {
      const [pickedUp = '', droppedOff = '', ...rest] = row.split(',')
      lines.push([later(pickedUp, shiftMs), later(droppedOff, shiftMs), ...rest].join(','))
    }
  }
  return `${lines.join('\n')}\n`
}

interface BackfillRow {
  readonly what: string
  readonly rate: number
  readonly seconds: number
  readonly residentMiB: number
}

/** Of a process, while it is there; 0 where the system does not tell. */
function mostResidentMiB(pid: number): number {
  try {
    const kib = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0'
    return Number(kib) / 1_024
  } catch {
    return 0
  }
}

/** By the command, in processes that begin cold. */
async function backfilled(data: string, module: string, threads: number): Promise<Omit<BackfillRow, 'what'>> {
  const startedMs = performance.now()
  const args = ['--data', data, '--topology', module, '--threads', String(threads), '--json']
  const child = spawn(process.execPath, [...process.execArgv, command, 'replay', 'backfill', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
  })
  let most = 0
  const look = setInterval(() => {
    most = Math.max(most, mostResidentMiB(child.pid!))
  }, 50)
  await once(child, 'close')
  clearInterval(look)
  const seconds = (performance.now() - startedMs) / 1_000
  const report = JSON.parse(out) as FolderBackfillReport
  if (report.outcome !== 'ready' || report.records !== report.total) throw new Error(out)
  await cancelBackfill(data)
  return { rate: report.recordsPerSecond, seconds, residentMiB: most }
}

/** Prints the rate at which the log was written, and those of its backfills as multiples of it. */
export async function benchBackfill(runs: number): Promise<void> {
  const data = mkdtempSync(join(tmpdir(), 'headwater-bench-'))
  const trips = join(data, 'trips.csv.gz')
  writeFileSync(trips, gzipSync(copiedTrips()))
  process.env['TAXI_TRIPS'] = trips
  try {
    const { default: taxi } = await import('../../topology/examples/taxi/topology.ts')
    const now = () => Date.now() + days(365 * 300)
    const engine = await Engine.open({ topology: taxi, data, now })
    for (const source of taxi.sources) await engine.importer.run(source.name, source.rows())
    const startedMs = performance.now()
    engine.run()
    await engine.caughtUp()
    const { processed } = engine.assembly.task
    const live = processed / ((performance.now() - startedMs) / 1_000)
    await engine.close()
    const whole = (rate: number) => Math.round(rate).toLocaleString('en')
    process.stdout.write(
      `\n| taxi, ${whole(processed)} events | events/s | of the live rate | s with the start | MiB |\n|---|---|---|---|---|\n`,
    )
    process.stdout.write(`| live, with predictions and lessons | ${whole(live)} | 1 | | |\n`)
    const rates = new Map<number, number[]>([
      [1, []],
      [2, []],
    ])
    const row = ({ what, rate, seconds, residentMiB: mebibytes }: BackfillRow) =>
      process.stdout.write(
        `| ${what} | ${whole(rate)} | ${(rate / live).toFixed(1)} | ${seconds.toFixed(1)} | ${Math.round(mebibytes)} |\n`,
      )
    for (let round = 0; round < runs; round++) {
      for (const threads of [1, 2]) {
        const found = await backfilled(data, wider, threads)
        rates.get(threads)!.push(found.rate)
        row({ what: `two new views, ${threads} ${threads === 1 ? 'process' : 'processes'}`, ...found })
      }
    }
    row({ what: 'the whole topology, 1 process', ...(await backfilled(data, changed, 1)) })
    const best = (threads: number) => Math.max(...rates.get(threads)!)
    process.stdout.write(`\nfrom 1 process to 2: ${(best(2) / best(1)).toFixed(2)} x\n`)
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
}
