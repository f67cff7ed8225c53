import type { CommitEvent, TaskLayout } from '../processors/task.ts'
import { readCommits, readLayouts } from '../state/commit/commit-log.ts'
import type { BoundContract } from '../state/contracts/codec.ts'
import type { TaskLayoutEvent } from '../state/contracts/engine-contracts.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import type { Assembly, RecoveryProgress } from './assembly.ts'

/** How far a fold goes: a place on the log that names the same records for ever. */
export interface FoldHorizon {
  /** Batches of the log that are followed. */
  readonly commits: number
  /** Records in them. */
  readonly records: number
  /** Greatest event time in them; -Infinity if there are none. */
  readonly streamTimeMs: TimestampMs
  /** Next offset of each input that was read, as `topic[partition]`. */
  readonly ends: ReadonlyMap<string, number>
  /** Where the topics end, records that were never processed included: the fold goes on up to there. */
  readonly tail?: ReadonlyMap<string, number>
}

export const inputName = ({
  topic,
  partition,
}: {
  readonly topic: string
  readonly partition: number
}): string => `${topic}[${partition}]`

/** Where the log's commits end, or its first `untilCommit` of them. */
export async function readHorizon(
  { engine, task }: Assembly,
  log: Log,
  untilCommit = Number.POSITIVE_INFINITY,
): Promise<FoldHorizon> {
  const layouts = await readLayouts(log, engine.taskLayout as BoundContract<TaskLayoutEvent>, task.id)
  const ends = new Map<string, number>()
  let commits = 0
  let records = 0
  let streamTimeMs = Number.NEGATIVE_INFINITY
  for await (const commit of readCommits(
    { log, commits: engine.commit as BoundContract<CommitEvent>, task: task.id },
    0,
  )) {
    if (commits >= untilCommit) break
    commits++
    records += commit.count
    streamTimeMs = commit.at
    for (const [index, name] of (layouts.get(commit.layout)?.inputs ?? []).entries()) {
      ends.set(name, commit.offsets[index]!)
    }
  }
  return { commits, records, streamTimeMs, ends }
}

/** The same horizon, and behind it all that the inputs hold now. */
export async function withTail(horizon: FoldHorizon, { task }: Assembly, log: Log): Promise<FoldHorizon> {
  const tail = new Map<string, number>()
  for (const input of task.inputs) {
    tail.set(inputName(input), Number((await log.offsets(input.topic, input.partition)).end))
  }
  return { ...horizon, tail }
}

export interface FoldOptions {
  readonly log: Log
  readonly horizon: FoldHorizon
  /** `recorded` are the inputs that the batch's task had when it ran, in the order of its positions. */
  readonly onBatch: (recorded: readonly string[]) => Promise<void> | void
  readonly onProgress?: (progress: RecoveryProgress) => void
}

/**
 * Folds the log from its beginning to the horizon in the recorded
 * interleaving. Inputs that no commit ever read (of a view that is new) are
 * merged in by event time: before a batch ends they are read up to the
 * greatest event time processed.
 */
