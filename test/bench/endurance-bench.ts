import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Engine } from '../../topology/index.ts'
import { endurance } from './endurance-topology.ts'

/*
 *     npm run bench:endurance
 *
 * Memory: an application over a log of 4,000,000 events of a population that
 * does not grow, with its memory tenth by tenth; its longest window is full
 * after the first.
 * Restart: the main job killed with -9 in the middle of its backlog, then the
 * time from the start of a new process to its first answer over HTTP, beside
 * that of a process that only loads the same modules.
 */

/** Of everything that is written; the parent removes it. */
let root = ''
const self = fileURLToPath(import.meta.url)
const cli = fileURLToPath(new URL('../../topology/cli/headwater.ts', import.meta.url))
const tsx = import.meta.resolve('tsx')

const node = (args: readonly string[]): ChildProcess =>
  spawn(process.execPath, ['--import', tsx, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })

const textOf = async (child: ChildProcess): Promise<string> => {
  let text = ''
  child.stdout!.on('data', (chunk) => {
    text += chunk
  })
  child.stderr!.pipe(process.stderr)
  await new Promise((resolve) => child.on('close', resolve))
  return text
}

function bytesIn(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).reduce(
    (sum, entry) => sum + (entry.isFile() ? statSync(join(entry.parentPath, entry.name)).size : 0),
    0,
  )
}

interface MemoryRow {
  /** Of the log, in tenths. */
  readonly tenth: number
  readonly events: number
  /** Median of the samples taken while this tenth was processed. */
  readonly residentMiB: number
  readonly heapMiB: number
  readonly arraysMiB: number
}

const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20)

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** In a child process: runs the application over so many payments and samples its memory on the way. */
async function endure(payments: number, data: string): Promise<readonly MemoryRow[]> {
  const declaration = endurance(payments)
  const engine = await Engine.open({ topology: declaration, data })
  for (const source of declaration.sources) await engine.importer.run(source.name, source.rows())
  const { task } = engine.assembly
  const total = (await engine.inputs()).reduce((sum, { lag }) => sum + lag, 0)
  const samples = Array.from({ length: 10 }, () => [] as NodeJS.MemoryUsage[])
  const timer = setInterval(() => {
    samples[Math.floor((task.processed / total) * 10)]?.push(process.memoryUsage())
  }, 50)
  engine.run()
  await engine.caughtUp()
  clearInterval(timer)
  await engine.close()
  return samples.map((taken, index) => ({
    tenth: index + 1,
    events: Math.round((total * (index + 1)) / 10),
    residentMiB: mebibytes(median(taken.map(({ rss }) => rss))),
    heapMiB: mebibytes(median(taken.map(({ heapUsed }) => heapUsed))),
    arraysMiB: mebibytes(median(taken.map(({ arrayBuffers }) => arrayBuffers))),
  }))
}

async function memory(): Promise<void> {
  const data = join(root, 'memory')
  const rows = JSON.parse(await textOf(node([self, '--endure', '2000000', data]))) as MemoryRow[]
  console.log('| events processed | resident, MiB | heap in use, MiB | arrays, MiB |')
  console.log('|---|---|---|---|')
  for (const { events, residentMiB, heapMiB, arraysMiB } of rows) {
    console.log(`| ${events.toLocaleString('en')} | ${residentMiB} | ${heapMiB} | ${arraysMiB} |`)
  }
  const [, second] = rows
  const last = rows.at(-1)!
  console.log(
    `\nresident in the last tenth: ${(last.residentMiB / second!.residentMiB).toFixed(2)} x that of the second; the log has ${mebibytes(bytesIn(join(data, 'log')))} MiB, the state ${mebibytes(bytesIn(join(data, 'state')))} MiB\n`,
  )
}

const running = (data: string): { readonly child: ChildProcess; readonly url: Promise<string> } => {
  const child = node([cli, 'start', '--data', data, '--port', '0'])
  const url = new Promise<string>((resolve, reject) => {
    let errors = ''
    child.stderr!.on('data', (chunk) => {
      errors += chunk
      const found = /answering on (http\S+)/.exec(errors)
      if (found) resolve(found[1]!)
    })
    child.on('close', () => reject(new Error(`it ended: ${errors}`)))
  })
  url.catch(() => {})
  return { child, url }
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function lagOf(url: string): Promise<number> {
  const inputs = (await (await fetch(`${url}/v1/lag`)).json()) as readonly { readonly lagRecords: number }[]
  return inputs.reduce((sum, { lagRecords }) => sum + lagRecords, 0)
}

async function ask(url: string): Promise<void> {
  const response = await fetch(`${url}/v1/models/likes/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ userId: 599, movieId: 296, genres: ['Comedy', 'Crime'], decade: 1990 }),
  })
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`)
}

async function restart(): Promise<void> {
  const times: number[] = []
  const bare: number[] = []
  const lags: number[] = []
  for (let round = 0; round < 3; round++) {
    const data = join(root, `restart-${round}`)
    const first = running(data)
    const url = await first.url
    // All events are on the log, and a quarter to a half of them is not processed.
    let lag = 0
    do {
      await wait(20)
      lag = await lagOf(url)
    } while (lag < 100_000)
    while (lag > 90_000) {
      await wait(5)
      lag = await lagOf(url)
    }
    first.child.kill('SIGKILL')
    await new Promise((resolve) => first.child.on('close', resolve))

    let startedMs = performance.now()
    const second = running(data)
    await ask(await second.url)
    times.push(performance.now() - startedMs)
    lags.push(await lagOf(await second.url))
    second.child.kill('SIGKILL')
    await new Promise((resolve) => second.child.on('close', resolve))

    startedMs = performance.now()
    await textOf(node([cli, '--version']))
    bare.push(performance.now() - startedMs)
  }
  const spread = (values: readonly number[]) => {
    const sorted = [...values].sort((a, b) => a - b)
    return `${Math.round(sorted[1]!)} (${Math.round(sorted[0]!)}-${Math.round(sorted[2]!)})`
  }
  console.log('| killed with -9 in its backlog | ms, median (least-greatest) of 3 |')
  console.log('|---|---|')
  console.log(`| from a new process to its first answer over HTTP | ${spread(times)} |`)
  console.log(`| a process that loads the same modules and ends | ${spread(bare)} |`)
  console.log(`\nevents that still waited at the answer: ${spread(lags)}`)
}

const [, , mode, payments, data] = process.argv
if (mode === '--endure') {
  console.log(JSON.stringify(await endure(Number(payments), data!)))
} else {
  root = mkdtempSync(join(tmpdir(), 'headwater-endurance-'))
  try {
    await memory()
    await restart()
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
