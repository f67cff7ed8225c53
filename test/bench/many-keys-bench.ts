import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ViewState } from '../../processors/feature/view-state.ts'
import type { Database } from '../../state/store/database.ts'
import type { KeyedStore } from '../../state/store/keyed-store.ts'
import type { PackedKey } from '../../state/store/packed-key.ts'
import { openRocksdbDatabase } from '../../state/store/rocksdb/rocksdb-database.ts'
import { TileStore } from '../../state/store/tile-store.ts'
import { Engine } from '../../topology/index.ts'
import { amountOf, cachedKeys, card, lastMs, manyKeys } from './many-keys-topology.ts'
import { mixedDraws } from './mixed-draws.ts'

/*
 *     npm run bench:many-keys [-- --keys 10000000] [--per-key 1] [--json]
 *
 * State of many more keys than memory holds: loaded from the log by the engine
 * as ever, then read at random, keys that memory lacks with one database read
 * for 1,000 of them, as a batch of records does it. Says what a key costs on
 * disk and in memory. Each part in a process of its own.
 */

interface Loaded {
  readonly events: number
  readonly eventsPerSecond: number
  readonly cpuMicros: number
  readonly residentMiB: number
  readonly logBytes: number
  readonly stateBytes: number
}

interface Asked {
  /** From a new process's first line on, and to the first answer. */
  readonly firstAnswerMs: number
  readonly fromDisk: Rate
  readonly fromFiles: Rate
  readonly fromMemory: Rate
  readonly bytesInMemory: number
  readonly keysInMemory: number
  readonly residentMiB: number
}

interface Rate {
  readonly perSecond: number
  readonly cpuMicros: number
}

const keysPerRead = 1_000
const self = fileURLToPath(import.meta.url)
const tsx = import.meta.resolve('tsx')
const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20)

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) =>
    entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
  )
}

const bytesIn = (folder: string): number =>
  filesIn(folder).reduce((sum, path) => sum + statSync(path).size, 0)

/** The database of the one task. */
function databaseIn(data: string): string {
  const signed = filesIn(join(data, 'state')).find((path) => path.endsWith('CURRENT'))
  if (signed === undefined) throw new Error(`no database in ${data}`)
  return join(signed, '..')
}

async function load(data: string, keys: number, perKey: number): Promise<Loaded> {
  const declaration = manyKeys(keys, perKey)
  const engine = await Engine.open({ topology: declaration, data })
  for (const source of declaration.sources) await engine.importer.run(source.name, source.rows())
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  engine.run()
  await engine.caughtUp()
  const seconds = (performance.now() - startedMs) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  const events = engine.assembly.task.processed
  if (events !== keys * perKey) throw new Error(`${events} events were processed, not ${keys * perKey}`)
  const { rss } = process.memoryUsage()
  await engine.close()
  return {
    events,
    eventsPerSecond: events / seconds,
    cpuMicros: (user + system) / events,
    residentMiB: mebibytes(rss),
    logBytes: bytesIn(join(data, 'log')),
    stateBytes: bytesIn(join(data, 'state')),
  }
}

/** Of GNU coreutils: its `nocache` takes a file out of the operating system's cache. */
const copier = 'dd'

/** False where the tool is not there or knows no `nocache`. */
const dropFromCache = (files: readonly string[]): boolean =>
  files.every((file) => spawnSync(copier, [`if=${file}`, 'iflag=nocache', 'count=0']).status === 0)

/** Seconds and CPU of `count` operations. */
async function rateOf(count: number, work: () => void | Promise<void>): Promise<Rate> {
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  await work()
  const seconds = (performance.now() - startedMs) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  return { perSecond: count / seconds, cpuMicros: (user + system) / count }
}

/** Reads of the view's state as the task does them: what is missing first, with one read. */
class Reader {
  readonly #state: ViewState
  readonly #database: Database
  readonly #perKey: number
  readonly #vector: Float64Array
  readonly #sumAt: number

  constructor(state: ViewState, database: Database, perKey: number) {
    this.#state = state
    this.#database = database
    this.#perKey = perKey
    this.#vector = new Float64Array(state.featureNames.length)
    this.#sumAt = state.featureNames.indexOf('sum30d')
  }

