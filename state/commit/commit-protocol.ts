/**
 * How a task's outputs, positions and state move forward together. The steps
 * are numbered here and nowhere else; the crash tests kill the process on
 * both sides of each.
 *
 *     1 processed     the batch ran; outputs and the commit record are in the sink
 *     2 appended      one frame is in the journal: all outputs, and the positions consumed
 *     3 durable       an fdatasync covers the frame; answers are released
 *     4 collected     state changes and the position they stand at are copied (a checkpoint is due)
 *     5 checkpointed  one atomic database batch holds both
 *
 * Steps 1 and 2 are taken for every batch, 3 runs beside the processing, 4
 * and 5 come once in many batches. 5 waits for the 3 of its own commit, so
 * the database may lag the log after a crash and never leads it: at start the
 * task runs the batches between the checkpoint and the last commit record
 * again, in the recorded interleaving, and emits nothing.
 */
export const commitSteps = ['processed', 'appended', 'durable', 'collected', 'checkpointed'] as const

export type CommitStep = (typeof commitSteps)[number]

/** Where a task stands: the next offset of each input, in the order of its inputs. */
export interface TaskPosition {
  /** Number of commits of this task so far; the next commit has this sequence number. */
  readonly sequence: number
  readonly offsets: readonly number[]
}
