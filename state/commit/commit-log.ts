import type { BoundContract } from '../contracts/codec.ts'
import type { Log } from '../log/log.ts'

/** Offsets that a search from the end of the commits goes back at first. */
const firstLookBack = 64n

/** The commits of one task: a partition of their topic, which other tasks may be on too. */
export interface TaskCommits<Commit extends { readonly task: string; readonly sequence: number }> {
  readonly log: Log
  readonly commits: BoundContract<Commit>
  readonly task: string
  /** 0 unless given. */
  readonly partition?: number
}

/**
 * An offset at or before the commit with the sequence number, and not far
 * before it: what a restart costs must not grow with the log.
 */
export async function offsetBefore<Commit extends { readonly task: string; readonly sequence: number }>(
  { log, commits, task, partition = 0 }: TaskCommits<Commit>,
  sequence: number,
): Promise<bigint> {
  const { topic } = commits.contract
  const { start, end } = await log.offsets(topic, partition)
  if (sequence === 0) return start
  for (let back = firstLookBack; end - back > start; back *= 4n) {
    const offset = end - back
    const batch = await log.read({ topic, partition, offset, maxBytes: 1 << 16 })
    for (let index = 0; index < batch.count; index++) {
      const commit = commits.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!)
      if (commit.task !== task) continue
      if (commit.sequence <= sequence) return offset
      break
    }
  }
  return start
}

/** The commit records of one task, oldest first, from a sequence number on. */
export async function* readCommits<Commit extends { readonly task: string; readonly sequence: number }>(
  of: TaskCommits<Commit>,
  fromSequence: number,
): AsyncGenerator<Commit> {
  const { log, commits, task, partition = 0 } = of
  const { topic } = commits.contract
  const { end } = await log.offsets(topic, partition)
  for (let offset = await offsetBefore(of, fromSequence); offset < end; ) {
    const batch = await log.read({ topic, partition, offset, maxBytes: 1 << 20 })
    for (let index = 0; index < batch.count; index++) {
      const commit = commits.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!)
      if (commit.task === task && commit.sequence >= fromSequence) yield commit
    }
    if (batch.nextOffset === offset) return
    offset = batch.nextOffset
  }
}

/** The last commit on a partition of the commits; undefined where there is none. */
export async function lastCommit<Commit>(
  log: Log,
  commits: BoundContract<Commit>,
  partition = 0,
): Promise<Commit | undefined> {
  const { topic } = commits.contract
  const { end } = await log.offsets(topic, partition)
  if (end === 0n) return undefined
  const { bytes, count, valueStart, valueEnd } = await log.read({
    topic,
    partition,
    offset: end - 1n,
    maxBytes: 1,
  })
  return count === 0 ? undefined : commits.readValue(bytes, valueStart[0]!, valueEnd[0]!)
}

/** How the offsets of a task's commits are to be read, by the name in the commit. */
export async function readLayouts<Layout extends { readonly task: string; readonly layout: string }>(
  log: Log,
  layouts: BoundContract<Layout>,
  task: string,
): Promise<ReadonlyMap<string, Layout>> {
  return (await readTaskLayouts(log, layouts)).get(task) ?? new Map()
}

/** The same of every task, each in the order in which it had them. */
export async function readTaskLayouts<Layout extends { readonly task: string; readonly layout: string }>(
  log: Log,
  layouts: BoundContract<Layout>,
): Promise<ReadonlyMap<string, ReadonlyMap<string, Layout>>> {
  const found = new Map<string, Map<string, Layout>>()
  const { topic } = layouts.contract
  const { start, end } = await log.offsets(topic, 0)
  for (let offset = start; offset < end; ) {
    const batch = await log.read({ topic, partition: 0, offset, maxBytes: 1 << 20 })
    for (let index = 0; index < batch.count; index++) {
      const layout = layouts.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!)
      const own = found.get(layout.task) ?? new Map<string, Layout>()
      found.set(layout.task, own.set(layout.layout, layout))
    }
    if (batch.nextOffset === offset) break
    offset = batch.nextOffset
  }
  return found
}

/** The task that has a partition of the commits; undefined while none of it has committed. */
export async function taskOnPartition<Commit extends { readonly task: string }>(
  log: Log,
  commits: BoundContract<Commit>,
  partition: number,
): Promise<string | undefined> {
  const { topic } = commits.contract
  const { start, end } = await log.offsets(topic, partition)
  for (let offset = start; offset < end; ) {
    const batch = await log.read({ topic, partition, offset, maxBytes: 1, maxRecords: 1 })
    if (batch.count > 0) {
      return commits.readValue(batch.bytes, batch.valueStart[0]!, batch.valueEnd[0]!).task
    }
    if (batch.nextOffset === offset) return undefined
    offset = batch.nextOffset
  }
  return undefined
}

/**
 * The sequence number that the task's next commit has: one behind its last
 * commit record, 0 where there never was any. Undefined where records were
 * removed and none of the task is left.
 */
export async function nextSequence<Commit extends { readonly task: string; readonly sequence: number }>({
  log,
  commits,
  task,
  partition = 0,
}: TaskCommits<Commit>): Promise<number | undefined> {
  const { topic } = commits.contract
  const { start, end } = await log.offsets(topic, partition)
  let upTo = end
  for (let back = firstLookBack; upTo > start; back *= 4n) {
    const from = end - back > start ? end - back : start
    let last: number | undefined
    for (let offset = from; offset < upTo; ) {
      const batch = await log.read({ topic, partition, offset, maxBytes: 1 << 20 })
      for (let index = 0; index < batch.count; index++) {
        const commit = commits.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!)
        if (commit.task === task) last = commit.sequence
      }
      if (batch.nextOffset === offset) break
      offset = batch.nextOffset
    }
    if (last !== undefined) return last + 1
    upTo = from
  }
  return start === 0n ? 0 : undefined
}
