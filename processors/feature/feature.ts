import type { Contract } from '../../state/contracts/contract.ts'
import { withoutNull } from '../../state/contracts/schema-node.ts'
import type { DurationMs } from '../../state/contracts/units.ts'
import type { AnyObjectAggregate, ColumnAggregate, ObjectAggregate } from '../aggregate/aggregate.ts'

/** Names of the fields of an event that hold numbers, or nothing. */
export type NumericField<Value> = {
  [Name in keyof Value & string]: NonNullable<Value[Name]> extends number | bigint | boolean ? Name : never
}[keyof Value & string]

/** What a windowed feature takes from an event: a field, or a function of it. null, NaN and infinities are left out. */
export type FeatureInput<Value> =
  | NumericField<Value>
  | ((event: Value) => number | boolean | null | undefined)

/** The window of a feature: events with `floor(q - over, hop) <= eventTime < q`. */
export interface FeatureWindow<Value> {
  /** Length of the window; `forever` for all time. */
  readonly over: DurationMs
  /**
   * Step of the window's start, part of the feature's identity: a coarser hop
   * keeps fewer tiles. 0 is the exact window, which keeps every event of it.
   * Default: a sixtieth of the window, and at least a second.
   */
  readonly hop?: DurationMs
  /** Only events for which this holds. */
  readonly where?: (event: Value) => boolean
  /** The value of an empty window; null unless declared (a count's is 0). */
  readonly default?: number
}

/** As a window's length: every event ever seen before the query. */
export const forever: DurationMs = Number.POSITIVE_INFINITY

export interface WindowedFeature {
  readonly kind: 'windowed'
  readonly source: Contract
  readonly aggregate: ColumnAggregate
  /** Absent: the event itself counts. */
  readonly input?: FeatureInput<never>
  readonly where?: (event: never) => boolean
  readonly overMs: DurationMs
  readonly hopMs: DurationMs
  readonly default: number
}

/** The latest value at or before the query and not older than the ttl. */
export interface LookupFeature {
  readonly kind: 'lookup'
  readonly source: Contract
  readonly input: FeatureInput<never>
  readonly ttlMs: DurationMs
  readonly default: number
}

/** A function of other features of the same view; null inputs come as NaN, a result that is not finite is null. */
export interface DerivedFeature {
  readonly kind: 'derived'
  readonly of: readonly string[]
  readonly compute: (...values: number[]) => number
}

/** A window folded by an aggregate whose state, and maybe whose answer, is a list, a set, a map or a sketch. */
export interface ObjectFeature {
  readonly kind: 'object'
  readonly source: Contract
  readonly aggregate: AnyObjectAggregate
  readonly input: ObjectInput<never, never>
  readonly where?: (event: never) => boolean
  readonly overMs: DurationMs
  readonly hopMs: DurationMs
  /** Of an empty window, where the answer is a number. */
  readonly default: number
}

/** Names of the fields of an event that hold what an aggregate takes in, or nothing. */
type FieldHolding<Value, Input> = {
  [Name in keyof Value & string]: NonNullable<Value[Name]> extends Input ? Name : never
}[keyof Value & string]

/** What an object aggregate takes from an event: a field, two fields where it takes pairs, or a function of it. null is left out. */
export type ObjectInput<Value, Input> =
  | FieldHolding<Value, Input>
  | (Input extends readonly [infer First, infer Second]
      ? readonly [FieldHolding<Value, First>, FieldHolding<Value, Second>]
      : never)
  | ((event: Value) => Input | null | undefined)

export type Feature = WindowedFeature | ObjectFeature | LookupFeature | DerivedFeature

/** True for a feature whose value is a list, a text or a map, which no vector holds. */
export const isWithoutNumber = (feature: Feature): boolean =>
  feature.kind === 'object' && feature.aggregate.answersNumber !== true

