import type { Changelog } from '../state/commit/changelog.ts'
import {
  type Checkpoint,
  collectCheckpoint,
  dropCheckpoint,
  readCheckpoint,
} from '../state/commit/checkpoint.ts'
import type { CommitStep, TaskPosition } from '../state/commit/commit-protocol.ts'
import type { DurationMs, TimestampMs } from '../state/contracts/units.ts'
import type { CommitTicket, ConsumedPosition, Log, LogWriter } from '../state/log/log.ts'
import type { Database, DatabaseWrite } from '../state/store/database.ts'
import type { StateStore } from '../state/store/state-store.ts'
import { mergeHeads } from './merge-heads.ts'
import type { Emit, Outputs } from './outputs.ts'
import { type RefusedRecord, type TaskInput, TaskRecord } from './task-input.ts'

/** What a task drives: the graph of one topology, or a part of it. */
export interface TaskGraph {
  readonly stores: readonly StateStore[]
  /** Loads what the batch needs and the memory lacks; absent keys are few or none when everything is resident. */
  prefetch(records: readonly (TaskRecord | RefusedRecord)[], database: Database): Promise<void>
  /** Pushes one record through, synchronously. */
  process(record: TaskRecord): void
  /** Answers a request ahead of its turn. */
  answer(record: TaskRecord): void
  /** Greatest event time processed; set when a checkpoint is loaded. */
  streamTimeMs: TimestampMs
  /** Called behind the last record of a batch, before it is committed. */
  endBatch(): void
  /** Lets stores shrink to their bounds; between batches, once a checkpoint holds everything. */
  evict(): void
}

/** A batch's own record on the log: what it consumed. */
export interface CommitEvent {
  readonly task: string
  readonly sequence: number
  readonly offsets: readonly number[]
  readonly count: number
  readonly layout: string
  readonly answered: readonly RequestPlace[]
  readonly at: TimestampMs
}

/** Where a request lies on the log. */
export interface RequestPlace {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** How the offsets of a task's commits are to be read: the inputs, in order, under a name of their own. */
export interface TaskLayout {
  readonly layout: string
  /** `topic[partition]` of each. */
  readonly inputs: readonly string[]
}

/** Says how far in event time a task may go for now, since others may still write earlier records to its inputs. */
export interface InputGate {
  /**
   * Called when the inputs were filled, and may fill those that have nothing
   * further. Records later than the answer stay where they are.
   */
  openUntil(
    task: Pick<Task, 'inputs' | 'processed' | 'batchRecords'>,
    streamTimeMs: TimestampMs,
  ): Promise<TimestampMs>
}

export interface TaskSpec {
  readonly id: string
  /** Names inputs, stores and learners: what the state is a fold of. */
  readonly layout: string
  /** Where other tasks write some of the inputs, or the same outputs. */
  readonly gate?: InputGate
  /** Others wait for this task's records: it says when it has no more, by a commit without any. */
  readonly tellsWhenIdle?: boolean
  /** In rank order; their order is the order of a position's offsets. */
  readonly inputs: readonly TaskInput[]
  /** One place for each input; the task keeps there where the record in hand stands, for predictions to carry. */
  readonly offsets: number[]
  readonly graph: TaskGraph
  readonly log: Log
  readonly writer: LogWriter
  readonly database: Database
  /** Keeps the checkpoints on the log too, where the log is not on this machine. */
  readonly changelog?: Changelog
  readonly outputs: Outputs
  readonly emitCommit: Emit
  readonly emitLayout: Emit
  /** Where the predictions' partitions end: those of a layout are behind where it was put on the log. */
  readonly predictionEnds?: () => Promise<readonly number[]>
  readonly emitDeadLetter: (refused: RefusedRecord) => void
  readonly options?: TaskOptions
  /** Called on both sides of each step of the commit; for metrics and for crash tests. */
  readonly onStep?: (step: CommitStep, sequence: number) => void
}

export interface TaskOptions {
  /** Most records in one batch. */
  readonly batchRecords?: number
  /** A checkpoint is due after this many events; the gap is what a restart processes again. */
  readonly checkpointEvents?: number
  /** Also due when events since the last took this long to process, so that a restart does not take much longer. Needs `elapsedMs`. */
  readonly checkpointMs?: DurationMs
  /** A clock that only goes forward, ms. */
  readonly elapsedMs?: () => number
  /** Also due when this much state has changed. */
  readonly checkpointBytes?: number
  /** Commits that may wait for the disk before processing waits too. */
  readonly maxUnsyncedCommits?: number
}

const defaults: Required<TaskOptions> = {
  batchRecords: 1000,
  checkpointEvents: 100_000,
  checkpointMs: 700,
  elapsedMs: () => 0,
  checkpointBytes: 256 << 20,
  maxUnsyncedCommits: 16,
}

/** A batch of so few, with no more behind it, was not taken from a backlog. */
const fewRecords = 64
/** Changes of one store that are made ready after a small batch: more than such a batch makes. */
const earlyChanges = 128
/** They are kept in memory, the same key again and again. */
const mostEarlyChanges = 2_000

/**
 * One unit of work: the partitions it owns, their state and their outputs,
 * moved together. The live runner, the replay, the backfill, the audit and
 * the test kit all call `step` or `follow`; there is no second way to process
 * a record.
 */
export class Task {
  readonly id: string
  readonly inputs: readonly TaskInput[]
  /** Records processed since the start, refused ones included. */
  processed = 0
  refused = 0
  /** Where the record that is being processed stands: the offsets before it. */
  readonly offsets: number[]

