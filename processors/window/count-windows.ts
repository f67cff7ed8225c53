import { requireCount } from '../stream/declaration-checks.ts'

/**
 * Windows of so many records of a key, in the order of arrival, whatever their
 * event time. A window closes with its last record; none is ever late. The
 * span of a result is from its first record's event time to its last one's, in
 * arrival order.
 */
export interface CountWindows {
  readonly kind: 'count'
  readonly count: number
  /** A window begins with every `step`-th record; equal to `count`: tumbling, less: hopping, 1: sliding. */
  readonly step: number
}

/** @throws RangeError for a count below 1 or a step that is not in [1, count]. */
export function countWindows(count: number, step: number = count): CountWindows {
  requireCount('window count', count)
  requireCount('window step', step, 1, count)
  return { kind: 'count', count, step }
}
