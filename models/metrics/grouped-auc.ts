import { aucOf } from './auc.ts'

/**
 * AUC within each group, a user say, averaged by the groups' examples: how
 * well a model orders what one group sees. Groups of one class are left out;
 * NaN if there is no other.
 *
 * Source: Zhou et al., "Deep Interest Network for Click-Through Rate
 * Prediction", KDD 2018, section 6.3.
 */
export function groupedAuc(
  groups: readonly (string | number)[],
  labels: readonly number[],
  predictions: readonly number[],
): number {
  const members = new Map<string | number, number[]>()
  for (const [index, group] of groups.entries()) {
    const known = members.get(group)
    if (known) known.push(index)
    else members.set(group, [index])
  }
  let sum = 0
  let total = 0
  for (const indices of members.values()) {
    const auc = aucOf({
      labels: Float64Array.from(indices, (index) => labels[index]!),
      predictions: Float64Array.from(indices, (index) => predictions[index]!),
      weights: new Float64Array(indices.length).fill(1),
    })
    if (Number.isNaN(auc)) continue
    sum += indices.length * auc
    total += indices.length
  }
  return total > 0 ? sum / total : Number.NaN
}
