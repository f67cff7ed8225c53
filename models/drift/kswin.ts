import { cellDetector, checkSetting, type DriftDetector } from './drift-detector.ts'
import { ksPvalueExact, ksStatistic } from './ks-test.ts'
import { MersenneTwister, twisterWidth } from './mersenne-twister.ts'

export interface KswinOptions {
  /** Chance of a false alarm at a value; 0.005 unless given. */
  readonly alpha?: number
  /** Values that are kept; 100 unless given. */
  readonly windowSize?: number
  /** The latest values, compared with as many drawn from the rest; 30 unless given, at most half of the window. */
  readonly statSize?: number
  /** 1 unless given. */
  readonly seed?: number
}

/** Below this distance it is no drift, however sure. */
const leastDistance = 0.1

/**
 * Compares the latest values of a window with a sample of the earlier ones by
 * the Kolmogorov-Smirnov test: it sees changes of the distribution at the same
 * mean. After a drift the window starts empty and the draws start anew. No
 * warnings.
 *
 * Source: Raab, Heusinger and Schleif, "Reactive Soft Prototype Computing for
 * Concept Drift Streams", Neurocomputing 2020; draws as in the library River.
 */
export function kswin(options: KswinOptions = {}): DriftDetector {
  const settings = { alpha: 0.005, windowSize: 100, statSize: 30, seed: 1, ...options }
  const { alpha, windowSize, statSize, seed } = settings
  checkSetting('alpha', alpha, 0, 1)
  checkSetting('windowSize', windowSize, 2, 100_000)
  checkSetting('statSize', statSize, 1, windowSize / 2)
  const atCount = windowSize
  const atTwister = windowSize + 1
  const past = windowSize - statSize
  const detector = cellDetector({
    name: `kswin ${JSON.stringify(settings)}`,
    width: atTwister + twisterWidth,
    start: (cells) => new MersenneTwister(cells, atTwister).seed(seed),
    step(cells, value) {
      const count = cells[atCount]!
      if (count === windowSize) cells.copyWithin(0, 1, windowSize)
      const filled = Math.min(count + 1, windowSize)
      cells[filled - 1] = value
      cells[atCount] = filled
      if (filled < windowSize) return 'steady'
      const drawn = new MersenneTwister(cells, atTwister).sample(past, statSize)
      const sample = Float64Array.from(drawn, (index) => cells[index]!).sort()
      const latest = cells.slice(past, windowSize).sort()
      const distance = ksStatistic(sample, latest)
      if (distance <= leastDistance) return 'steady'
      return ksPvalueExact(distance, statSize, statSize) <= alpha ? 'drift' : 'steady'
    },
  })
  return detector
}
