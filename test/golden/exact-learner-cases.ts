import type { Learner } from '../../models/learner.ts'
import { evaluate } from '../../models/metrics/metric.ts'
import { logLoss } from '../../models/metrics/probability-metrics.ts'
import type { CellState } from '../../models/online/cell-state.ts'
import { factorizationLogistic } from '../../models/online/factorization-machine.ts'
import { hashedColumns } from '../../models/online/hashed-columns.ts'
import { hashedLogistic } from '../../models/online/hashed-linear.ts'
import { type CaseOptions, type GoldenCase, judge, notApplicable, type Verdict } from './golden-case.ts'
import type { GoldenData } from './golden-data.ts'
import { learnerTolerance } from './learner-cases.ts'
import { type Replay, replay } from './learner-replay.ts'

interface ExactBody {
  readonly name: string
  readonly input: {
    readonly hyper?: Readonly<Record<string, number>>
    readonly k?: number
    readonly lr?: number
  }
  readonly expected: Readonly<Record<string, unknown>>
}

const columns = [
  { name: 'a', kind: 'categorical' },
  { name: 'b', kind: 'categorical' },
] as const

/** With so many bits none of the eight values share a slot; see `slotOf`. */
const bits = 12

/** Row t has the inputs a{t mod 3} and b{7t mod 5}. */
const rows: GoldenData = {
  featureNames: ['a', 'b'],
  rows: Array.from({ length: 60 }, (_, t) => Float64Array.of(t % 3, (7 * t) % 5)),
  labels: Float64Array.from({ length: 60 }, (_, t) =>
    (t % 3 === 0 && (7 * t) % 5 !== 2) || t % 11 === 0 ? 1 : 0,
  ),
  classCount: 2,
}

const inputs = ['a0', 'a1', 'a2', 'b0', 'b1', 'b2', 'b3', 'b4'] as const

/** Learners of sixty made-up rows, weight for weight. */
export function runExactLearnerCase(
  { body: given }: GoldenCase,
  _dataFolder: string,
  { restart = false }: CaseOptions = {},
): Verdict {
  const body = given as unknown as ExactBody
  const { name, input, expected } = body
  if (name.startsWith('FTRL-Proximal')) {
    const { alpha = Number.NaN, beta = Number.NaN, l1 = Number.NaN, l2 = Number.NaN } = input.hyper ?? {}
    const build = (): Learner =>
      hashedLogistic({ columns, bits, optimizer: { kind: 'ftrl', alpha, beta, l1, l2 } })
    return judge(expected, ftrlFigures(replay(build, rows, { restart })), learnerTolerance)
  }
  if (name.startsWith('Factorization machine')) {
    const { k: factors = Number.NaN, lr: rate = Number.NaN } = input
    const build = (): Learner =>
      factorizationLogistic({
        columns,
        bits,
        factors,
        start: { kind: 'sine', scale: 0.1 },
        optimizer: { kind: 'sgd', rate },
      })
    return judge(expected, factorFigures(replay(build, rows, { restart }), factors), learnerTolerance)
  }
  return notApplicable(`the engine has no learner "${name}"`, expected)
}

function figuresOf({ predictions }: Replay): Record<string, unknown> {
  const all = [...predictions]
  return {
    p_first5: all.slice(0, 5),
    p_first10: all.slice(0, 10),
    p_last5: all.slice(-5),
    logloss: evaluate(logLoss(), rows.labels, predictions),
  }
}

/** State: four cells, then a weight for each slot, then z and n for each. */
function ftrlFigures(run: Replay): Record<string, unknown> {
  const { cells } = run.state as CellState
  const { slotCount } = hashedColumns({ columns, bits })
  const memoryAt = 4 + slotCount + (slotCount % 2)
  const each = (cellOf: (slot: number) => number): Record<string, number> =>
    Object.fromEntries([
      ['bias', cells[cellOf(0)]!],
      ...inputs.map((input) => [input, cells[cellOf(slotOf(input))]!]),
    ])
  return {
    ...figuresOf(run),
    weights: each((slot) => 4 + slot),
    z: each((slot) => memoryAt + 2 * slot),
    n: each((slot) => memoryAt + 2 * slot + 1),
  }
}

/** State: four cells, a weight for each slot, a mark for each, then its factors. */
function factorFigures(run: Replay, factors: number): Record<string, unknown> {
  const { cells } = run.state as CellState
  const { slotCount } = hashedColumns({ columns, bits })
  const stride = slotCount + (slotCount % 2)
  const factorsAt = 4 + 2 * stride
  const vector = (slot: number): number[] => [
    ...cells.slice(factorsAt + slot * factors, factorsAt + (slot + 1) * factors),
  ]
  return {
    ...figuresOf(run),
    w0: cells[4],
    w: Object.fromEntries(inputs.map((input) => [input, cells[4 + slotOf(input)]])),
    v: Object.fromEntries(inputs.map((input) => [input, vector(slotOf(input))])),
  }
}

function slotOf(input: (typeof inputs)[number]): number {
  const filler = hashedColumns({ columns, bits })
  const value = Number(input.slice(1))
  const missing = Number.NaN
  filler.fill(
    new Float64Array(4),
    4,
    Float64Array.from(input[0] === 'a' ? [value, missing] : [missing, value]),
  )
  return filler.slots[1]!
}
