import { linearRegression, logisticRegression } from '../../models/online/linear-model.ts'
import { standardScaler } from '../../models/online/standard-scaler.ts'
import { type CaseOptions, type GoldenCase, judge, notApplicable, type Verdict } from './golden-case.ts'
import { goldenData } from './golden-data.ts'
import { learnerTolerance, weightsOf } from './learner-cases.ts'
import { binaryMetrics, replay, scoredOf } from './learner-replay.ts'

interface DelayedBody {
  readonly name: string
  readonly input: {
    readonly dataset: string
    readonly lr: number
    readonly intercept_lr: number
    readonly delay_events: number
  }
  readonly expected: Readonly<Record<string, unknown>>
}

/** Labels that arrive so many predictions late. */
export function runDelayedCase(
  { body: given }: GoldenCase,
  dataFolder: string,
  { restart = false }: CaseOptions = {},
): Verdict {
  const { name, input, expected } = given as unknown as DelayedBody
  if (name !== 'prequential with delayed labels') {
    return notApplicable(`the engine has nothing for "${name}"`, expected)
  }
  const data = goldenData(input.dataset, dataFolder)
  if (data === undefined) {
    return notApplicable(`the data set ${input.dataset} is not among the project's files`, expected)
  }
  const build = () =>
    logisticRegression({
      featureCount: data.featureNames.length,
      optimizer: { kind: 'sgd', rate: input.lr },
      interceptRate: input.intercept_lr,
    })
  const run = replay(build, data, { restart, delay: input.delay_events })
  const { ROCAUC_exact: auc, ...others } = binaryMetrics(scoredOf(run, data))
  return judge(expected, { ...others, ROCAUC: auc, ...weightsOf(run, data) }, learnerTolerance)
}

/** The terms of a linear model's answer; documented with five decimals. */
export function runExplainCase(
  { body }: GoldenCase,
  dataFolder: string,
  { restart = false }: CaseOptions = {},
): Verdict {
  const { name, expected } = body as { readonly name: string; readonly expected: unknown }
  if (!name.startsWith('river debug_one'))
    return notApplicable(`the engine does not explain by "${name}"`, expected)
  const data = goldenData('TrumpApproval', dataFolder)
  if (data === undefined) return notApplicable("the data set is not among the project's files", expected)
  const build = () =>
    linearRegression({
      featureCount: data.featureNames.length,
      optimizer: { kind: 'sgd', rate: 0.01 },
      interceptRate: 0.1,
    })
  const { state } = replay(build, data, { restart })
  const learner = build()
  const terms = new Float64Array(1 + data.featureNames.length)
  const cells = learner.init()
  cells.load(state.snapshot())
  learner.contributions(cells, data.rows[0]!, terms)
  return judge(
    expected,
    {
      Intercept: terms[0],
      ...Object.fromEntries(data.featureNames.map((feature, index) => [feature, terms[1 + index]])),
      prediction: learner.predict(cells, data.rows[0]!),
    },
    5e-6,
  )
}

interface ScalerBody {
  readonly scaler: string
  readonly input: readonly Readonly<Record<string, number>>[]
  readonly expected: readonly Readonly<Record<string, number>>[]
}

/** What a scaler makes of each example after learning it. */
export function runScalerCase({ body: given }: GoldenCase): Verdict {
  const { scaler, input, expected } = given as unknown as ScalerBody
  if (scaler !== 'StandardScaler') return notApplicable(`the engine has no ${scaler}`, expected)
  const names = Object.keys(input[0] ?? {})
  const standard = standardScaler(names.map((_, index) => index))
  const cells = new Float64Array(standard.width)
  const into = new Float64Array(names.length)
  const got = input.map((row) => {
    const features = Float64Array.from(names, (name) => row[name]!)
    standard.learn(cells, 0, features)
    standard.transform(cells, 0, features, into)
    return Object.fromEntries(names.map((name, index) => [name, into[index]!]))
  })
  return judge(expected, got, learnerTolerance)
}
