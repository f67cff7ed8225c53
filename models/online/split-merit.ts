import type { ClassWeights, SplitMerit } from './tree-leaf.ts'

/**
 * How much purer the sides of a split are than the leaf: by entropy in bits
 * (information gain) or by Gini's index. -Infinity where fewer than two sides
 * hold more than `minShare`.
 *
 * Sources: Quinlan, "Induction of Decision Trees", Machine Learning 1986;
 * Breiman et al., "Classification and Regression Trees", 1984.
 */
export function splitMerit(
  criterion: 'information-gain' | 'gini',
  classCount: number,
  minShare: number,
): SplitMerit {
  const impurity = criterion === 'gini' ? gini : entropy
  return {
    range: criterion === 'gini' ? 1 : Math.log2(Math.max(classCount, 2)),
    merit(before, sides) {
      const weights = sides.map(sum)
      const total = weights.reduce((all, weight) => all + weight, 0)
      if (!(total > 0) || weights.filter((weight) => weight / total > minShare).length < 2) {
        return Number.NEGATIVE_INFINITY
      }
      const after = sides.reduce((all, side, index) => all + weights[index]! * impurity(side), 0) / total
      return impurity(before) - after
    },
  }
}

function entropy(weights: ClassWeights): number {
  let bits = 0
  let total = 0
  for (const weight of weights.values()) {
    if (weight <= 0) continue
    bits -= weight * Math.log2(weight)
    total += weight
  }
  return total > 0 ? (bits + total * Math.log2(total)) / total : 0
}

function gini(weights: ClassWeights): number {
  const total = sum(weights)
  if (!(total > 0)) return 0
  let squares = 0
  for (const weight of weights.values()) squares += (weight / total) ** 2
  return 1 - squares
}

function sum(weights: ClassWeights): number {
  let total = 0
  for (const weight of weights.values()) total += weight
  return total
}