export async function foldLog(assembly: Assembly, options: FoldOptions): Promise<void> {
  const { task, engine } = assembly
  const { log, horizon } = options
  await task.open()
  const recorded = await readLayouts(log, engine.taskLayout as BoundContract<TaskLayoutEvent>, task.id)
  const known = new Set([...recorded.values()].flatMap(({ inputs }) => inputs))
  const fresh = await Promise.all(
    task.inputs.filter((input) => !known.has(inputName(input))).map((input) => TimeCursor.open(log, input)),
  )
  const layouts = new Map<string, TaskLayout>()
  for (const [layout, { inputs }] of recorded) {
    layouts.set(layout, { layout, inputs: [...inputs, ...fresh.map(({ name }) => name)] })
  }
  let commits = 0
  let records = 0
  const follow = async (commit: CommitEvent): Promise<void> => {
    const before = task.processed
    await task.follow(commit, layouts)
    await options.onBatch(recorded.get(commit.layout)?.inputs ?? task.inputs.map(inputName))
    task.checkpointIfDue(Promise.resolve())
    records += task.processed - before
    options.onProgress?.({ commits: ++commits, of: horizon.commits, records })
  }
  const logged = readCommits({ log, commits: engine.commit as BoundContract<CommitEvent>, task: task.id }, 0)
  for await (const commit of logged) {
    if (commits >= horizon.commits) break
    const ends: number[] = []
    for (const cursor of fresh) ends.push(await cursor.endAt(commit.at))
    await follow({ ...commit, offsets: [...commit.offsets, ...ends] })
  }
  const { tail } = horizon
  if (tail === undefined) return
  const layout = 'behind the last commit'
  layouts.set(layout, { layout, inputs: task.inputs.map(inputName) })
  const cursors = await Promise.all(
    task.inputs.map((input) => TimeCursor.open(log, input, input.position, tail.get(inputName(input)))),
  )
  for (let sequence = horizon.commits; ; sequence++) {
    let until = Number.POSITIVE_INFINITY
    for (const cursor of cursors) until = Math.min(until, await cursor.batchEndMs())
    if (until === Number.POSITIVE_INFINITY) return
    const offsets: number[] = []
    for (const cursor of cursors) offsets.push(await cursor.endAt(until))
    await follow({ task: task.id, sequence, offsets, count: 0, layout, answered: [], at: Math.max(0, until) })
  }
}

const batchRecords = 1_000

/** Finds how far an input goes up to a time, by the times of its records alone; only forward. */
class TimeCursor {
  readonly name: string
  readonly #log: Log
  readonly #topic: string
  readonly #partition: number
  readonly #end: bigint
  #times: Float64Array | readonly number[] = []
  #offsets: readonly number[] = []
  #index = 0
  #next: bigint

  private constructor(log: Log, topic: string, partition: number, next: bigint, end: bigint) {
    this.name = inputName({ topic, partition })
    this.#log = log
    this.#topic = topic
    this.#partition = partition
    this.#next = next
    this.#end = end
  }

  static async open(
    log: Log,
    { topic, partition }: { readonly topic: string; readonly partition: number },
    from = 0,
    until = Number.POSITIVE_INFINITY,
  ): Promise<TimeCursor> {
    const { start, end } = await log.offsets(topic, partition)
    const next = BigInt(from) > start ? BigInt(from) : start
    return new TimeCursor(log, topic, partition, next, until < Number(end) ? BigInt(until) : end)
  }

  /** Offset behind the records that come before the first one later than `untilMs`. */
  async endAt(untilMs: TimestampMs): Promise<number> {
    while (await this.#fill()) {
      while (this.#index < this.#times.length) {
        if (this.#times[this.#index]! > untilMs || this.#offsets[this.#index]! >= Number(this.#end))
          return this.#offsets[this.#index]!
        this.#index++
      }
    }
    return Number(this.#next)
  }

  /** Greatest event time of what is read next; Infinity at the end. */
  async batchEndMs(): Promise<TimestampMs> {
    if (!(await this.#fill())) return Number.POSITIVE_INFINITY
    let greatest = Number.NEGATIVE_INFINITY
    for (let index = this.#index; index < this.#times.length; index++) {
      greatest = Math.max(greatest, this.#times[index]!)
    }
    return greatest
  }

  async #fill(): Promise<boolean> {
    while (this.#index >= this.#times.length) {
      if (this.#next >= this.#end) return false
      const batch = await this.#log.read({
        topic: this.#topic,
        partition: this.#partition,
        offset: this.#next,
        maxBytes: 1 << 20,
        maxRecords: batchRecords,
      })
      if (batch.nextOffset === this.#next) return false
      this.#times = Array.from({ length: batch.count }, (_, index) => batch.timestampsMs[index]!)
      this.#offsets = this.#times.map((_, index) => Number(batch.baseOffset) + batch.offsetDeltas[index]!)
      this.#next = batch.nextOffset
      this.#index = 0
    }
    return true
  }
}
