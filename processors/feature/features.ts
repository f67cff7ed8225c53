import type { Contract } from '../../state/contracts/contract.ts'
import type { ColumnAggregate } from '../aggregate/aggregate.ts'
import { count as countOf } from '../aggregate/count.ts'
import { max as maxOf } from '../aggregate/max.ts'
import { mean as meanOf } from '../aggregate/mean.ts'
import { min as minOf } from '../aggregate/min.ts'
import { sum as sumOf } from '../aggregate/sum.ts'
import { type FeatureInput, type FeatureWindow, type WindowedFeature, windowed } from './feature.ts'

/**
 * The aggregates by name: with no arguments the aggregate itself, for stream
 * operators; with an event a windowed feature of it.
 */
interface FieldAggregate {
  (): ColumnAggregate
  <Value>(source: Contract<Value>, input: FeatureInput<Value>, window: FeatureWindow<Value>): WindowedFeature
}

function fieldAggregate(aggregate: () => ColumnAggregate): FieldAggregate {
  return (<Value>(source?: Contract<Value>, input?: FeatureInput<Value>, window?: FeatureWindow<Value>) =>
    source === undefined || window === undefined
      ? aggregate()
      : windowed(aggregate(), source, input, window)) as FieldAggregate
}

/** Number of events; an empty window is 0. */
export function count(): ColumnAggregate
export function count<Value>(source: Contract<Value>, window: FeatureWindow<Value>): WindowedFeature
export function count<Value>(
  source?: Contract<Value>,
  window?: FeatureWindow<Value>,
): ColumnAggregate | WindowedFeature {
  return source === undefined || window === undefined
    ? countOf()
    : windowed(countOf(), source, undefined, window)
}

export const sum: FieldAggregate = fieldAggregate(sumOf)
export const mean: FieldAggregate = fieldAggregate(meanOf)
export const min: FieldAggregate = fieldAggregate(minOf)
export const max: FieldAggregate = fieldAggregate(maxOf)
