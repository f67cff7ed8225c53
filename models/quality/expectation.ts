import type { FeatureView } from '../../processors/feature/feature-view.ts'
import type { Contract } from '../../state/contracts/contract.ts'
import type { DurationMs } from '../../state/contracts/units.ts'
import { days, hours } from '../../state/contracts/units.ts'

/** What a failed expectation does. */
export type ExpectationSeverity = 'warn' | 'quarantine' | 'stop'

/** What a value must look like beyond its Avro type. Text of a number, a time or a UUID is text. */
export type ValueType = 'number' | 'integer' | 'text' | 'boolean' | 'number-text' | 'time-text' | 'uuid'

/** How far two distributions are apart, see `models/drift/distances`. */
export type ShareDistance = 'population-stability' | 'jensen-shannon' | 'hellinger' | 'largest-difference'

/** The distribution that is normal: bins of numbers with one edge more than shares, or shares of categories. */
export type ReferenceHistogram =
  | { readonly edges: readonly number[]; readonly shares: readonly number[] }
  | { readonly categories: Readonly<Record<string, number>> }

interface Bounds {
  readonly atLeast?: number
  readonly atMost?: number
}

interface Named {
  /** In alerts, dead letters and reports; the field and the kind unless given. */
  readonly name?: string
}

/** Judged on each record, at once. Null passes all of them but `notNull`. */
interface RowSettings extends Named {
  /** Default `warn`: one alert a window. */
  readonly severity?: ExpectationSeverity
}

/** Judged when stream time has passed the end of a window and the grace. */
interface WindowSettings extends Named {
  /** Default `warn`. There is no single record to quarantine. */
  readonly severity?: 'warn' | 'stop'
  /** Windows with fewer values are not judged: 1 unless given, 100 for a distribution. */
  readonly leastCount?: number
}

/** One expectation about a field of an event, a feature of a view, or the events as a whole. */
export type Expectation<Field extends string = string> =
  | (RowSettings & { readonly field: Field; readonly type: ValueType })
  | (RowSettings & {
      readonly field: Field
      readonly range: { readonly min?: number; readonly max?: number }
    })
  | (RowSettings & { readonly field: Field; readonly matches: RegExp })
  | (RowSettings & { readonly field: Field; readonly oneOf: readonly (string | number | boolean)[] })
  | (RowSettings & { readonly field: Field; readonly notNull: true })
  /** Share of nulls in a window, 0 to 1. */
  | (WindowSettings & { readonly field: Field; readonly nullShare: { readonly atMost: number } })
  /** Different values in a window, nulls left out. */
  | (WindowSettings & { readonly field: Field; readonly distinct: Bounds })
  | (WindowSettings & {
      readonly field: Field
      readonly distribution: {
        readonly reference: ReferenceHistogram
        readonly atMost: number
        /** Default `population-stability`. */
        readonly distance?: ShareDistance
      }
    })
  /** Age of the newest event at the end of each window; silence that goes on alerts once. */
  | (WindowSettings & { readonly freshness: { readonly atMost: DurationMs } })
  /** Events in a window over those in the same window a week before. Judged where that window had some. */
  | (WindowSettings & { readonly volume: Bounds })

export interface ExpectOptions {
  /** Length of the tumbling windows of event time, aligned to 1970. Default an hour. */
  readonly window?: DurationMs
  /** How long after its end a window still takes late events. Default 0. */
  readonly grace?: DurationMs
}

const kinds = [
  'type',
  'range',
  'matches',
  'oneOf',
  'notNull',
  'nullShare',
  'distinct',
  'distribution',
  'freshness',
  'volume',
] as const
export type ExpectationKind = (typeof kinds)[number]
const rowKinds: ReadonlySet<string> = new Set(['type', 'range', 'matches', 'oneOf', 'notNull'])

/** An expectation with its name and what was left out filled in. */
export interface DeclaredExpectation {
  readonly name: string
  readonly kind: ExpectationKind
  /** Undefined for freshness and volume. */
  readonly field: string | undefined
  readonly severity: ExpectationSeverity
  readonly isOfRows: boolean
  readonly leastCount: number
  readonly spec: Expectation
  /** What is expected, for a person. */
  readonly text: string
}