  readonly #spec: TaskSpec
  readonly #options: Required<TaskOptions>
  #sequence = 0
  /** Layout of the last commit. */
  #layout = ''
  #sinceCheckpoint = 0
  /** Time that these took. */
  #processingMs = 0
  /** A checkpoint was written since stores last shrank. */
  #mayEvict = false
  /** Changes collected for the next checkpoint ahead of it. */
  #early: DatabaseWrite[] = []
  #unsynced: Promise<void>[] = []
  #checkpoint: Promise<void> = Promise.resolve()
  #checkpointing = false
  #failure: unknown
  #isHeldBack = false
  /** Where the task stood when it told that it is idle. */
  #toldIdleAt: readonly number[] | undefined

  constructor(spec: TaskSpec) {
    this.#spec = spec
    this.id = spec.id
    this.inputs = spec.inputs
    this.#options = { ...defaults, ...spec.options }
    this.offsets = spec.offsets
  }

  get position(): TaskPosition {
    return { sequence: this.#sequence, offsets: [...this.offsets] }
  }

  /**
   * Loads the state of the last checkpoint and goes to where it stands.
   * State that another declaration made is thrown away: the log still has
   * what it was made of. With a changelog the state is restored from there
   * where there is none to go on from. Returns the position.
   */
  async open(): Promise<TaskPosition> {
    const { database, graph } = this.#spec
    const checkpoint = await this.#usable(await readCheckpoint(database, this.id))
    await Promise.all(graph.stores.map((store) => store.restore(database)))
    graph.streamTimeMs = checkpoint?.streamTimeMs ?? Number.NEGATIVE_INFINITY
    this.#sequence = checkpoint?.position.sequence ?? 0
    this.#layout = checkpoint?.layout ?? ''
    for (const [index, input] of this.inputs.entries()) {
      this.offsets[index] = checkpoint?.position.offsets[index] ?? 0
      input.seek(this.offsets[index]!)
    }
    return this.position
  }

  async #usable(checkpoint: Checkpoint | undefined): Promise<Checkpoint | undefined> {
    const { database, layout, changelog } = this.#spec
    if (changelog !== undefined) return await changelog.prepare(checkpoint)
    if (checkpoint === undefined || checkpoint.layout === layout) return checkpoint
    await dropCheckpoint(database, this.id, checkpoint.stores)
    return undefined
  }

