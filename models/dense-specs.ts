import type { LearnerSpec } from './model.ts'
import {
  type AdaptiveForestOptions,
  adaptiveForest as adaptiveForestLearner,
} from './online/adaptive-forest.ts'
import { type HoeffdingTreeOptions, hoeffdingTree as hoeffdingTreeLearner } from './online/hoeffding-tree.ts'
import {
  type LinearOptions,
  linearRegression as linearRegressionLearner,
  logisticRegression as logisticRegressionLearner,
  type RegressionLoss,
} from './online/linear-model.ts'
import { gaussianNaiveBayes } from './online/naive-bayes.ts'
import {
  type PassiveAggressiveOptions,
  passiveAggressiveRegression as passiveAggressiveLearner,
} from './online/passive-aggressive.ts'

/**
 * Learners of a model whose features are all quantities. Classifications are of
 * label 0 or 1 and answer P(label = 1).
 */

/** Logistic regression over standardised features. */
export const logisticRegression = (
  options: Omit<LinearOptions, 'featureCount'> = {},
): LearnerSpec<never> => ({
  task: 'classification',
  build: ({ length: featureCount }) => logisticRegressionLearner({ ...options, featureCount }),
})

/** Linear regression over standardised features, with a choice of loss. */
export const linearRegression = (
  options: Omit<LinearOptions, 'featureCount'> & { readonly loss?: RegressionLoss } = {},
): LearnerSpec<never> => ({
  task: 'regression',
  build: ({ length: featureCount }) => linearRegressionLearner({ ...options, featureCount }),
})

/** Passive-aggressive regression: moves just enough, has no rate to choose. */
export const passiveAggressiveRegression = (
  options: Omit<PassiveAggressiveOptions, 'featureCount'> & { readonly epsilon?: number } = {},
): LearnerSpec<never> => ({
  task: 'regression',
  build: ({ length: featureCount }) => passiveAggressiveLearner({ ...options, featureCount }),
})

/** Naive Bayes with a normal distribution of each feature. */
export const naiveBayes = (): LearnerSpec<never> => ({
  task: 'classification',
  build: ({ length: featureCount }) => gaussianNaiveBayes({ featureCount, classCount: 2 }),
})

/** A decision tree that grows with the stream. */
export const hoeffdingTree = (
  options: Omit<HoeffdingTreeOptions, 'featureCount' | 'classCount'> = {},
): LearnerSpec<never> => ({
  task: 'classification',
  build: ({ length: featureCount }) => hoeffdingTreeLearner({ ...options, featureCount, classCount: 2 }),
})

/** Decision trees that vote, and give way to younger ones when the world changes. */
export const adaptiveForest = (
  options: Omit<AdaptiveForestOptions, 'featureCount' | 'classCount'> = {},
): LearnerSpec<never> => ({
  task: 'classification',
  build: ({ length: featureCount }) => adaptiveForestLearner({ ...options, featureCount, classCount: 2 }),
})
