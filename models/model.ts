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
  readonly views: readonly FeatureView[]
  /** Feature sources in declared order: the order of the columns. */
  readonly sources: readonly (FeatureView | RequestFeatures<never> | ComputedFeatures)[]
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
  const views = sources.filter((source): source is FeatureView => source.kind === 'feature-view')
  const trigger = options.on as Contract
  for (const view of views) requireNumbers(view, `model "${name}" fills its columns`)
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