  async batch(keys: readonly number[]): Promise<void> {
    const missing = new Map<KeyedStore, PackedKey[]>()
    this.#state.wantForRead(keys, (store, key) => {
      const wanted = missing.get(store)
      if (wanted) wanted.push(key)
      else missing.set(store, [key])
    })
    for (const [store, wanted] of missing) await store.prefetch(this.#database, wanted)
    for (const key of keys) this.one(key)
    for (const store of this.#state.stores) store.evict()
  }

  one(key: number): void {
    this.#state.readOne(key, lastMs, this.#vector, 0)
    let paid = 0
    for (let round = 0; round < this.#perKey; round++) paid += amountOf(key, round)
    // Unlike the engine's, this sum is rounded.
    if (!(Math.abs(this.#vector[this.#sumAt]! - paid) < 1e-6)) {
      throw new Error(`card ${key} paid ${this.#vector[this.#sumAt]}, not ${paid}`)
    }
  }
}

async function ask(data: string, keys: number, perKey: number): Promise<Asked> {
  const path = databaseIn(data)
  const isDropped = dropFromCache(filesIn(path))
  const startedMs = performance.now()
  const database = await openRocksdbDatabase({ path })
  const state = new ViewState(card)
  for (const store of state.stores) await store.restore(database)
  const reader = new Reader(state, database, perKey)
  const draws = mixedDraws(5)
  const some = (count: number) => Array.from({ length: count }, () => Math.floor(draws() * keys))
  await reader.batch(some(1))
  const firstAnswerMs = performance.now() - startedMs

  const cold = Math.min(keys, 100_000)
  const fromDisk = await rateOf(cold, async () => {
    for (let read = 0; read < cold; read += keysPerRead) await reader.batch(some(keysPerRead))
  })
  for (const file of filesIn(path)) readFileSync(file)
  const fromFiles = await rateOf(cold, async () => {
    for (let read = 0; read < cold; read += keysPerRead) await reader.batch(some(keysPerRead))
  })

  // A memory of its own, filled with as many keys as it may hold.
  const kept = new ViewState(card)
  for (const store of kept.stores) await store.restore(database)
  const keeper = new Reader(kept, database, perKey)
  globalThis.gc?.()
  const before = process.memoryUsage()
  const inMemory = Math.min(keys, cachedKeys)
  for (let from = 0; from < inMemory; from += keysPerRead) {
    await keeper.batch(Array.from({ length: Math.min(keysPerRead, inMemory - from) }, (_, at) => from + at))
  }
  globalThis.gc?.()
  const after = process.memoryUsage()
  const reads = 3_000_000
  const asked = Int32Array.from({ length: reads }, () => Math.floor(draws() * inMemory))
  const fromMemory = await rateOf(reads, () => {
    for (let read = 0; read < reads; read++) keeper.one(asked[read]!)
  })
  const { rss } = process.memoryUsage()
  await database.close()
  return {
    firstAnswerMs,
    fromDisk: isDropped ? fromDisk : { perSecond: Number.NaN, cpuMicros: Number.NaN },
    fromFiles,
    fromMemory,
    bytesInMemory: after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers,
    keysInMemory: Math.max(
      ...kept.stores.filter((store) => store instanceof TileStore).map(({ size }) => size),
    ),
    residentMiB: mebibytes(rss),
  }
}

/** A part in a process of its own: what it says is its last line. */
async function part<Result>(name: string, args: readonly string[]): Promise<Result> {
  const child = spawn(process.execPath, ['--expose-gc', '--import', tsx, self, name, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
  if (status !== 0) throw new Error(`${name} ended with ${status}`)
  return JSON.parse(text.trim().split('\n').at(-1)!) as Result
}

const numberAfter = (option: string, otherwise: number): number => {
  const at = process.argv.indexOf(option)
  return at < 0 ? otherwise : Number(process.argv[at + 1])
}

async function both(): Promise<void> {
  const keys = numberAfter('--keys', 10_000_000)
  const perKey = numberAfter('--per-key', 1)
  const data = mkdtempSync(join(tmpdir(), 'headwater-many-keys-'))
  try {
    const args = [data, String(keys), String(perKey)]
    const loaded = await part<Loaded>('--load', args)
    const asked = await part<Asked>('--ask', args)
    if (process.argv.includes('--json')) {
      console.log(JSON.stringify({ keys, perKey, ...loaded, ...asked }))
      return
    }
    const rate = ({ perSecond, cpuMicros }: Rate) =>
      Number.isNaN(perSecond)
        ? 'not measured: no dd with iflag=nocache'
        : `${Math.round(perSecond).toLocaleString('en')} keys/s, ${cpuMicros.toFixed(2)} µs CPU`
    const rows: readonly (readonly [what: string, figure: string])[] = [
      [
        'loaded from the log',
        `${Math.round(loaded.eventsPerSecond).toLocaleString('en')} events/s, ${loaded.cpuMicros.toFixed(1)} µs CPU`,
      ],
      ['resident at its end', `${loaded.residentMiB} MiB`],
      ['bytes a key on disk, state', (loaded.stateBytes / keys).toFixed(1)],
      ['bytes an event on disk, log', (loaded.logBytes / loaded.events).toFixed(1)],
      ['bytes a key in memory', (asked.bytesInMemory / asked.keysInMemory).toFixed(1)],
      ['keys in memory', asked.keysInMemory.toLocaleString('en')],
      ['opened, to the first answer, nothing cached', `${asked.firstAnswerMs.toFixed(0)} ms`],
      ['read at random, files not in the system’s cache', rate(asked.fromDisk)],
      ['read at random, files in the system’s cache', rate(asked.fromFiles)],
      ['read at random, keys in memory', rate(asked.fromMemory)],
      ['resident at its end', `${asked.residentMiB} MiB`],
    ]
    console.log(`| ${keys.toLocaleString('en')} keys, 8 features each | |\n|---|---|`)
    for (const [what, figure] of rows) console.log(`| ${what} | ${figure} |`)
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
}

const [, , mode, data, keys, perKey] = process.argv
if (mode === '--load') console.log(JSON.stringify(await load(data!, Number(keys), Number(perKey))))
else if (mode === '--ask') console.log(JSON.stringify(await ask(data!, Number(keys), Number(perKey))))
else await both()
