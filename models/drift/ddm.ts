import { cellDetector, checkSetting, type DriftDetector } from './drift-detector.ts'

export interface DdmOptions {
  /** Values up to which nothing is told; 30 unless given. */
  readonly warmStart?: number
  /** Standard deviations above the lowest rate; 2 and 3 unless given. */
  readonly warningThreshold?: number
  readonly driftThreshold?: number
}

const atCount = 0
const atRate = 1
const atLowestRate = 2
const atLowestDeviation = 3

/**
 * Drift detection method: the rate of errors (values 1, else 0) falls while a
 * model learns, so a rate that rises well above its lowest is a change.
 *
 * Source: Gama, Medas, Castillo and Rodrigues, "Learning with Drift
 * Detection", SBIA 2004.
 */
export function ddm(options: DdmOptions = {}): DriftDetector {
  const settings = { warmStart: 30, warningThreshold: 2, driftThreshold: 3, ...options }
  const { warmStart, warningThreshold, driftThreshold } = settings
  checkSetting('warmStart', warmStart, 0, Number.MAX_SAFE_INTEGER)
  return cellDetector({
    name: `ddm ${JSON.stringify(settings)}`,
    width: 4,
    start: (cells) => cells.fill(Number.POSITIVE_INFINITY, atLowestRate),
    step(cells, value) {
      const count = cells[atCount]! + 1
      const rate = cells[atRate]! + (1 / count) * (value - cells[atRate]!)
      cells[atCount] = count
      cells[atRate] = rate
      if (count <= warmStart) return 'steady'
      const deviation = Math.sqrt((rate * (1 - rate)) / count)
      if (rate + deviation <= cells[atLowestRate]! + cells[atLowestDeviation]!) {
        cells[atLowestRate] = rate
        cells[atLowestDeviation] = deviation
      }
      const excess = (times: number) =>
        rate + deviation > cells[atLowestRate]! + times * cells[atLowestDeviation]!
      return excess(driftThreshold) ? 'drift' : excess(warningThreshold) ? 'warning' : 'steady'
    },
  })
}
