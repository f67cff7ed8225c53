import type { CommitEvent, TaskLayout } from '../processors/task.ts'
import { readCommits, readLayouts } from '../state/commit/commit-log.ts'
import type { BoundContract } from '../state/contracts/codec.ts'
import type { TaskLayoutEvent } from '../state/contracts/engine-contracts.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import type { Assembly, RecoveryProgress } from './assembly.ts'
import type { LogReading } from './log-reading.ts'
import { partitionTimes } from './partition-times.ts'
import { commitPartition } from './task-plan.ts'
import { TimeCursors } from './time-cursors.ts'

/** How far a fold goes: a place on the log that names the same records for ever. */
export interface FoldHorizon {
  /** Batches of the log that are followed. */
  readonly commits: number
  /** Records in them. */
  readonly records: number
  /** Greatest event time in them; -Infinity if there are none. */
  readonly streamTimeMs: TimestampMs
  /** Next offset of each input that was read, by its name. */
  readonly ends: ReadonlyMap<string, number>
  /** Where the topics end, records that were never processed included: the fold goes on up to there. */
  readonly tail?: ReadonlyMap<string, number>
}

/** The commits that a fold follows. */
const commitsOf = ({ engine, task, declaration }: Assembly, log: Log) => ({
  log,
  commits: engine.commit as BoundContract<CommitEvent>,
  task: task.id,
  partition: commitPartition(declaration),
})

/** Where the log's commits end, or its first `untilCommit` of them. */
export async function readHorizon(
  assembly: Assembly,
  log: Log,
  untilCommit = Number.POSITIVE_INFINITY,
): Promise<FoldHorizon> {
  const { engine, task } = assembly
  const layouts = await readLayouts(log, engine.taskLayout as BoundContract<TaskLayoutEvent>, task.id)
  const ends = new Map<string, number>()
  let commits = 0
  let records = 0
  let streamTimeMs = Number.NEGATIVE_INFINITY
  for await (const commit of readCommits(commitsOf(assembly, log), 0)) {
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
  let { streamTimeMs } = horizon
  for (const { name, topic, partition } of task.inputs) {
    tail.set(name, Number((await log.offsets(topic, partition)).end))
    const times = horizon.commits > 0 ? undefined : await partitionTimes(log, topic, partition)
    streamTimeMs = Math.max(streamTimeMs, times?.lastMs ?? streamTimeMs)
  }
  return { ...horizon, streamTimeMs, tail }
}

/** A fold in the order of event times goes by no commits. @throws RangeError where one is to end at some */
export function refuseCommits(order: LogReading['order'], untilCommit: number | undefined): void {
  if (order === 'recorded' || untilCommit === undefined) return
  throw new RangeError(
    'untilCommit (--until-commit) is a place of one task, and no one task has read all of these events: they are taken in the order of their times. Bound the rows by time instead',
  )
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
  const fresh = await TimeCursors.open(
    log,
    task.inputs.filter(({ name }) => !known.has(name)),
  )
  const layouts = new Map<string, TaskLayout>()
  for (const [layout, { inputs }] of recorded) {
    layouts.set(layout, { layout, inputs: [...inputs, ...fresh.names] })
  }
  let commits = 0
  let records = 0
  const follow = async (commit: CommitEvent): Promise<void> => {
    const before = task.processed
    await task.follow(commit, layouts)
    await options.onBatch(recorded.get(commit.layout)?.inputs ?? task.inputs.map(({ name }) => name))
    task.checkpointIfDue(Promise.resolve())
    records += task.processed - before
    options.onProgress?.({ commits: ++commits, of: horizon.commits, records })
  }
  for await (const commit of readCommits(commitsOf(assembly, log), 0)) {
    if (commits >= horizon.commits) break
    await follow({ ...commit, offsets: [...commit.offsets, ...(await fresh.endsAt(commit.at))] })
  }
  const { tail } = horizon
  if (tail === undefined) return
  const layout = 'behind the last commit'
  const cursors = await TimeCursors.open(log, task.inputs, tail)
  layouts.set(layout, { layout, inputs: cursors.names })
  for (let sequence = horizon.commits; ; sequence++) {
    const until = await cursors.batchEndMs()
    if (until === Number.POSITIVE_INFINITY) return
    const offsets = await cursors.endsAt(until)
    await follow({ task: task.id, sequence, offsets, count: 0, layout, answered: [], at: Math.max(0, until) })
  }
}
