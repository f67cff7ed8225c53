/**
 * How a task's outputs, positions and state move forward together. The steps
 * are numbered here and nowhere else; the crash tests kill the process on
 * both sides of each.
 *
 *     1 processed     the batch ran; outputs and the commit record are in the sink
 *     2 appended      one frame is in the journal: all outputs, and the positions consumed
 *     3 durable       an fdatasync covers the frame; answers are released
 *     4 collected     state changes and the position they stand at are copied (a checkpoint is due)
 *     5 changelogged  one commit on the changelog holds both, where there is one
 *     6 checkpointed  one atomic database batch holds both
 *
 * Steps 1 and 2 are taken for every batch, 3 runs beside the processing, 4 to
 * 6 come once in many batches. 5 and 6 wait for the 3 of their own commit, so
 * the database and the changelog may lag the log after a crash and never lead
 * it: at start the task runs the batches between the checkpoint and the last
 * commit record again, in the recorded interleaving, and emits nothing.
 *
 * 5 comes before 6, so after a crash between them the database lags the
 * changelog. The next checkpoint then writes all that has changed since the
 * database's own, which is more than the changelog lacks: it is whole again.
 * The other way round it would lack what only the database has.
 */
export const commitSteps = [
  'processed',
  'appended',
  'durable',
  'collected',
  'changelogged',
  'checkpointed',
] as const

export type CommitStep = (typeof commitSteps)[number]

/** Where a task stands: the next offset of each input, in the order of its inputs. */
export interface TaskPosition {
  /** Number of commits of this task so far; the next commit has this sequence number. */
  readonly sequence: number
  readonly offsets: readonly number[]
}
