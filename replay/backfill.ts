import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Declaration } from '../models/declaration.ts'
import type { CommitEvent } from '../processors/task.ts'
import { lastCommit, readLayouts } from '../state/commit/commit-log.ts'
import { type BoundContract, bindContract } from '../state/contracts/codec.ts'
import { engineContracts, type TaskLayoutEvent } from '../state/contracts/engine-contracts.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import { type DurationMs, seconds } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import type { Database } from '../state/store/database.ts'
import { type Assembly, assemble } from './assembly.ts'
import { DeclaredLog } from './backfill-log.ts'
import { addedViews, onlyViews } from './backfill-merge.ts'
import { inputParts } from './backfill-parts.ts'
import { layoutOfDeclaration } from './backfill-swap.ts'

export interface BackfillOptions {
  readonly declaration: Declaration
  /** The log that the live engine writes; it is only read. */
  readonly log: Log
  readonly registry: SchemaRegistry
  /** The shadow: never the live engine's. It goes on from the checkpoint that it holds. */
  readonly database: Database
  /** One of so many parts of a fold of views alone; the others are folded elsewhere. */
  readonly part?: { readonly number: number; readonly of: number }
  /** Ends the fold after the batch in hand; what is folded is kept in a checkpoint. */
  readonly signal?: AbortSignal
  /** Goes on following the live engine's commits until `signal`. */
  readonly follow?: boolean
  /** Events between two checkpoints: what a killed backfill folds again. */
  readonly checkpointEvents?: number
  readonly onProgress?: (progress: BackfillProgress) => void
  /** A clock that only goes forward, ms. */
  readonly elapsedMs: () => number
}

export interface BackfillProgress {
  /** Records folded, those of earlier runs included. */
  readonly records: number
  /** Records behind the last commit. */
  readonly total: number
  /** Of this run. */
  readonly recordsPerSecond: number
  /** At this rate; undefined before there is one. */
  readonly leftMs: DurationMs | undefined
  /** Events too late for every window of their view, in this run. */
  readonly late: number
  /** Records that an operator left out, in this run. */
  readonly dropped: number
  /** Records that went to the dead letters when they were live, in this run. */
  readonly refused: number
}

export interface BackfillReport extends BackfillProgress {
  /** `unchanged`: the live state is a fold of this declaration already. */
  readonly outcome: 'ready' | 'interrupted' | 'unchanged'
  /** Commits of the live engine that the shadow holds. */
  readonly commits: number
  /** Names the declaration that the shadow is for. */
  readonly layout: string
  /** Views that are new, where nothing else is: only they are folded, and put beside the live state. */
  readonly views?: readonly string[]
  /** Records that the live engine never read, of events that are new inputs: it reads them after the swap. */
  readonly unread: number
}

export interface BackfillEstimate {
  readonly records: number
  readonly commits: number
  /** Records that were folded to measure the rate. */
  readonly sampled: number
  readonly recordsPerSecond: number
  readonly estimatedMs: DurationMs
  readonly layout: string
  /** False: the live state is a fold of this declaration already. */
  readonly isNeeded: boolean
  /** Views that are new, where nothing else is: only they would be folded. */
  readonly views?: readonly string[]
  readonly unread: number
}

/** What has to be folded: the views that are new, where they are all that is new, else the whole declaration. */
async function planned({
  declaration,
  log,
  registry,
}: Pick<BackfillOptions, 'declaration' | 'log' | 'registry'>): Promise<{
  readonly declaration: Declaration
  readonly layout: string
  readonly views?: readonly string[]
}> {
  const layout = await layoutOfDeclaration(declaration)
  const own = new DeclaredLog(log)
  const commits = await bindContract(engineContracts(declaration.name).commit, registry)
  await own.createTopic({ name: commits.contract.topic, partitions: 1 })
  const live = (await lastCommit(own, commits as BoundContract<object> as BoundContract<CommitEvent>))?.layout
  const added = live === undefined ? undefined : await addedViews(declaration, live)
  if (added === undefined) return { declaration, layout }
  return { declaration: onlyViews(declaration, added), layout, views: added.map(({ name }) => name) }
}

/** So many commits behind, so many rounds long, it is as near as it comes to an engine that works. */
const fewCommits = 64
const fewRounds = 3

/** Every commit is followed as `recover` follows it; the two differ in where the state goes and in who waits. */
class Shadow {
  readonly assembly: Assembly
  readonly #options: BackfillOptions
  readonly #startedMs: DurationMs
  #before = 0
  #total = 0
  #records = 0
  /** Of the next commit to look at. */
  #commitOffset = 0n

  /** Of the whole declaration, whatever part of it is folded. */
  readonly layout: string
  readonly views: readonly string[] | undefined

