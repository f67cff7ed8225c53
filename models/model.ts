import type { CategoryInput } from '../processors/aggregate/category.ts'
import { type FeatureView, requireNumbers } from '../processors/feature/feature-view.ts'
import type { Contract } from '../state/contracts/contract.ts'
import type { DurationMs } from '../state/contracts/units.ts'
import type { Learner } from './learner.ts'
import { Decision, type DecisionOptions } from './policy/decision.ts'

/** Features of the request itself: functions of the trigger event. */
export interface RequestFeatures<Trigger, Name extends string = string> {
  readonly kind: 'request-features'
  readonly features: Readonly<Record<Name, (event: Trigger) => number | boolean | null | undefined>>
}

/** Request-time features, functions of the trigger: `request(trip, { hour: (trip) => hourOfDay(trip.startedAt) })`. */
export function request<Trigger, const Name extends string>(
  _on: Contract<Trigger>,
  features: Readonly<Record<Name, (event: Trigger) => number | boolean | null | undefined>>,
): RequestFeatures<Trigger, Name> {
  return { kind: 'request-features', features }
}

/** Features computed from the model's other features, of any view: ratios, differences, smoothed rates. */
export interface ComputedFeatures<Name extends string = string, Of extends string = string> {
  readonly kind: 'computed-features'
  readonly features: Readonly<Record<Name, ComputedFeature<Of>>>
}

export interface ComputedFeature<Of extends string = string> {
  /** Features declared before this one. */
  readonly of: readonly Of[]
  /** Gets their values in that order, NaN for null; a result that is not finite is null. */
  readonly value: (...values: number[]) => number
}

/** `computed({ liftOfUser: { of: ['userMean', 'movieMean'], value: (user, movie) => user - movie } })`. */
export function computed<const Name extends string, const Of extends string>(
  features: Readonly<Record<Name, ComputedFeature<Of>>>,
): ComputedFeatures<Name, Of> {
  return { kind: 'computed-features', features }
}

/** Numbers out of a view's maps by category: the bucket that the trigger names. */
export interface BucketFeatures<Trigger, Name extends string = string, Field extends string = string> {
  readonly kind: 'bucket-features'
  readonly view: FeatureView<Field>
  readonly features: Readonly<Record<Name, BucketFeature<Trigger>>>
}

/** Which bucket of which map a column has. */
export interface BucketFeature<Trigger, Of extends string = string> {
  /** A feature of the view that is made by `bucketBy`. */
  readonly of: Of
  /**
   * The trigger's category: a field, or a function. Of a list of categories the
   * column is the mean of their buckets that have a value.
   */
  readonly at: (keyof Trigger & string) | ((event: Trigger) => CategoryInput | readonly CategoryInput[])
  /** A category without a bucket of its own has the value of all such together; null unless said. */
  readonly other?: boolean
  /** The value where there is none; null unless said. */
  readonly default?: number
}

/**
 * Model columns that look a bucket up: `buckets(impression, taste, {
 * meanOfGenre: { of: 'meanByGenre', at: 'genre' } })` is, of the map
 * `meanByGenre` of the impression's user, the mean under its genre. Read as of
 * the trigger, like every feature.
 *
 * @throws RangeError for a feature that is no `bucketBy` of the view, a field
 *   that the trigger lacks, or a default that is not finite.
 */
export function buckets<Trigger, Field extends string, Of extends string, const Name extends string>(
  on: Contract<Trigger>,
  view: FeatureView<Field, Of>,
  features: Readonly<Record<Name, BucketFeature<Trigger, NoInfer<Of>>>>,
): BucketFeatures<Trigger, Name, Field> {
  for (const [name, { of, at, default: empty }] of Object.entries<BucketFeature<Trigger>>(features)) {
    const feature = view.features.get(of as Of)
    if (feature?.kind !== 'object' || !feature.aggregate.id.startsWith('bucketBy(')) {
      const maps = [...view.features].filter(
        ([, each]) => each.kind === 'object' && each.aggregate.id.startsWith('bucketBy('),
      )
      throw new RangeError(
        `"${name}" looks up a bucket of "${of}", which is no bucketBy of view "${view.name}"; it has ${maps.map(([each]) => each).join(', ') || 'none'}`,
      )
    }
    if (typeof at === 'string' && !on.fieldNames.includes(at)) {
      throw new RangeError(
        `"${name}" looks up the bucket of "${at}", but event "${on.name}" has no such field; it has ${on.fieldNames.join(', ')}`,
      )
    }
    if (empty !== undefined && !Number.isFinite(empty)) {
      throw new RangeError(`the default of "${name}" must be a finite number, got ${empty}`)
    }
  }
  return { kind: 'bucket-features', view: view as FeatureView as FeatureView<Field>, features }
}

/**
 * Makes a learner for the columns of a model, in the order of its features.
 * `Name` are the features it mentions: one that the model lacks does not compile.
 */
export interface LearnerSpec<Name extends string = string> {
  readonly task: 'classification' | 'regression'
  build(columns: readonly string[]): Learner
  /** Only for types. */
  readonly mentions?: Name
}

/** A trivial predictor beside the model, so that a useless model is seen at once. */
export interface Baseline<Field extends string = string> {
  readonly name: string
  /** The field of the trigger whose mean label it predicts; null for the mean of all labels. */
  readonly by: Field | null
}

/** Predicts the mean of all labels so far. */
export const globalMean = (): Baseline<never> => ({ name: 'globalMean', by: null })

/** Predicts the mean label of this field's value so far; of all labels where there is none. */
export const byKey = <const Field extends string>(field: Field, name = `${field}Mean`): Baseline<Field> => ({
  name,
  by: field,
})

