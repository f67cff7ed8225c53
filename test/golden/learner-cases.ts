import type { Learner } from '../../models/learner.ts'
import { almaClassifier } from '../../models/online/alma-classifier.ts'
import type { CellState } from '../../models/online/cell-state.ts'
import { hoeffdingTree } from '../../models/online/hoeffding-tree.ts'
import type { InputScaling } from '../../models/online/input-scaling.ts'
import { noChange } from '../../models/online/label-baselines.ts'
import {
  type LinearLearner,
  type LinearOptions,
  linearRegression,
  logisticRegression,
} from '../../models/online/linear-model.ts'
import { gaussianNaiveBayes } from '../../models/online/naive-bayes.ts'
import { passiveAggressive } from '../../models/online/passive-aggressive.ts'
import { softmaxRegression } from '../../models/online/softmax-regression.ts'
import type { VectorOptimizerOptions } from '../../models/online/vector-optimizer.ts'
import { type CaseOptions, type GoldenCase, judge, notApplicable, type Verdict } from './golden-case.ts'
import { type GoldenData, goldenData } from './golden-data.ts'
import {
  binaryMetrics,
  multiclassMetrics,
  type Replay,
  regressionMetrics,
  replay,
  scoredOf,
} from './learner-replay.ts'

/** Of learners; see the README beside the expected results. */
export const learnerTolerance = 1e-9

interface LearnerBody {
  readonly model: string
  readonly dataset: string
  readonly procedure: string
  readonly hyperparams: Readonly<Record<string, number | string>>
  readonly metrics: Readonly<Record<string, number>>
  readonly n_scored?: number
  readonly prediction_probe?: Readonly<Record<string, number>>
  readonly final_weights?: Readonly<Record<string, number>>
  readonly final_intercept?: number
  readonly checkpoints?: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly trace_first?: readonly { readonly i: number }[]
}

type Build = (body: LearnerBody, data: GoldenData) => Learner

const learners: Readonly<Record<string, Build>> = {
  LogisticRegression: (body, data) => logisticRegression(linearOptions(body, data)),
  LinearRegression: (body, data) => linearRegression(linearOptions(body, data)),
  SoftmaxRegression: (body, data) =>
    softmaxRegression({
      featureCount: data.featureNames.length,
      classCount: data.classCount,
      optimizer: optimizerOf(body.hyperparams),
      scaling: scalingOf(body),
    }),
  ALMAClassifier: ({ hyperparams, ...body }, data) =>
    almaClassifier({
      featureCount: data.featureNames.length,
      p: numberOf(hyperparams, 'p'),
      alpha: numberOf(hyperparams, 'alpha'),
      b: numberOf(hyperparams, 'B'),
      c: numberOf(hyperparams, 'C'),
      scaling: scalingOf(body),
    }),
  PARegressor: ({ hyperparams, ...body }, data) =>
    passiveAggressive(
      'pa-regression-river-0.7',
      {
        featureCount: data.featureNames.length,
        c: numberOf(hyperparams, 'C'),
        mode: numberOf(hyperparams, 'mode') === 1 ? 1 : 2,
        scaling: scalingOf(body),
      },
      (score) => score,
      (score, label) => riverPull(score, label, numberOf(hyperparams, 'eps')),
    ),
  GaussianNB: (_body, { featureNames, classCount }) =>
    gaussianNaiveBayes({ featureCount: featureNames.length, classCount }),
  HoeffdingTreeClassifier: ({ hyperparams }, { featureNames, classCount }) =>
    hoeffdingTree({
      featureCount: featureNames.length,
      classCount,
      gracePeriod: numberOf(hyperparams, 'grace_period'),
      delta: numberOf(hyperparams, 'delta'),
      tau: numberOf(hyperparams, 'tau'),
    }),
  'baseline NoChange': (_body, { featureNames, classCount }) =>
    noChange({ featureCount: featureNames.length, classCount }),
}

/**
 * The loss that River 0.7.0 gives its passive-aggressive regression. It takes
 * the label for a class and measures from 2 label - 1, while the direction is
 * that of the label: such a model never settles. The engine's own loss does
 * not do so; with this one its steps must meet River's figures.
 */
const riverPull = (score: number, label: number, epsilon: number): number =>
  Math.sign(label - score) * Math.max(0, Math.abs(score - (2 * label - 1)) - epsilon)