/** What one event, or the features of one view, must be like. */
export interface Expectations {
  readonly subject: string
  readonly contract?: Contract<object>
  readonly view?: FeatureView
  readonly windowMs: DurationMs
  readonly graceMs: DurationMs
  readonly list: readonly DeclaredExpectation[]
}

const weekMs = days(7)

/**
 * Declares what an event, or the features of a view, must be like. Rows are
 * judged in the graph before anything else sees the record, windows when
 * stream time has passed their end; live and in every replay by the same code.
 * A view's features are judged as of each of its events, before that event is
 * folded: what a model would have been given.
 *
 * @throws RangeError that names the subject and what does not fit
 */
export function expect<Value>(
  event: Contract<Value>,
  expectations: readonly Expectation<keyof Value & string>[],
  options?: ExpectOptions,
): Expectations
export function expect<Name extends string>(
  view: FeatureView<string, Name>,
  expectations: readonly Expectation<Name>[],
  options?: ExpectOptions,
): Expectations
export function expect(
  subject: object,
  expectations: readonly object[],
  options: ExpectOptions = {},
): Expectations {
  const given = subject as Contract<object> | FeatureView
  const view = 'kind' in given ? given : undefined
  const contract = view === undefined ? (given as Contract<object>) : undefined
  const of = view === undefined ? given.name : `view ${given.name}`
  const fields = view === undefined ? contract!.fieldNames : [...view.features.keys()]
  const { window: windowMs = hours(1), grace: graceMs = 0 } = options
  const refuse = (what: string): never => {
    throw new RangeError(`expectations of "${of}": ${what}`)
  }
  if (!(Number.isInteger(windowMs) && windowMs > 0)) refuse(`a window must be longer than 0, got ${windowMs}`)
  if (!(Number.isInteger(graceMs) && graceMs >= 0)) refuse(`grace must be 0 or more, got ${graceMs}`)
  if (expectations.length === 0) refuse('none are given')
  const list = expectations.map((each) => declared(each as Expectation, fields, refuse))
  for (const { name, kind } of list) {
    if (list.filter((other) => other.name === name).length > 1) {
      refuse(`two are named "${name}"; give them names of their own`)
    }
    if (kind === 'volume' && weekMs % windowMs !== 0) {
      refuse(`volume is compared with a week before, which windows of ${windowMs} ms do not divide`)
    }
    if (view !== undefined && (kind === 'volume' || kind === 'freshness')) {
      refuse(`${kind} is about events, declare it for the events of the view`)
    }
  }
  return {
    subject: of,
    ...(contract === undefined ? {} : { contract }),
    ...(view === undefined ? {} : { view }),
    windowMs,
    graceMs,
    list,
  }
}

function declared(
  spec: Expectation,
  fields: readonly string[],
  refuse: (what: string) => never,
): DeclaredExpectation {
  const found = kinds.filter((kind) => kind in spec)
  const [kind] = found
  if (kind === undefined || found.length > 1) {
    return refuse(`one of ${kinds.join(', ')} is needed, got ${found.join(' and ') || 'none'}`)
  }
  const field = 'field' in spec ? spec.field : undefined
  if (field !== undefined && !fields.includes(field)) {
    refuse(`there is no field "${field}"; it has ${fields.join(', ')}`)
  }
  const isOfRows = rowKinds.has(kind)
  const severity = spec.severity ?? 'warn'
  if (severity === 'quarantine' && !isOfRows) {
    refuse(`${kind} is judged for windows, there is no record to quarantine; use warn or stop`)
  }
  const leastCount =
    ('leastCount' in spec ? spec.leastCount : undefined) ?? (kind === 'distribution' ? 100 : 1)
  if (!(Number.isInteger(leastCount) && leastCount >= 1))
    refuse(`leastCount must be from 1, got ${leastCount}`)
  const problem = problemOf(spec)
  if (problem !== undefined) refuse(problem)
  const name = spec.name ?? (field === undefined ? kind : `${field} ${kind}`)
  return { name, kind, field, severity, isOfRows, leastCount, spec, text: textOf(spec) }
}