  private constructor(
    assembly: Assembly,
    options: BackfillOptions,
    layout: string,
    views: readonly string[] | undefined,
  ) {
    this.layout = layout
    this.views = views
    this.assembly = assembly
    this.#options = options
    this.#startedMs = options.elapsedMs()
  }

  static async open(options: BackfillOptions): Promise<Shadow> {
    const { registry, database, checkpointEvents } = options
    const { declaration, layout, views } = await planned(options)
    const log = new DeclaredLog(options.log)
    const writer = await log.writer('backfill')
    const task = {
      elapsedMs: options.elapsedMs,
      checkpointMs: seconds(5),
      ...(checkpointEvents === undefined ? {} : { checkpointEvents }),
    }
    const { part } = options
    const parts = part && views === undefined ? [] : inputParts(declaration, part?.of ?? 1)
    const reads = part && parts[part.number]
    if (part !== undefined && (reads === undefined || parts.length !== part.of)) {
      throw new RangeError(`part ${part.number} of ${part.of}: there are ${parts.length}`)
    }
    const assembly = await assemble({
      declaration,
      log,
      writer,
      registry,
      database,
      task,
      ...(reads && { reads }),
    })
    return new Shadow(assembly, { ...options, log }, layout, views)
  }

  /** Layout of the live engine's last commit; undefined before its first. */
  async liveLayout(): Promise<string | undefined> {
    return (await this.#lastCommit())?.layout
  }

  async load(): Promise<void> {
    const { task } = this.assembly
    await task.open()
    this.#before = sumOf(task.position.offsets)
    await this.refreshTotal()
  }

  async refreshTotal(): Promise<void> {
    const last = await this.#lastCommit()
    const layouts = await this.#layouts()
    const inputs = last === undefined ? undefined : layouts.get(last.layout)?.inputs
    const ends = this.assembly.task.inputs.map(({ topic, partition }) => {
      const at = inputs?.indexOf(`${topic}[${partition}]`) ?? -1
      return at < 0 ? 0 : last!.offsets[at]!
    })
    this.#total = sumOf(ends)
  }

  /** Follows what is committed and not folded yet. Resolves to false when it was told to stop. */
  async follow(isEnough: () => boolean = () => false): Promise<boolean> {
    const { task } = this.assembly
    const { signal, onProgress } = this.#options
    const layouts = await this.#layouts()
    for await (const commit of this.#commits()) {
      if (signal?.aborted || isEnough()) return false
      // A declaration that went live a moment ago: its layout is read in the next round.
      if (!layouts.has(commit.layout)) return true
      await task.follow(commit, layouts)
      task.checkpointIfDue(Promise.resolve())
      this.#records = task.processed
      onProgress?.(this.progress())
      // A turn of the event loop: for the checkpoint to reach the disk, and for whoever stops this.
      await nextTurn()
    }
    return !signal?.aborted
  }

  /** Commits that are not followed yet. */
  async behind(): Promise<number> {
    const last = await this.#lastCommit()
    return last === undefined ? 0 : Math.max(0, last.sequence + 1 - this.assembly.task.position.sequence)
  }

  get folded(): number {
    return this.#records
  }

  progress(): BackfillProgress {
    const { task, graph, views } = this.assembly
    const elapsedMs = this.#options.elapsedMs() - this.#startedMs
    const recordsPerSecond = elapsedMs > 0 ? (this.#records / elapsedMs) * 1_000 : 0
    const records = this.#before + this.#records
    const left = Math.max(0, this.#total - records)
    return {
      records,
      total: Math.max(this.#total, records),
      recordsPerSecond: Math.round(recordsPerSecond),
      leftMs: recordsPerSecond > 0 ? Math.round((left / recordsPerSecond) * 1_000) : undefined,
      late: [...views.values()]
        .flatMap(({ stores }) => stores)
        .reduce((sum, { expiredEvents }) => sum + expiredEvents, 0),
      dropped: graph.drops.counts().reduce((sum, { count }) => sum + count, 0),
      refused: task.refused,
    }
  }

  /** Commits of the live engine so far. */
  async commits(): Promise<number> {
    const last = await this.#lastCommit()
    return last === undefined ? 0 : last.sequence + 1
  }

  /** Records of inputs that no layout of the live engine has. */
  async unread(): Promise<number> {
    const layouts = [...(await this.#layouts()).values()]
    let records = 0
    for (const { topic, partition } of this.assembly.task.inputs) {
      if (layouts.some(({ inputs }) => inputs.includes(`${topic}[${partition}]`))) continue
      const { start, end } = await this.#options.log.offsets(topic, partition)
      records += Number(end - start)
    }
    return records
  }

  /** What is on the log now and was not followed yet. A commit that is not followed comes again. */
  async *#commits(): AsyncGenerator<CommitEvent> {
    const { task } = this.assembly
    const { topic } = this.#contract.contract
    const { start, end } = await this.#options.log.offsets(topic, 0)
    if (this.#commitOffset < start) this.#commitOffset = start
    while (this.#commitOffset < end) {
      const at = { topic, partition: 0, offset: this.#commitOffset, maxBytes: 1 << 20 }
      const batch = await this.#options.log.read(at)
      for (let index = 0; index < batch.count; index++) {
        const commit = this.#contract.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!)
        if (commit.task === task.id && commit.sequence >= task.position.sequence) yield commit
        this.#commitOffset = batch.baseOffset + BigInt(batch.offsetDeltas[index]!) + 1n
      }
      if (batch.count === 0) return
    }
  }

  get #contract(): BoundContract<CommitEvent> {
    return this.assembly.engine.commit as BoundContract<object> as BoundContract<CommitEvent>
  }

  #layouts(): Promise<ReadonlyMap<string, TaskLayoutEvent>> {
    const { engine, task } = this.assembly
    return readLayouts(this.#options.log, engine.taskLayout as BoundContract<TaskLayoutEvent>, task.id)
  }

  #lastCommit(): Promise<CommitEvent | undefined> {
    return lastCommit(this.#options.log, this.#contract)
  }
}

/** Parts in which a backfill can be folded at once, so many at most: more than one only of views alone. */
export async function backfillParts(
  options: Pick<BackfillOptions, 'declaration' | 'log' | 'registry'>,
  most: number,
): Promise<number> {
  const { declaration, views } = await planned(options)
  return views === undefined ? 1 : inputParts(declaration, most).length
}

/**
 * Folds the log into a shadow while a live engine serves from its own state:
 * the fold that a start with this declaration would make, done beforehand, in
 * the recorded interleaving of the live commits. Where it has caught up, its
 * state is that of the live engine's position, and a start that takes it in
 * place of its own goes on from there without a gap or an overlap. Killed at
 * any moment, it goes on from its last checkpoint.
 */
export async function backfill(options: BackfillOptions): Promise<BackfillReport> {
  const { log, signal, follow = false } = options
  const shadow = await Shadow.open(options)
  const { task } = shadow.assembly
  const { layout, views } = shadow
  const report = async (outcome: BackfillReport['outcome']): Promise<BackfillReport> => {
    const [commits, unread] = [task.position.sequence, await shadow.unread()]
    return {
      outcome,
      ...shadow.progress(),
      commits,
      layout,
      unread,
      ...(views === undefined ? {} : { views }),
    }
  }
  if ((await shadow.liveLayout()) === layout) return report('unchanged')
  await shadow.load()
  let nearRounds = 0
  for (;;) {
    const appended = log.appended(signal ?? new AbortController().signal)
    if (!(await shadow.follow())) break
    const behind = await shadow.behind()
    // An engine that commits all the time is never caught up with: whoever takes this follows the rest.
    const isNear = behind <= fewCommits && ++nearRounds >= fewRounds
    if (!follow && (behind === 0 || isNear)) break
    if (behind > 0) continue
    await task.checkpoint()
    await appended
    await shadow.refreshTotal()
  }
  await task.checkpoint()
  // To have been told to stop is the way to end one that follows.
  return report(follow || !signal?.aborted ? 'ready' : 'interrupted')
}

/** What a backfill would read, and how long it would take at the rate of a sample of it. Keeps nothing. */
export async function estimateBackfill(
  options: BackfillOptions & { readonly sampleMs?: DurationMs },
): Promise<BackfillEstimate> {
  const { elapsedMs, sampleMs = 3_000 } = options
  const shadow = await Shadow.open(options)
  const { layout, views } = shadow
  await shadow.load()
  const { total, records: done } = shadow.progress()
  const startedMs = elapsedMs()
  await shadow.follow(() => elapsedMs() - startedMs >= sampleMs)
  const tookMs = elapsedMs() - startedMs
  const sampled = shadow.folded
  const rate = tookMs > 0 ? sampled / tookMs : 0
  const commits = await shadow.commits()
  return {
    records: total - done,
    commits,
    sampled,
    recordsPerSecond: Math.round(rate * 1_000),
    estimatedMs: rate > 0 ? Math.round((total - done) / rate) : 0,
    layout,
    isNeeded: (await shadow.liveLayout()) !== layout,
    unread: await shadow.unread(),
    ...(views === undefined ? {} : { views }),
  }
}

const sumOf = (numbers: readonly number[]): number => numbers.reduce((sum, each) => sum + each, 0)