/** A learner with its data set, hyper-parameters and procedure: metrics, probes, weights and traces. */
export function runLearnerCase(
  { body: given }: GoldenCase,
  dataFolder: string,
  { restart = false }: CaseOptions = {},
): Verdict {
  const body = given as unknown as LearnerBody
  const expected = expectedOf(body)
  const build = learners[body.model.split(/ mode=| \//)[0]!]
  if (build === undefined) return notApplicable(`the engine has no learner "${body.model}"`, expected)
  const data = goldenData(body.dataset, dataFolder)
  if (data === undefined) {
    return notApplicable(`the data set ${body.dataset} is not among the project's files`, expected)
  }
  const run = replay(() => build(body, data), data, { restart })
  return judge(expected, gotOf(run, data, body, build), learnerTolerance)
}

function expectedOf(body: LearnerBody): Record<string, unknown> {
  const names = [
    'metrics',
    'n_scored',
    'prediction_probe',
    'final_weights',
    'final_intercept',
    'checkpoints',
    'trace_first',
  ] as const
  return Object.fromEntries(
    names.filter((name) => body[name] !== undefined).map((name) => [name, body[name]]),
  )
}

function gotOf(run: Replay, data: GoldenData, body: LearnerBody, build: Build): Record<string, unknown> {
  const scored = scoredOf(run, data)
  const { metrics } = metricsOf(body)
  const probes = Object.keys(body.prediction_probe ?? {})
  return {
    metrics: metrics(scored),
    n_scored: scored.labels.length,
    // Counted among the scored examples.
    prediction_probe: Object.fromEntries(probes.map((index) => [index, scored.predictions[Number(index)]])),
    ...weightsOf(run, data),
    checkpoints: Object.fromEntries(
      Object.keys(body.checkpoints ?? {}).map((count) => {
        const first = (values: readonly number[]): number[] => values.slice(0, Number(count))
        return [count, metrics({ labels: first(scored.labels), predictions: first(scored.predictions) })]
      }),
    ),
    trace_first: (body.trace_first ?? []).map(({ i }) => {
      const start = { ...data, rows: data.rows.slice(0, i + 1) }
      const short = replay(() => build(body, data), start)
      const { final_weights: w, final_intercept: b } = weightsOf(short, data)
      return { i, p: short.predictions[i], w, b }
    }),
  }
}

/** The metrics follow from what the case expects. */
function metricsOf({ metrics }: LearnerBody): { metrics: typeof binaryMetrics } {
  if ('MAE' in metrics) return { metrics: regressionMetrics }
  return { metrics: 'MacroF1' in metrics ? multiclassMetrics : binaryMetrics }
}

/** By the names that the expected results use; nothing of a learner that is not linear. */
export function weightsOf(
  { learner, state }: Replay,
  { featureNames }: GoldenData,
): { final_weights?: Record<string, number>; final_intercept?: number } {
  if (!isLinear(learner)) return {}
  const cells = state as CellState
  const weights = learner.weights(cells)
  return {
    final_weights: Object.fromEntries(featureNames.map((name, index) => [name, weights[index]!])),
    final_intercept: learner.intercept(cells),
  }
}

const isLinear = (learner: Learner): learner is LinearLearner => 'intercept' in learner

function linearOptions(body: LearnerBody, { featureNames }: GoldenData): LinearOptions {
  return {
    featureCount: featureNames.length,
    optimizer: optimizerOf(body.hyperparams),
    interceptRate: numberOf(body.hyperparams, 'intercept_lr'),
    scaling: scalingOf(body),
  }
}

/** The three ways in which the cases scale, as their procedures word them. */
function scalingOf({ procedure }: Pick<LearnerBody, 'procedure'>): InputScaling {
  if (procedure.includes('no scaler')) return 'none'
  return /BEFORE transforming|learns-on-predict/.test(procedure) ? 'standard-with-self' : 'standard'
}

function optimizerOf(hyperparams: LearnerBody['hyperparams']): VectorOptimizerOptions {
  const number = (name: string): number => numberOf(hyperparams, name)
  switch (hyperparams['optimizer']) {
    case 'SGD':
      return { kind: 'sgd', rate: number('lr') }
    case 'Momentum':
      return { kind: 'momentum', rate: number('lr'), rho: number('rho') }
    case 'NesterovMomentum':
      return { kind: 'nesterov', rate: number('lr'), rho: number('rho') }
    case 'AdaGrad':
      return { kind: 'adagrad', rate: number('lr'), epsilon: number('eps') }
    case 'RMSProp':
      return { kind: 'rmsprop', rate: number('lr'), rho: number('rho'), epsilon: number('eps') }
    case 'AdaDelta':
      return { kind: 'adadelta', rho: number('rho'), epsilon: number('eps') }
    case 'Adam':
      return {
        kind: 'adam',
        rate: number('lr'),
        beta1: number('beta_1'),
        beta2: number('beta_2'),
        epsilon: number('eps'),
      }
    case 'AMSGrad':
      return { kind: 'amsgrad', rate: number('lr') }
    case 'FTRLProximal':
      return {
        kind: 'ftrl',
        alpha: number('alpha'),
        beta: number('beta'),
        l1: number('l1'),
        l2: number('l2'),
        lagging: true,
      }
    default:
      throw new RangeError(`the case names an optimizer ${String(hyperparams['optimizer'])}`)
  }
}

function numberOf(hyperparams: LearnerBody['hyperparams'], name: string): number {
  const value = hyperparams[name]
  if (typeof value !== 'number') throw new RangeError(`the case has no number ${name}`)
  return value
}
