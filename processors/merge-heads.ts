import type { TimestampMs } from '../state/contracts/units.ts'
import type { RefusedRecord, TaskInput, TaskRecord } from './task-input.ts'

/** An input of which records are taken below an offset. */
export interface OpenInput {
  readonly input: TaskInput
  readonly end: number
}

/**
 * Takes the heads of inputs in the order of (event time, rank, partition,
 * offset), until one runs dry below its end, since what it would give next is
 * not known, or so many are taken: the order in which a task meets its
 * records, a function of the records alone. Records later than `untilMs` stay.
 */
export function mergeHeads(
  from: readonly OpenInput[],
  limit = Number.POSITIVE_INFINITY,
  untilMs: TimestampMs = Number.POSITIVE_INFINITY,
): (TaskRecord | RefusedRecord)[] {
  const taken: (TaskRecord | RefusedRecord)[] = []
  const open = [...from]
  while (open.length > 0 && taken.length < limit) {
    let best = 0
    for (let index = 1; index < open.length; index++) {
      if (comesBefore(open[index]!.input, open[best]!.input)) best = index
    }
    const { input, end } = open[best]!
    if (input.head!.timestampMs > untilMs) break
    taken.push(input.take())
    if (input.position >= end) open.splice(best, 1)
    else if (input.head === undefined) break
  }
  return taken
}

/** Order of two heads. Inputs come in (rank, partition) order, so the earlier one wins a tie. */
function comesBefore(candidate: TaskInput, current: TaskInput): boolean {
  const left = candidate.head!
  const right = current.head!
  if (left.timestampMs !== right.timestampMs) return left.timestampMs < right.timestampMs
  if (candidate.rank !== current.rank) return candidate.rank < current.rank
  return candidate.partition < current.partition
}
