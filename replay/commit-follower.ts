import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CommitEvent, TaskLayout } from '../processors/task.ts'
import { offsetBefore, readLayouts } from '../state/commit/commit-log.ts'
import type { BoundContract } from '../state/contracts/codec.ts'
import type { TaskLayoutEvent } from '../state/contracts/engine-contracts.ts'
import type { Log } from '../state/log/log.ts'
import type { Assembly } from './assembly.ts'
import { commitPartition } from './task-plan.ts'

const commitsPerTurn = 16

/** What a follower has done so far. */
export interface Followed {
  readonly commits: number
  readonly records: number
}

/**
 * Follows the commits of a task as somebody else puts them on the log: the
 * same batches in the same interleaving, emitting nothing. It keeps its place
 * on the log, so that a look costs what is new.
 */
export class CommitFollower {
  readonly #assembly: Assembly
  readonly #log: Log
  readonly #afterBatch: () => void
  #offset: bigint | undefined
  #layouts: ReadonlyMap<string, TaskLayout> = new Map()
  #commits = 0
  #records = 0

  constructor(assembly: Assembly, log: Log, afterBatch: () => void) {
    this.#assembly = assembly
    this.#log = log
    this.#afterBatch = afterBatch
  }

  get followed(): Followed {
    return { commits: this.#commits, records: this.#records }
  }

  /** What is on the commits' topic and not followed yet, in offsets: 0 when everything is. */
  async behindOffsets(): Promise<number> {
    if (this.#offset === undefined) return 0
    const { end } = await this.#log.offsets(this.#place.commits.contract.topic, this.#place.partition)
    return Number(end - this.#offset)
  }

  /** Loads the state of the last checkpoint: it is followed from there. */
  async open(): Promise<void> {
    const { sequence } = await this.#assembly.task.open()
    this.#offset = await offsetBefore(this.#place, sequence)
  }

  /**
   * Follows every commit that is on the log; stops between two when the signal
   * aborts. It reads up to the end and once more, so that the log knows what
   * this process waits for.
   */
  async catchUp(stop?: AbortSignal): Promise<void> {
    const { task } = this.#assembly
    const { commits, partition } = this.#place
    const { topic } = commits.contract
    for (;;) {
      const batch = await this.#log.read({ topic, partition, offset: this.#offset!, maxBytes: 1 << 20 })
      for (let index = 0; index < batch.count; index++) {
        if (stop?.aborted) return
        const commit = commits.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!)
        // Those before this state stands already in it, or were followed before the look was cut short.
        if (commit.task === task.id && commit.sequence >= task.position.sequence) await this.#follow(commit)
      }
      const isEnd = batch.count === 0 && batch.nextOffset === this.#offset
      this.#offset = batch.nextOffset
      if (isEnd) return
    }
  }

  /** To be called before the task commits for itself. */
  async end(): Promise<void> {
    const { task, layout } = this.#assembly
    if (!this.#layouts.has(layout)) await this.#readLayouts()
    if (!this.#layouts.has(layout)) task.announceLayout()
  }

  async #follow(commit: CommitEvent): Promise<void> {
    const { task } = this.#assembly
    if (!this.#layouts.has(commit.layout)) await this.#readLayouts()
    await task.follow(commit, this.#layouts)
    this.#afterBatch()
    // What is followed is on the log already, so it may be checkpointed at once.
    task.checkpointIfDue(Promise.resolve())
    this.#commits++
    this.#records += commit.count
    // Reading from a file system's cache never waits: without a turn of the event loop nothing else would be done.
    if (this.#commits % commitsPerTurn === 0) await nextTurn()
  }

  /** The task's commits. */
  get #place() {
    const { task, engine, declaration } = this.#assembly
    const commits = engine.commit as BoundContract<CommitEvent>
    return { log: this.#log, commits, task: task.id, partition: commitPartition(declaration) }
  }

  async #readLayouts(): Promise<void> {
    const { task, engine } = this.#assembly
    this.#layouts = await readLayouts(this.#log, engine.taskLayout as BoundContract<TaskLayoutEvent>, task.id)
  }
}
