import type { OffsetRange } from '../log/log.ts'
import type { TaskPosition } from './commit-protocol.ts'

/** What the log holds of a task, as far as a state's position has to fit it. */
export interface CommittedLog {
  /** Sequence number of the commit that comes next; undefined where the commit records are gone. */
  readonly nextSequence: number | undefined
  /** Of each input, in the order of a position's offsets. */
  readonly inputs: readonly OffsetRange[]
}

/**
 * How a state stands to the log:
 *
 *     on       what is behind it can be followed
 *     ahead    it has seen commits or records that the log does not have
 *     cut off  records that it has not seen are no longer on the log
 */
export type Standing = 'on' | 'ahead' | 'cut off'

export function standingOf(position: TaskPosition, { nextSequence, inputs }: CommittedLog): Standing {
  const { sequence, offsets } = position
  if (nextSequence !== undefined && sequence > nextSequence) return 'ahead'
  if (inputs.some(({ end }, index) => (offsets[index] ?? 0) > end)) return 'ahead'
  const isCut = inputs.some(({ start }, index) => (offsets[index] ?? 0) < start)
  return isCut ? 'cut off' : 'on'
}
