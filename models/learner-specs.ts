import type { LearnerSpec } from './model.ts'
import {
  type FactorizationOptions,
  factorizationLogistic as factorizationLogisticLearner,
  factorizationRegression as factorizationRegressionLearner,
} from './online/factorization-machine.ts'
import type { HashedColumn, HashedColumnsOptions } from './online/hashed-columns.ts'
import {
  type HashedRegressionOptions,
  hashedLogistic as hashedLogisticLearner,
  hashedRegression as hashedRegressionLearner,
} from './online/hashed-linear.ts'
import type { SlotOptimizerOptions } from './online/slot-optimizer.ts'

/** What the columns of a hashed linear model mean, by feature name; columns not named are quantities. */
export interface HashedModelOptions<Name extends string> {
  /** Identifiers: a weight for each value. */
  readonly categorical?: readonly Name[]
  /** Quantities with a weight for each bucket between these ascending edges. */
  readonly buckets?: Readonly<Partial<Record<Name, readonly number[]>>>
  /** In the prediction event, not in the model. */
  readonly unused?: readonly Name[]
  /** Pairs of categorical or bucketed features that get a weight for each combination. */
  readonly crosses?: readonly (readonly [Name, Name])[]
  /** Identifiers and combinations share 2^bits weights; 18 unless given. */
  readonly bits?: number
  readonly optimizer?: SlotOptimizerOptions
}

/** Logistic regression over numeric and hashed columns: P(label = 1). */
export function hashedLogistic<const Name extends string = never>(
  options: HashedModelOptions<Name> = {},
): LearnerSpec<Name> {
  return {
    task: 'classification',
    build: (columns) => hashedLogisticLearner(columnOptions(columns, options)),
  }
}

/** What a regression may say beside its columns. */
export interface HashedRegressionModelOptions<Name extends string>
  extends HashedModelOptions<Name>,
    Pick<HashedRegressionOptions, 'link' | 'huber' | 'scaleLabel'> {}

/** Linear regression over the same columns; predicts in the label's unit. */
export function hashedRegression<const Name extends string = never>(
  options: HashedRegressionModelOptions<Name> = {},
): LearnerSpec<Name> {
  const { link, huber, scaleLabel } = options
  return {
    task: 'regression',
    build: (columns) =>
      hashedRegressionLearner({
        ...columnOptions(columns, options),
        ...(link === undefined ? {} : { link }),
        ...(huber === undefined ? {} : { huber }),
        ...(scaleLabel === undefined ? {} : { scaleLabel }),
      }),
  }
}

/** What a factorisation machine may say beside its columns; the optimizer is that of the weights. */
export interface FactorizationModelOptions<Name extends string>
  extends HashedModelOptions<Name>,
    Pick<FactorizationOptions, 'factors' | 'start' | 'factorOptimizer'> {}

/** Factorisation machine over numeric and hashed columns: P(label = 1), from inputs and all their pairs. */
export function factorizationLogistic<const Name extends string = never>(
  options: FactorizationModelOptions<Name> = {},
): LearnerSpec<Name> {
  return {
    task: 'classification',
    build: (columns) =>
      factorizationLogisticLearner({ ...columnOptions(columns, options), ...factorOptions(options) }),
  }
}

/** The same for values, in the label's unit. */
export function factorizationRegression<const Name extends string = never>(
  options: FactorizationModelOptions<Name> = {},
): LearnerSpec<Name> {
  return {
    task: 'regression',
    build: (columns) =>
      factorizationRegressionLearner({ ...columnOptions(columns, options), ...factorOptions(options) }),
  }
}

function factorOptions({
  factors,
  start,
  factorOptimizer,
}: Pick<FactorizationOptions, 'factors' | 'start' | 'factorOptimizer'>): Partial<FactorizationOptions> {
  return {
    ...(factors === undefined ? {} : { factors }),
    ...(start === undefined ? {} : { start }),
    ...(factorOptimizer === undefined ? {} : { factorOptimizer }),
  }
}

function columnOptions<Name extends string>(
  columns: readonly string[],
  options: HashedModelOptions<Name>,
): HashedColumnsOptions & { optimizer?: SlotOptimizerOptions } {
  const { categorical = [], unused = [], crosses, bits, optimizer } = options
  const buckets: Readonly<Record<string, readonly number[] | undefined>> = options.buckets ?? {}
  const mentioned = [...categorical, ...unused, ...Object.keys(buckets), ...(crosses ?? []).flat()]
  const unknown = mentioned.find((name) => !columns.includes(name))
  if (unknown !== undefined) {
    throw new RangeError(`the learner names feature "${unknown}", the model has ${columns.join(', ')}`)
  }
  return {
    columns: columns.map((name): HashedColumn => {
      const edges = buckets[name]
      if (edges !== undefined) return { name, kind: 'bucketed', edges }
      if ((categorical as readonly string[]).includes(name)) return { name, kind: 'categorical' }
      if ((unused as readonly string[]).includes(name)) return { name, kind: 'unused' }
      return { name, kind: 'numeric' }
    }),
    ...(crosses === undefined ? {} : { crosses }),
    ...(bits === undefined ? {} : { bits }),
    ...(optimizer === undefined ? {} : { optimizer }),
  }
}