/** A feature that folds `aggregate` over a window of events of one source. */
export function windowed<Value>(
  aggregate: ColumnAggregate,
  source: Contract<Value>,
  input: FeatureInput<Value> | undefined,
  window: FeatureWindow<Value>,
): WindowedFeature {
  const hopMs = hopOf(window, source as Contract)
  checkNumber(source as Contract, input)
  const countsNothingAsZero = aggregate.name === 'count' ? 0 : Number.NaN
  return {
    kind: 'windowed',
    source: source as Contract,
    aggregate,
    ...(input === undefined ? {} : { input: input as FeatureInput<never> }),
    ...(window.where === undefined ? {} : { where: window.where as (event: never) => boolean }),
    overMs: window.over,
    hopMs,
    default: window.default ?? countsNothingAsZero,
  }
}

/** A feature that folds an aggregate with a state of its own over a window of events of one source. */
export function windowedObject<Value, Input, State, Output>(
  aggregate: ObjectAggregate<Input, State, Output>,
  source: Contract<Value>,
  input: ObjectInput<Value, Input>,
  window: FeatureWindow<Value>,
): ObjectFeature {
  const hopMs = hopOf(window, source as Contract)
  checkFields(source, input)
  return {
    kind: 'object',
    source: source as Contract,
    aggregate,
    input: input as ObjectInput<never, never>,
    ...(window.where === undefined ? {} : { where: window.where as (event: never) => boolean }),
    overMs: window.over,
    hopMs,
    default: window.default ?? Number.NaN,
  }
}

function hopOf({ over, hop }: FeatureWindow<never>, { name, retentionMs }: Contract): DurationMs {
  if (!(over > 0)) throw new RangeError(`a window's length must be positive, got ${over}`)
  if (over === forever) return forever
  if (retentionMs !== undefined && over > retentionMs) {
    throw new RangeError(
      `a window of ${over} ms is longer than event "${name}" is kept, ${retentionMs} ms: a replay could not fold it again; shorten the window or raise retentionMs`,
    )
  }
  const hopMs = hop ?? Math.min(over, Math.max(1000, Math.floor(over / 60)))
  if (hopMs >= 0 && hopMs <= over) return hopMs
  throw new RangeError(`a window's hop must be between 0 and its length ${over}, got ${hopMs}`)
}

function checkFields<Value>(source: Contract<Value>, input: unknown): void {
  for (const field of Array.isArray(input) ? input : [input]) {
    if (typeof field !== 'string' || source.fieldNames.includes(field)) continue
    throw new RangeError(
      `event "${source.name}" has no field "${field}"; it has ${source.fieldNames.join(', ')}`,
    )
  }
}

/** A field that is folded or looked up as a number has to be one, or a boolean. */
function checkNumber(source: Contract, input: unknown): void {
  checkFields(source, input)
  const field = source.record.fields.find(({ name }) => name === input)
  if (field === undefined) return
  const { kind } = withoutNull(field.type)
  if (numberKinds.has(kind)) return
  throw new RangeError(
    `field "${field.name}" of event "${source.name}" is ${kind}, expected a number or a boolean; give a function that makes one of it`,
  )
}

const numberKinds: ReadonlySet<string> = new Set(['boolean', 'int', 'long', 'float', 'double'])

/** The latest value of `input` at or before the query; ties go to the later position. Older than `ttl` is null. */
export function latest<Value>(
  source: Contract<Value>,
  input: FeatureInput<Value>,
  options: { readonly ttl?: DurationMs; readonly default?: number } = {},
): LookupFeature {
  const ttlMs = options.ttl ?? forever
  if (!(ttlMs > 0)) throw new RangeError(`a ttl must be positive, got ${ttlMs}`)
  checkNumber(source as Contract, input)
  return {
    kind: 'lookup',
    source: source as Contract,
    input: input as FeatureInput<never>,
    ttlMs,
    default: options.default ?? Number.NaN,
  }
}

/** A feature of other features of the same view: `derived(['clicks', 'views'], (clicks, views) => clicks / views)`. */
export function derived<const Names extends readonly string[]>(
  of: Names,
  compute: (...values: { [Index in keyof Names]: number }) => number,
): DerivedFeature {
  return { kind: 'derived', of, compute: compute as (...values: number[]) => number }
}

/** One feature of the view over another; null where either is null, or the second is 0. */
export const ratio = (numerator: string, denominator: string): DerivedFeature =>
  derived([numerator, denominator], (above, below) => above / below)