type FeatureSource<Trigger> =
  | FeatureView<keyof Trigger & string>
  | RequestFeatures<Trigger>
  | BucketFeatures<Trigger, string, keyof Trigger & string>
  | ComputedFeatures

type NamesOf<Source> =
  Source extends FeatureView<string, infer Name>
    ? Name
    : Source extends RequestFeatures<never, infer Name>
      ? Name
      : Source extends { readonly features: Readonly<Record<infer Name extends string, unknown>> }
        ? Name
        : never

export interface ModelOptions<Trigger, Label, Sources extends readonly FeatureSource<Trigger>[]> {
  /** Each of these events asks for a prediction, inline. */
  readonly on: Contract<Trigger>
  readonly features: Sources
  readonly label: {
    readonly from: Contract<Label>
    /** A field of both events that joins a label to its prediction; it is also the request id. */
    readonly join: keyof Trigger & keyof Label & string
    /** null: this event labels nothing. */
    readonly value: (label: Label) => number | boolean | null
    /** How long after the prediction a label still counts. */
    readonly within: DurationMs
    /** The label of a prediction that got none in time; absent: it is counted and not learned. */
    readonly missing?: number
  }
  readonly learner: LearnerSpec<NamesOf<Sources[number]>>
  readonly baselines?: readonly Baseline<keyof Trigger & string>[]
  /** Actions that follow from the answer, tried out as it says; each is logged with its propensity. */
  readonly decide?: DecisionOptions
  /** A snapshot of the weights goes to the log after this many examples. */
  readonly snapshotEvery?: number
  readonly owner?: string
  readonly description?: string
}

/** A declared model, its types bound. */
export interface Model {
  readonly kind: 'model'
  readonly name: string
  readonly trigger: Contract
  /** Those that it reads, whole or by the bucket, each once. */
  readonly views: readonly FeatureView[]
  /** Feature sources in declared order: the order of the columns. */
  readonly sources: readonly (
    | FeatureView
    | RequestFeatures<never>
    | BucketFeatures<never>
    | ComputedFeatures
  )[]
  /** Names of the columns, `[features]`. */
  readonly columns: readonly string[]
  readonly label: {
    readonly from: Contract
    readonly join: string
    readonly value: (label: never) => number | boolean | null
    readonly withinMs: DurationMs
    readonly missing: number | undefined
  }
  readonly learner: LearnerSpec
  readonly baselines: readonly Baseline[]
  /** Absent: the answer is all there is. */
  readonly decision: Decision | undefined
  readonly snapshotEvery: number
  readonly owner: string
  readonly description: string
}

/** Declares a model; what types cannot know is a RangeError here. */
export function model<Trigger, Label, const Sources extends readonly FeatureSource<Trigger>[]>(
  name: string,
  options: ModelOptions<Trigger, Label, Sources>,
): Model {
  if (!/^[a-z][a-z0-9-]*$/.test(name)) {
    throw new RangeError(`a model's name is lower-case words joined by "-", got "${name}"`)
  }
  const sources = options.features as unknown as Model['sources']
  const trigger = options.on as Contract
  for (const source of sources) {
    if (source.kind === 'feature-view') requireNumbers(source, `model "${name}" fills its columns`)
  }
  const views = [
    ...new Set(
      sources.flatMap((source) => {
        if (source.kind === 'feature-view') return [source]
        return source.kind === 'bucket-features' ? [source.view] : []
      }),
    ),
  ]
  for (const view of views) {
    for (const { field } of view.entity) {
      const named = view.keys[trigger.name]?.[field] ?? field
      if (!trigger.fieldNames.includes(named)) {
        throw new RangeError(
          `model "${name}" reads view "${view.name}" about "${named}", but its trigger "${trigger.name}" has no such field; it has ${trigger.fieldNames.join(', ')}`,
        )
      }
    }
  }
  const columns = sources.flatMap((source) =>
    source.kind === 'feature-view' ? [...source.features.keys()] : Object.keys(source.features),
  )
  const twice = columns.find((column, index) => columns.indexOf(column) !== index)
  const computedFrom = sources.flatMap((source) =>
    source.kind === 'computed-features' ? Object.entries(source.features) : [],
  )
  for (const [column, { of }] of computedFrom) {
    const known = columns.slice(0, columns.indexOf(column))
    const unknown = of.find((each) => !known.includes(each))
    if (unknown !== undefined) {
      throw new RangeError(
        `model "${name}": "${column}" is computed from "${unknown}", which is not declared before it; there are ${known.join(', ')}`,
      )
    }
  }
  if (twice !== undefined) {
    throw new RangeError(`model "${name}" has two features named "${twice}"; rename one`)
  }
  const { from, join, value, within, missing } = options.label
  for (const contract of [trigger, from as Contract]) {
    if (!contract.fieldNames.includes(join)) {
      throw new RangeError(`model "${name}" joins labels by "${join}", which event "${contract.name}" lacks`)
    }
  }
  if (!(within > 0)) throw new RangeError(`model "${name}": label.within must be positive, got ${within}`)
  return {
    kind: 'model',
    name,
    trigger,
    views,
    sources,
    columns,
    label: {
      from: from as Contract,
      join,
      value: value as (label: never) => number | boolean | null,
      withinMs: within,
      missing,
    },
    learner: options.learner,
    baselines: options.baselines ?? [globalMean()],
    decision: options.decide && new Decision(name, options.decide),
    snapshotEvery: options.snapshotEvery ?? 10_000,
    owner: options.owner ?? '',
    description: options.description ?? '',
  }
}