function problemOf(spec: Expectation): string | undefined {
  if ('range' in spec && !bounded(spec.range.min, spec.range.max)) return 'a range needs min <= max'
  if ('matches' in spec && /[gy]/.test(spec.matches.flags)) {
    return 'a pattern with the flag g or y depends on what it matched before'
  }
  if ('oneOf' in spec && spec.oneOf.length === 0) return 'oneOf needs values'
  if ('nullShare' in spec && !(spec.nullShare.atMost >= 0 && spec.nullShare.atMost < 1)) {
    return `a null share is from 0 and below 1, got ${spec.nullShare.atMost}`
  }
  if ('distinct' in spec && !bounded(spec.distinct.atLeast, spec.distinct.atMost)) {
    return 'distinct needs atLeast <= atMost'
  }
  if ('volume' in spec && !bounded(spec.volume.atLeast, spec.volume.atMost)) {
    return 'volume needs atLeast <= atMost'
  }
  if ('freshness' in spec && !(spec.freshness.atMost > 0)) return 'freshness needs atMost above 0'
  if ('distribution' in spec) return referenceProblem(spec.distribution.reference)
  return undefined
}

function referenceProblem(reference: ReferenceHistogram): string | undefined {
  const shares = 'edges' in reference ? reference.shares : Object.values(reference.categories)
  if (shares.some((share) => !(share >= 0)) || !(shares.reduce((sum, share) => sum + share, 0) > 0)) {
    return 'the shares of a reference are 0 or more, and some above 0'
  }
  if (!('edges' in reference)) return undefined
  const { edges } = reference
  if (edges.length !== shares.length + 1) {
    return `a reference of ${shares.length} shares needs ${shares.length + 1} edges, got ${edges.length}`
  }
  const rises = edges.every((edge, index) => index === 0 || edge > edges[index - 1]!)
  return rises ? undefined : 'the edges of a reference must rise'
}

const bounded = (least: number | undefined, most: number | undefined): boolean =>
  !(least === undefined && most === undefined) &&
  (least ?? Number.NEGATIVE_INFINITY) <= (most ?? Number.POSITIVE_INFINITY)

function textOf(spec: Expectation): string {
  if ('type' in spec) return `of type ${spec.type}`
  if ('range' in spec) return boundsText(spec.range.min, spec.range.max)
  if ('matches' in spec) return `matching ${spec.matches}`
  if ('oneOf' in spec)
    return `one of ${spec.oneOf.slice(0, 10).join(', ')}${spec.oneOf.length > 10 ? ', …' : ''}`
  if ('notNull' in spec) return 'not null'
  if ('nullShare' in spec) return `a share of nulls of at most ${spec.nullShare.atMost}`
  if ('distinct' in spec) {
    return `different values ${boundsText(spec.distinct.atLeast, spec.distinct.atMost)}`
  }
  if ('freshness' in spec) return `an event not older than ${durationText(spec.freshness.atMost)}`
  if ('volume' in spec) {
    return `events ${boundsText(spec.volume.atLeast, spec.volume.atMost)} times those of a week before`
  }
  const { distance = 'population-stability', atMost } = spec.distribution
  return `a ${distance} distance from the reference of at most ${atMost}`
}

const durationUnits = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const

/** A duration for a person, to a tenth of its largest unit. */
export function durationText(ms: DurationMs): string {
  const [name, unitMs] = durationUnits.find(([, unit]) => ms >= unit) ?? (['ms', 1] as const)
  return `${Math.round((ms / unitMs) * 10) / 10} ${name}`
}

function boundsText(least: number | undefined, most: number | undefined): string {
  if (least === undefined) return `at most ${most}`
  return most === undefined ? `at least ${least}` : `from ${least} to ${most}`
}
