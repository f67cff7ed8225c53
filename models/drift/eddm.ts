import { cellDetector, type DriftDetector, type DriftState } from './drift-detector.ts'

export interface EddmOptions {
  /** Values, and errors, up to which nothing is told; 30 unless given. */
  readonly warmStart?: number
  /** Share of the longest distance below which to warn; 0.95 unless given. */
  readonly alpha?: number
  /** Share below which it is a drift, at most `alpha`; 0.9 unless given. */
  readonly beta?: number
}

const atCount = 0
const atErrors = 1
const atLastError = 2
const atMean = 3
const atSquares = 4
const atLongest = 5
const atWarning = 6

/**
 * Early drift detection method: watches the distance between two errors
 * (values 1), which grows while a model learns; a value other than 1 is right.
 *
 * Source: Baena-García et al., "Early Drift Detection Method", Fourth
 * International Workshop on Knowledge Discovery from Data Streams, 2006.
 */
export function eddm(options: EddmOptions = {}): DriftDetector {
  const settings = { warmStart: 30, alpha: 0.95, beta: 0.9, ...options }
  const { warmStart, alpha, beta } = settings
  if (!(alpha >= beta)) throw new RangeError(`alpha must be at least beta, got ${alpha} and ${beta}`)
  return cellDetector({
    name: `eddm ${JSON.stringify(settings)}`,
    width: 7,
    start: (cells) => {
      cells[atLongest] = -1
    },
    step(cells, value): DriftState {
      const count = cells[atCount]! + 1
      cells[atCount] = count
      if (value !== 1) return cells[atWarning] === 1 ? 'warning' : 'steady'
      const errors = cells[atErrors]! + 1
      cells[atErrors] = errors
      const distance = count - cells[atLastError]!
      cells[atLastError] = count
      const before = cells[atMean]!
      const mean = before + (1 / errors) * (distance - before)
      cells[atMean] = mean
      cells[atSquares] = cells[atSquares]! + (distance - before) * (distance - mean)
      if (count > warmStart) {
        const variance = errors > 1 ? cells[atSquares]! / (errors - 1) : 0
        const reach = mean + 2 * variance ** 0.5
        if (reach > cells[atLongest]!) {
          cells[atLongest] = reach
        } else if (errors > warmStart) {
          const level = reach / cells[atLongest]!
          if (level < beta) return 'drift'
          cells[atWarning] = level < alpha ? 1 : 0
        }
      }
      return cells[atWarning] === 1 ? 'warning' : 'steady'
    },
  })
}
