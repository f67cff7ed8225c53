import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startServer } from '../../topology/http/server.ts'
import { Engine } from '../../topology/index.ts'
import payments, { fraud } from './prediction-topology.ts'
import { fdatasyncTimes, quantile } from './yardsticks.ts'

/*
 *     npm run bench:prediction
 *
 * Job P3, one online prediction of 20 windowed features and a logistic score:
 *
 * - features and score alone, from memory, nothing written;
 * - in process, 2,000 requests a second on a clock of their own (a request
 *   that the engine keeps waiting is counted from when it was due), each
 *   answered when its prediction is durable;
 * - over HTTP, 32 connections with one request under way each.
 *
 * Beside them a bare write and fdatasync of 4 KiB, timed before and after.
 */

const history = 200_000
const customers = 5_000
const terminals = 10_000

const data = mkdtempSync(join(tmpdir(), 'headwater-prediction-bench-'))
const engine = await Engine.open({ topology: payments, data })
try {
  await fold()
  const disk = fdatasyncTimes(data, 400)
  const alone = featuresAndScore()
  const inProcess = await askInProcess(2_000, 13)
  const overHttp = await askOverHttp(32, 10)
  disk.push(...fdatasyncTimes(data, 400))
  const syncMs = quantile(disk, 0.99)
  const row = (cells: readonly (string | number)[]) => process.stdout.write(`| ${cells.join(' | ')} |\n`)
  const ms = (value: number) => value.toFixed(2)
  row(['job', 'a second', 'p50 ms', 'p99 ms', 'p99, × that of a bare fdatasync'])
  row(['---', '---', '---', '---', '---'])
  row(['bare write and fdatasync of 4 KiB', '', ms(quantile(disk, 0.5)), ms(syncMs), 1])
  row(['features and score, nothing written', '', alone.p50.toFixed(4), alone.p99.toFixed(4), ''])
  row([
    'in process, durable',
    inProcess.perSecond.toFixed(0),
    ms(inProcess.p50),
    ms(inProcess.p99),
    ms(inProcess.p99 / syncMs),
  ])
  row([
    'HTTP, 32 connections, durable',
    overHttp.perSecond.toFixed(0),
    ms(overHttp.p50),
    ms(overHttp.p99),
    ms(overHttp.p99 / syncMs),
  ])
} finally {
  await engine.close()
  rmSync(data, { recursive: true, force: true })
}

/** Payments of the last day, so that every window has something to show. */
async function fold(): Promise<void> {
  const beginMs = Date.now() - 86_400_000
  for (let from = 0; from < history; from += 5_000) {
    await engine.append(
      'settled',
      Array.from({ length: 5_000 }, (_, index) => ({
        ...paid(from + index),
        at: Math.floor(beginMs + ((from + index) / history) * 86_000_000),
      })),
    )
  }
  engine.run()
  await engine.caughtUp()
  // The engine, when idle, writes what the backlog left behind.
  await new Promise((resolve) => setTimeout(resolve, 4_000))
}

function paid(index: number) {
  return {
    customer: (index * 7_919) % customers,
    terminal: (index * 104_729) % terminals,
    amount: (index % 997) / 7,
  }
}

function asked(index: number, run: string) {
  return { paymentId: `${run}-${index}`, ...paid(index) }
}

/** Each of many timed by itself; the clock's own cost is in it. */
function featuresAndScore() {
  const part = engine.model(fraud.name)
  const features = new Float64Array(part.vector.width)
  const times: number[] = []
  for (let index = 0; index < 120_000; index++) {
    const trigger = { ...asked(index, 'alone'), at: Date.now() }
    const startedNs = process.hrtime.bigint()
    part.vector.read(trigger, trigger.at, features)
    part.score(features)
    if (index >= 20_000) times.push(Number(process.hrtime.bigint() - startedNs) / 1e6)
  }
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}

async function askInProcess(perSecond: number, seconds: number) {
  const times: number[] = []
  const pending: Promise<void>[] = []
  const startedMs = performance.now() + 50
  const total = perSecond * seconds
  const warm = 3 * perSecond
  for (let index = 0; index < total; ) {
    const nowMs = performance.now()
    for (; index < total && startedMs + (index / perSecond) * 1000 <= nowMs; index++) {
      const dueMs = startedMs + (index / perSecond) * 1000
      const isWarm = index >= warm
      const asking = engine.predict(fraud.name, asked(index, 'process')).then(() => {
        if (isWarm) times.push(performance.now() - dueMs)
      })
      pending.push(asking)
    }
    // A timer, not a spin: a caller that spins measures itself.
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(pending)
  return {
    perSecond: total / ((performance.now() - startedMs) / 1000),
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
  }
}

async function askOverHttp(connections: number, seconds: number) {
  const server = await startServer(engine, { port: 0 })
  try {
    const script = fileURLToPath(new URL('./http-load-child.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--import',
      'tsx',
      script,
      new URL(server.url).port,
      String(connections),
      String(seconds),
    ])
    const said = JSON.parse(stdout) as { perSecond: number; refused: number; p50: number; p99: number }
    if (said.refused > 0) throw new Error(`${said.refused} requests were refused`)
    return said
  } finally {
    await server.close()
  }
}