  /**
   * Processes and commits one batch of what is there. Resolves to the ticket
   * of the commit, or undefined when there was nothing to do. Does not wait
   * for the disk, except when too many commits wait for it already.
   */
  async step(): Promise<CommitTicket | undefined> {
    this.#throwFailure()
    await Promise.all(this.inputs.map((input) => input.fill(this.#options.batchRecords)))
    const untilMs = await this.#spec.gate?.openUntil(this, this.#spec.graph.streamTimeMs)
    const ready = this.inputs.filter(({ head }) => head !== undefined)
    const batch = await this.#take(ready, untilMs)
    this.#isHeldBack = batch.length === 0 && ready.length > 0
    if (batch.length === 0) return this.#isHeldBack ? undefined : await this.#tellIdle()
    await this.#process(batch)
    this.#spec.onStep?.('processed', this.#sequence)
    return await this.#commit(batch.length)
  }

  /**
   * An input that runs dry while others have records is asked for more, since
   * what it gives next has its place in the order. One that has nothing is
   * left out of the rest of the batch, so the batch is full where there is a
   * backlog, and whoever follows it finds the same order by its offsets. Where
   * others write to the inputs the batch ends instead: the gate has looked at
   * what was fetched by then, and at no more.
   */
  async #take(
    ready: readonly TaskInput[],
    untilMs: TimestampMs | undefined,
  ): Promise<(TaskRecord | RefusedRecord)[]> {
    const { batchRecords } = this.#options
    const batch: (TaskRecord | RefusedRecord)[] = []
    let open = ready.map((input) => ({ input, end: Number.POSITIVE_INFINITY }))
    for (;;) {
      const taken = mergeHeads(open, batchRecords - batch.length, untilMs)
      for (const record of taken) batch.push(record)
      const isEnded = batch.length >= batchRecords || this.#spec.gate !== undefined
      if (taken.length === 0 || isEnded || open.every(({ input }) => input.head === undefined)) return batch
      const asked = open.map(async (each) => ((await each.input.fill(batchRecords)) ? [each] : []))
      open = (await Promise.all(asked)).flat()
    }
  }

  /** There are records, but earlier ones may still come from other tasks. */
  get isHeldBack(): boolean {
    return this.#isHeldBack
  }

  /** Most records in one batch. */
  get batchRecords(): number {
    return this.#options.batchRecords
  }

  /** Once, until there was something to do; or when the inputs went on without a record. */
  async #tellIdle(): Promise<CommitTicket | undefined> {
    if (!this.#spec.tellsWhenIdle) return undefined
    for (const [index, input] of this.inputs.entries()) this.offsets[index] = input.position
    if (this.#toldIdleAt?.every((offset, index) => offset === this.offsets[index])) return undefined
    this.#spec.onStep?.('processed', this.#sequence)
    const ticket = await this.#commit(0)
    this.#toldIdleAt = [...this.offsets]
    return ticket
  }

  /**
   * Answers requests that lie further on in the inputs, at the position where
   * the task stands, and commits that; a caller does not wait for a backlog.
   * Resolves to undefined when their turn has come already.
   */
  async answer(places: readonly RequestPlace[]): Promise<CommitTicket | undefined> {
    this.#throwFailure()
    const answered = await this.#answer(places)
    if (answered.length === 0) return undefined
    this.#spec.onStep?.('processed', this.#sequence)
    return await this.#commit(0, answered)
  }

  async #answer(places: readonly RequestPlace[]): Promise<readonly RequestPlace[]> {
    const { graph, database } = this.#spec
    const found = await Promise.all(
      places.map(async ({ topic, partition, offset }) => {
        const input = this.inputs.find(
          (each) => each.topic === topic && each.partition === partition && each.writer === undefined,
        )
        if (input === undefined || offset < input.position) return undefined
        return await input.readAt(offset)
      }),
    )
    const records = found.filter((record) => record instanceof TaskRecord)
    await graph.prefetch(records, database)
    for (const record of records) graph.answer(record)
    return records.map(({ topic, partition, offset }) => ({ topic, partition, offset }))
  }

  /**
   * Processes the batch that a commit on the log consumed: the same records
   * in the same interleaving, and emits nothing, since its outputs are on the
   * log. This is what recovery, rebuild and audit are made of. `layouts` says
   * how to read commits of earlier declarations: inputs that are new stay
   * where they are, those that are gone are passed over.
   */
  async follow(commit: CommitEvent, layouts: ReadonlyMap<string, TaskLayout>): Promise<void> {
    const { outputs } = this.#spec
    const ends = this.#endsOf(commit, layouts)
    outputs.muted = true
    try {
      const batch: (TaskRecord | RefusedRecord)[] = []
      for (;;) {
        for (const [index, input] of this.inputs.entries()) {
          if (input.position < ends[index]!) await input.fillTo(ends[index]!, this.#options.batchRecords)
        }
        const taken = mergeHeads(
          this.inputs.flatMap((input, index) =>
            input.position < ends[index]! && input.head ? [{ input, end: ends[index]! }] : [],
          ),
        )
        if (taken.length === 0) break
        batch.push(...taken)
      }
      for (const [index, input] of this.inputs.entries()) {
        if (input.position < ends[index]!) input.seek(ends[index]!)
      }
      await this.#process(batch)
      if (commit.answered.length > 0) await this.#answer(commit.answered)
      this.#sequence = commit.sequence + 1
      this.#layout = commit.layout
      for (const [index, offset] of ends.entries()) this.offsets[index] = offset
      this.#sinceCheckpoint += batch.length
    } finally {
      outputs.muted = false
    }
  }

  /** The next commit puts the layout on the log, where it is not yet: state may have been made by a fold that commits nothing. */
  announceLayout(): void {
    this.#layout = ''
  }

  /**
   * Commits without a record, so that the log tells from which position on
   * this declaration is the one that works: between two batches, after
   * another one's last commit was followed.
   */
  async announce(): Promise<CommitTicket> {
    this.#throwFailure()
    this.announceLayout()
    this.#spec.onStep?.('processed', this.#sequence)
    return await this.#commit(0)
  }

  #endsOf(commit: CommitEvent, layouts: ReadonlyMap<string, TaskLayout>): readonly number[] {
    const names = layouts.get(commit.layout)?.inputs
    if (names === undefined) {
      throw new RangeError(
        `commit ${commit.sequence} of ${this.id} has layout "${commit.layout}", which is not on the log`,
      )
    }
    return this.inputs.map(({ name, position }) => {
      const at = names.indexOf(name)
      return at < 0 ? position : commit.offsets[at]!
    })
  }

  /**
   * Lets stores shrink before a batch loads its keys, not after: it counts on
   * them. What is clean is in the database only while no checkpoint is on its
   * way and nothing was collected ahead of one.
   */
  #evict(): void {
    if (!this.#mayEvict || this.#checkpointing || this.#early.length > 0) return
    this.#mayEvict = false
    this.#spec.graph.evict()
  }

  /**
   * After a small batch there is time: its changes are made ready for the
   * checkpoint now, so that nobody waits for those of many batches at once.
   * Not while one is being written: what is clean then must be in it.
   */
  #collectEarly(): void {
    if (this.#checkpointing || this.#mayEvict) return
    for (const store of this.#spec.graph.stores) store.collectSome?.(this.#early, earlyChanges)
  }

  /**
   * Writes a checkpoint if one is due and none is on its way. `durable` is
   * that of the last commit. When live, it waits until what a backlog left
   * behind has been made ready too.
   */
  checkpointIfDue(durable: Promise<void>, isLive = false): void {
    const { checkpointEvents, checkpointMs, checkpointBytes } = this.#options
    if (this.#checkpointing) return
    const { stores } = this.#spec.graph
    const dirtyBytes = stores.reduce((sum, store) => sum + store.dirtyBytes, 0)
    const isDue =
      this.#sinceCheckpoint >= checkpointEvents ||
      this.#processingMs >= checkpointMs ||
      this.#early.length >= mostEarlyChanges ||
      dirtyBytes >= checkpointBytes
    if (!isDue) return
    const isReady = stores.every((store) => store.collectSome === undefined || store.dirtyBytes === 0)
    if (!isLive || isReady || this.#early.length >= 200 * mostEarlyChanges)
      void this.#startCheckpoint(durable)
  }

  /** Waits for every commit to be durable and for a last checkpoint that holds everything. */
  async close(): Promise<void> {
    await this.flush()
    await this.checkpoint()
  }

  /** Writes a checkpoint of what is processed now. */
  async checkpoint(): Promise<void> {
    await this.#checkpoint
    if (this.#sinceCheckpoint > 0) await this.#startCheckpoint(this.flush())
    this.#throwFailure()
  }

  /** Resolves when every commit so far is durable. */
  async flush(): Promise<void> {
    await Promise.all(this.#unsynced)
    this.#throwFailure()
  }

  async #process(batch: readonly (TaskRecord | RefusedRecord)[]): Promise<void> {
    const { graph, database, emitDeadLetter } = this.#spec
    this.#evict()
    await graph.prefetch(batch, database)
    const startedMs = this.#options.elapsedMs()
    for (const record of batch) {
      const { index } = record.input
      this.offsets[index] = record.offset
      if (record instanceof TaskRecord) {
        graph.process(record)
      } else {
        this.refused++
        emitDeadLetter(record)
      }
      this.offsets[index] = record.offset + 1
      this.processed++
    }
    graph.endBatch()
    for (const [index, input] of this.inputs.entries()) this.offsets[index] = input.position
    this.#processingMs += this.#options.elapsedMs() - startedMs
  }

  async #commit(count: number, answered: readonly RequestPlace[] = []): Promise<CommitTicket> {
    const { writer, emitCommit, emitLayout, graph, onStep, layout } = this.#spec
    if (this.#layout !== layout) {
      const inputs = this.inputs.map(({ name }) => name)
      const predictions = (await this.#spec.predictionEnds?.()) ?? []
      emitLayout({ task: this.id, layout, inputs, from: this.#sequence, predictions, at: 0 }, 0)
      this.#layout = layout
    }
    emitCommit(
      {
        task: this.id,
        sequence: this.#sequence,
        offsets: [...this.offsets],
        count,
        layout,
        answered,
        at: Math.max(0, graph.streamTimeMs),
      } satisfies CommitEvent,
      Math.max(0, graph.streamTimeMs),
    )
    const ticket = await writer.commit(this.#consumed())
    this.#toldIdleAt = undefined
    const sequence = this.#sequence++
    onStep?.('appended', sequence)
    this.#sinceCheckpoint += count
    this.#trackDurable(ticket.durable, sequence)
    if (this.#unsynced.length > this.#options.maxUnsyncedCommits) await this.#unsynced[0]
    const buffered = this.inputs.reduce((sum, input) => sum + input.buffered, 0)
    const isLive = count <= fewRecords && buffered <= fewRecords
    if (isLive) this.#collectEarly()
    this.checkpointIfDue(ticket.durable, isLive)
    return ticket
  }

  /** Of a partition that is several inputs, where the one that is furthest behind stands. */
  #consumed(): readonly ConsumedPosition[] {
    const consumed: { topic: string; partition: number; offset: bigint }[] = []
    for (const { topic, partition, position } of this.inputs) {
      const last = consumed.at(-1)
      const offset = BigInt(position)
      if (last === undefined || last.topic !== topic || last.partition !== partition) {
        consumed.push({ topic, partition, offset })
      } else if (offset < last.offset) {
        last.offset = offset
      }
    }
    return consumed
  }

  #trackDurable(durable: Promise<void>, sequence: number): void {
    const tracked = durable
      .then(
        () => this.#spec.onStep?.('durable', sequence),
        (error) => {
          this.#failure ??= error
        },
      )
      .finally(() => {
        this.#unsynced = this.#unsynced.filter((other) => other !== tracked)
      })
    this.#unsynced.push(tracked)
  }

  #startCheckpoint(durable: Promise<void>): Promise<void> {
    const { graph, database, changelog, onStep, layout } = this.#spec
    this.#checkpointing = true
    const sequence = this.#sequence
    const { streamTimeMs } = graph
    const position = { position: this.position, streamTimeMs, layout }
    const writes = collectCheckpoint(this.id, position, graph.stores, this.#early)
    this.#early = []
    this.#sinceCheckpoint = 0
    this.#processingMs = 0
    onStep?.('collected', sequence)
    this.#checkpoint = (async () => {
      try {
        await durable
        if (await changelog?.keep(sequence, writes)) onStep?.('changelogged', sequence)
        await database.write(writes)
        onStep?.('checkpointed', sequence)
        this.#mayEvict = true
      } catch (error) {
        this.#failure ??= error
      } finally {
        this.#checkpointing = false
      }
    })()
    return this.#checkpoint
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }
}
