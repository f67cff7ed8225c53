/** What a score of several classes is: of class 1 against the rest, or over all classes. */
export type Averaging = 'binary' | 'macro' | 'micro' | 'weighted'

interface ClassCounts {
  readonly truePositives: number
  readonly predicted: number
  readonly actual: number
}

const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0)

/**
 * Weights of examples by label and predicted class, and the scores that are
 * functions of them. Merging is adding up. A share of nothing is 0: a class
 * that was never predicted has precision 0.
 */
export class ConfusionMatrix {
  readonly #cells = new Map<number, Map<number, number>>()

  add(label: number, prediction: number, weight = 1): void {
    let row = this.#cells.get(label)
    if (row === undefined) {
      row = new Map()
      this.#cells.set(label, row)
    }
    row.set(prediction, (row.get(prediction) ?? 0) + weight)
  }

  merge(other: ConfusionMatrix): void {
    for (const [label, row] of other.#cells) {
      for (const [prediction, weight] of row) this.add(label, prediction, weight)
    }
  }

  /** Labels and predicted classes, ascending. */
  classes(): number[] {
    const found = new Set([
      ...this.#cells.keys(),
      ...[...this.#cells.values()].flatMap((row) => [...row.keys()]),
    ])
    return [...found].sort((left, right) => left - right)
  }

  weightOf(label: number, prediction: number): number {
    return this.#cells.get(label)?.get(prediction) ?? 0
  }

  /** Share of the examples that were named rightly; NaN without any. */
  accuracy(): number {
    const { correct, total } = this.#totals()
    return total > 0 ? correct / total : Number.NaN
  }

  /** Mean recall of the classes that occur. */
  balancedAccuracy(): number {
    const recalls = this.classes()
      .map((each) => this.#counts(each))
      .filter(({ actual }) => actual > 0)
      .map(({ truePositives, actual }) => truePositives / actual)
    return recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length
  }

  /** Of what was said to be of a class, how much is. */
  precision(averaging: Averaging = 'binary'): number {
    return this.#average(averaging, ({ truePositives, predicted }) => share(truePositives, predicted))
  }

  /** Of what is of a class, how much was found. */
  recall(averaging: Averaging = 'binary'): number {
    return this.#average(averaging, ({ truePositives, actual }) => share(truePositives, actual))
  }

  /**
   * Weighted harmonic mean of precision and recall; recall counts `beta` times
   * as much. Source: van Rijsbergen, "Information Retrieval", 1979, chapter 7.
   */
  fScore(beta = 1, averaging: Averaging = 'binary'): number {
    return this.#average(averaging, ({ truePositives, predicted, actual }) =>
      share((1 + beta * beta) * truePositives, beta * beta * actual + predicted),
    )
  }

  /** Overlap over union of predicted and actual. */
  jaccard(averaging: Averaging = 'binary'): number {
    return this.#average(averaging, ({ truePositives, predicted, actual }) =>
      share(truePositives, predicted + actual - truePositives),
    )
  }

  /**
   * Agreement beyond that of chance. Source: Cohen, "A Coefficient of
   * Agreement for Nominal Scales", 1960; NaN where chance alone agrees always.
   */
  cohenKappa(): number {
    const { correct, total, chance } = this.#totals()
    const expected = chance / (total * total)
    return expected < 1 ? (correct / total - expected) / (1 - expected) : Number.NaN
  }

  /**
   * Correlation of label and prediction, over any number of classes; 0 where
   * one of them never varies. Source: Gorodkin, "Comparing two K-category
   * assignments by a K-category correlation coefficient", 2004.
   */
  matthewsCorrelation(): number {
    const { correct, total, chance } = this.#totals()
    let predicted = 0
    let actual = 0
    for (const each of this.classes()) {
      const counts = this.#counts(each)
      predicted += counts.predicted ** 2
      actual += counts.actual ** 2
    }
    const spread = Math.sqrt(total * total - predicted) * Math.sqrt(total * total - actual)
    return spread > 0 ? (correct * total - chance) / spread : 0
  }

  #totals(): { readonly correct: number; readonly total: number; readonly chance: number } {
    let correct = 0
    let total = 0
    let chance = 0
    for (const each of this.classes()) {
      const { truePositives, predicted, actual } = this.#counts(each)
      correct += truePositives
      total += actual
      chance += predicted * actual
    }
    return { correct, total, chance }
  }

  #counts(of: number): ClassCounts {
    let actual = 0
    for (const weight of this.#cells.get(of)?.values() ?? []) actual += weight
    let predicted = 0
    for (const row of this.#cells.values()) predicted += row.get(of) ?? 0
    return { truePositives: this.weightOf(of, of), predicted, actual }
  }

  #average(averaging: Averaging, score: (counts: ClassCounts) => number): number {
    if (averaging === 'binary') return score(this.#counts(1))
    const counts = this.classes().map((each) => this.#counts(each))
    if (averaging === 'micro') {
      return score({
        truePositives: counts.reduce((sum, each) => sum + each.truePositives, 0),
        predicted: counts.reduce((sum, each) => sum + each.predicted, 0),
        actual: counts.reduce((sum, each) => sum + each.actual, 0),
      })
    }
    const weightOf = ({ actual }: ClassCounts): number => (averaging === 'weighted' ? actual : 1)
    const total = counts.reduce((sum, each) => sum + weightOf(each), 0)
    return counts.reduce((sum, each) => sum + weightOf(each) * score(each), 0) / total
  }
}
