import type { Classifier } from '../learner.ts'
import { answerOf, checkClassCount, isClassExample } from './class-label.ts'
import { EncodedState } from './encoded-state.ts'
import { GrowingTree, type TreeOptions, treeSettings } from './growing-tree.ts'

export interface HoeffdingTreeOptions extends TreeOptions {
  readonly featureCount: number
  readonly classCount: number
}

/**
 * A decision tree that splits a leaf once it is sure, with probability
 * `1 - delta`, that the best split of the examples so far would be the best of
 * all. Leaves answer with naive Bayes where it has been right more often than
 * the majority class.
 *
 * Sources: Domingos and Hulten, "Mining High-Speed Data Streams", KDD 2000;
 * Gama, Rocha and Medas, "Accurate Decision Trees for Mining High-Speed Data
 * Streams", KDD 2003 (normal observers, naive Bayes leaves); Kirkby, "Improving
 * Hoeffding Trees", 2007 (adaptive leaves).
 */
export function hoeffdingTree(options: HoeffdingTreeOptions): Classifier<EncodedState<GrowingTree>> {
  const { featureCount, classCount } = options
  checkClassCount(classCount)
  const settings = treeSettings(options)
  const name = `hoeffding-tree ${JSON.stringify({ featureCount, classCount, ...settings })}`
  const features = Int32Array.from({ length: featureCount }, (_, index) => index)
  const scratch = new Float64Array(classCount)
  const probabilities = (
    { parts: [tree] }: EncodedState<GrowingTree>,
    example: Float64Array,
    into: Float64Array,
  ): void => tree!.votes(example, into)
  return {
    name,
    featureCount,
    classCount,
    laws: { orderInsensitive: false },
    init: () => new EncodedState(name, [new GrowingTree(settings, classCount, () => features)]),
    probabilities,
    predict(state, example) {
      probabilities(state, example, scratch)
      return answerOf(scratch)
    },
    learn({ parts: [tree] }, example, label, weight = 1) {
      if (isClassExample(label, weight, classCount)) tree!.learn(example, label, weight)
    },
  }
}
