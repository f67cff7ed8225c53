import type { Declaration, TaskShare } from '../../models/declaration.ts'
import type { ReplayRange } from '../../replay/replay-range.ts'
import { taskIdOf } from '../../replay/task-plan.ts'
import { CliError } from './cli-error.ts'

/**
 * Of the tasks that a command is about the one whose places a range names:
 * each task counts its commits, and its own way through the inputs.
 *
 * @throws CliError for places where it is not clear whose they are
 */
export function placeOfRange(
  { from, to }: ReplayRange,
  tasks: readonly Declaration[],
): TaskShare | undefined {
  const [first, ...others] = tasks
  const hasPlaces = [from, to].some((edge) => edge !== undefined && edge.kind !== 'time')
  if (!hasPlaces || others.length === 0) return first?.share
  throw new CliError(
    `records and commits are places of one task, and there are ${tasks.map(taskIdOf).join(', ')}: give times, or name one with --task`,
  )
}
