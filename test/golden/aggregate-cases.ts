import type { ColumnAggregate } from '../../processors/aggregate/aggregate.ts'
import { count } from '../../processors/aggregate/count.ts'
import { correlation } from '../../processors/aggregate/covariance.ts'
import { mean } from '../../processors/aggregate/mean.ts'
import { min } from '../../processors/aggregate/min.ts'
import { range } from '../../processors/aggregate/range.ts'
import { smoothedMean } from '../../processors/aggregate/smoothed-mean.ts'
import { standardError } from '../../processors/aggregate/standard-error.ts'
import { variance } from '../../processors/aggregate/variance.ts'
import { type CaseRunner, judge, notApplicable } from './golden-case.ts'

/** Rounding differs: a mean here is a sum over a count, there it is moved by each value. */
export const aggregateTolerance = 1e-12

interface StatBody {
  readonly stat: string
  readonly input: readonly number[] | readonly [readonly number[], readonly number[]]
  readonly hyperparams: Readonly<Record<string, number>>
  readonly expected_after_each_update: readonly number[]
}

type Build = (hyperparams: StatBody['hyperparams']) => ColumnAggregate

const aggregates: Readonly<Record<string, Build>> = {
  Count: count,
  Mean: mean,
  Min: min,
  PeakToPeak: range,
  SEM: standardError,
  Var: (hyperparams) => variance({ of: hyperparams['ddof'] === 1 ? 'sample' : 'population' }),
  EWMean: (hyperparams) => smoothedMean(hyperparams['alpha/fading_factor']!),
  RollingMean: mean,
  RollingVar: (hyperparams) => variance({ of: hyperparams['ddof'] === 1 ? 'sample' : 'population' }),
}

/**
 * A running statistic after each value. With `restart` the answers come from
 * merged states: each value is folded alone and merged into what was before.
 * River gives 0 where a spread or a correlation is not defined yet, the engine
 * null; so null is written as 0 here.
 */
export const runAggregateCase: CaseRunner = ({ body }, _dataFolder, { restart = false } = {}) => {
  const { stat, input, hyperparams, expected_after_each_update: expected } = body as unknown as StatBody
  if (stat === 'PearsonCorr') {
    const [x, y] = input as readonly [readonly number[], readonly number[]]
    return judge(expected, correlations(x, y, restart), aggregateTolerance)
  }
  const build = aggregates[stat]
  if (build === undefined) {
    const reason = stat.startsWith('Quantile(P2)')
      ? 'the P-square estimate of a quantile cannot be merged; the engine has a sketch with a bound on its error'
      : `the engine has no aggregate "${stat}"`
    return notApplicable(reason, expected)
  }
  const aggregate = build(hyperparams)
  const values = input as readonly number[]
  const got = values.map((_, index) => {
    const start = Math.max(0, index + 1 - (hyperparams['window'] ?? Number.POSITIVE_INFINITY))
    const answer = answerOf(aggregate, values.slice(start, index + 1), restart)
    return Number.isNaN(answer) ? 0 : answer
  })
  return judge(expected, got, aggregateTolerance)
}

function answerOf({ folds, finish }: ColumnAggregate, values: readonly number[], merges: boolean): number {
  const places: number[] = []
  let width = 0
  for (const fold of folds) {
    places.push(width)
    width += fold.width
  }
  const start = (): Float64Array => {
    const row = new Float64Array(width)
    for (const [index, fold] of folds.entries()) fold.init(row, places[index]!)
    return row
  }
  const row = start()
  for (const [atMs, value] of values.entries()) {
    const added = merges ? start() : row
    for (const [index, fold] of folds.entries()) fold.add(added, places[index]!, value, atMs)
    if (!merges) continue
    for (const [index, fold] of folds.entries()) {
      fold.mergeRows(row, places[index]!, added, places[index]!, width, 1)
    }
  }
  return finish(row, places, values.length)
}

function correlations(x: readonly number[], y: readonly number[], merges: boolean): number[] {
  const aggregate = correlation()
  let state = aggregate.init()
  return x.map((value, atMs) => {
    const pair = [value, y[atMs]!] as const
    state = merges
      ? aggregate.merge(state, aggregate.add(aggregate.init(), pair, atMs))
      : aggregate.add(state, pair, atMs)
    return aggregate.finish(state, atMs + 1) ?? 0
  })
}
