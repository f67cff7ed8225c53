import type { Declaration } from '../../models/declaration.ts'
import type { BoundEngineContracts } from '../../replay/assembly.ts'
import { commitPartition, taskIdOf, tasksOf } from '../../replay/task-plan.ts'
import { readLayouts, type TaskCommits } from '../../state/commit/commit-log.ts'
import type { BoundContract } from '../../state/contracts/codec.ts'
import type { CommitEvent, TaskLayoutEvent } from '../../state/contracts/engine-contracts.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { Log } from '../../state/log/log.ts'

/** Offsets that are looked at for a task's last commits when it is first asked about. */
const lookBack = 64n

interface Told {
  readonly sequence: number
  readonly atMs: TimestampMs
  /** It had processed everything that was there. */
  readonly isIdle: boolean
  readonly layout: string
  readonly offsets: readonly number[]
}

/** One task, as its commits tell of it. */
interface Watched {
  readonly commits: TaskCommits<CommitEvent & { readonly sequence: number }>
  /** The topic partitions that it reads. */
  readonly inputs: readonly { readonly topic: string; readonly partition: number }[]
  /** The tasks that write any of them. */
  readonly writers: readonly string[]
  offset: bigint | undefined
  last: Told | undefined
  /** The one before: what it had written is there on every partition, since a writer begins no commit before the one before is whole. */
  before: Told | undefined
  layouts: ReadonlyMap<string, TaskLayoutEvent>
}

/** How far in event time a task has come, as its commits and its inputs tell. */
export interface TaskTime {
  /** Number of its last commit; -1 before the first. */
  readonly sequence: number
  /** Everything of its records up to this time is on the log; Infinity: all that there can be for now. */
  readonly writtenToMs: TimestampMs
}

/**
 * Where the tasks of an application stand in event time. A task that has
 * nothing more to process, and gets nothing more from the tasks before it,
 * holds nobody back.
 */
export class TaskTimes {
  readonly #log: Log
  readonly #watched = new Map<string, Watched>()
  /** Ends of inputs, as of this look. */
  #ends = new Map<string, Promise<{ readonly start: bigint; readonly end: bigint }>>()

  /** `whole` is the application's declaration. */
  constructor(whole: Declaration, log: Log, engine: BoundEngineContracts) {
    this.#log = log
    for (const declaration of tasksOf(whole)) {
      const { share, partitions } = declaration
      const task = taskIdOf(declaration)
      const reads = readsOf(declaration)
      this.#watched.set(task, {
        commits: {
          log,
          commits: engine.commit as BoundContract<object> as BoundContract<CommitEvent>,
          task,
          partition: commitPartition(declaration),
        },
        inputs: reads.flatMap((contract) => {
          const all = Array.from({ length: contract.partitions ?? partitions }, (_, partition) => partition)
          const own = share?.partition === undefined ? all : [share.partition]
          return own.map((partition) => ({ topic: contract.topic, partition }))
        }),
        writers: [...new Set([...(share?.writers.values() ?? [])].flat())],
        offset: undefined,
        last: undefined,
        before: undefined,
        layouts: new Map(),
      })
    }
    this.#taskLayout = engine.taskLayout as BoundContract<object> as BoundContract<TaskLayoutEvent>
  }
  readonly #taskLayout: BoundContract<TaskLayoutEvent>

  /** Looks at the log anew. */
  async look(tasks: readonly string[]): Promise<ReadonlyMap<string, TaskTime>> {
    this.#ends = new Map()
    const all = [...this.#before(tasks)]
    await Promise.all(all.map((task) => this.#readCommits(this.#watched.get(task)!)))
    const times = await Promise.all(
      tasks.map(async (task) => [task, await this.#timeOf(this.#watched.get(task)!)] as const),
    )
    return new Map(times)
  }

  /** The tasks, and all whose records reach them. */
  #before(tasks: readonly string[]): ReadonlySet<string> {
    const found = new Set<string>()
    const add = (task: string) => {
      if (found.has(task)) return
      found.add(task)
      for (const writer of this.#watched.get(task)!.writers) add(writer)
    }
    for (const task of tasks) add(task)
    return found
  }

  async #timeOf(watched: Watched): Promise<TaskTime> {
    const { last, before } = watched
    const sequence = last?.sequence ?? -1
    if (await this.#isIdle(watched)) return { sequence, writtenToMs: Number.POSITIVE_INFINITY }
    const told = last?.isIdle ? last : before
    return { sequence, writtenToMs: told?.atMs ?? Number.NEGATIVE_INFINITY }
  }

  async #isIdle(watched: Watched): Promise<boolean> {
    const { last, inputs, writers } = watched
    if (last !== undefined && !last.isIdle) return false
    const offsets = last && (await this.#offsetsOf(watched, last))
    for (const { topic, partition } of inputs) {
      const name = `${topic}[${partition}]`
      const { start, end } = await this.#endOf(topic, partition)
      if ((offsets?.get(name) ?? Number(start)) < Number(end)) return false
    }
    for (const writer of writers) if (!(await this.#isIdle(this.#watched.get(writer)!))) return false
    return true
  }

  /** By input; of one that has several writers, where it is furthest behind. */
  async #offsetsOf(watched: Watched, { layout, offsets }: Told): Promise<ReadonlyMap<string, number>> {
    if (!watched.layouts.has(layout)) {
      watched.layouts = await readLayouts(this.#log, this.#taskLayout, watched.commits.task)
    }
    const found = new Map<string, number>()
    for (const [index, input] of (watched.layouts.get(layout)?.inputs ?? []).entries()) {
      const [name = ''] = input.split('@')
      const offset = offsets[index]!
      found.set(name, Math.min(offset, found.get(name) ?? offset))
    }
    return found
  }

  #endOf(topic: string, partition: number): Promise<{ readonly start: bigint; readonly end: bigint }> {
    const name = `${topic}[${partition}]`
    const known = this.#ends.get(name) ?? this.#log.offsets(topic, partition)
    this.#ends.set(name, known)
    return known
  }

  async #readCommits(watched: Watched): Promise<void> {
    const { commits, task, partition = 0 } = watched.commits
    const { topic } = commits.contract
    if (watched.offset === undefined) {
      const { start, end } = await this.#log.offsets(topic, partition)
      watched.offset = end - lookBack > start ? end - lookBack : start
    }
    for (;;) {
      const { offset } = watched
      const batch = await this.#log.read({ topic, partition, offset, maxBytes: 1 << 20 })
      for (let index = 0; index < batch.count; index++) {
        const commit = commits.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!)
        if (commit.task !== task) continue
        watched.before = watched.last
        watched.last = toldBy(commit)
      }
      watched.offset = batch.nextOffset
      if (batch.count === 0) return
    }
  }
}

function toldBy({ sequence, at, count, answered, layout, offsets }: CommitEvent): Told {
  return {
    sequence: Number(sequence),
    atMs: Number(at),
    isIdle: count === 0 && answered.length === 0,
    layout,
    offsets: offsets.map(Number),
  }
}

/** Events that a declaration's task takes in. */
const readsOf = ({ views, models, streams, expectations }: Declaration) => [
  ...new Set([
    ...views.flatMap(({ sources }) => sources),
    ...models.flatMap(({ trigger, label }) => [trigger, label.from]),
    ...streams.flatMap(({ lineage }) => lineage.sources),
    ...expectations.flatMap(({ contract }) => (contract === undefined ? [] : [contract])),
  ]),
]
