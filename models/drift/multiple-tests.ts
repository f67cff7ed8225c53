/** Which error over many tests is kept low: a single false alarm, or the share of false ones among the alarms. */
export type Correction = 'holm' | 'benjamini-hochberg'

/**
 * P-values as if each test were the only one: those at most alpha are the
 * findings. Never smaller than they were, and in the same order.
 *
 * Sources: Holm, "A Simple Sequentially Rejective Multiple Test Procedure",
 * Scandinavian Journal of Statistics 1979; Benjamini and Hochberg,
 * "Controlling the False Discovery Rate", JRSS B 1995.
 */
export function adjustedPvalues(pValues: readonly number[], correction: Correction): number[] {
  const count = pValues.length
  const order = pValues.map((_, index) => index).sort((a, b) => pValues[a]! - pValues[b]!)
  const adjusted = new Array<number>(count).fill(1)
  if (correction === 'holm') {
    let highest = 0
    for (const [rank, index] of order.entries()) {
      highest = Math.max(highest, Math.min(1, (count - rank) * pValues[index]!))
      adjusted[index] = highest
    }
    return adjusted
  }
  let lowest = 1
  for (let rank = count - 1; rank >= 0; rank--) {
    const index = order[rank]!
    lowest = Math.min(lowest, (count / (rank + 1)) * pValues[index]!)
    adjusted[index] = lowest
  }
  return adjusted
}
