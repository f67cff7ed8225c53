import { describe, expect, test } from 'vitest'
import { binnedAuc, exactAuc } from '../../../models/metrics/auc.ts'
import { averagePrecision, binnedAveragePrecision } from '../../../models/metrics/average-precision.ts'
import { calibrationError, equalMassCalibrationError } from '../../../models/metrics/calibration.ts'
import { evaluate } from '../../../models/metrics/metric.ts'
import {
  brierScore,
  calibrationRatio,
  logLoss,
  normalizedEntropy,
} from '../../../models/metrics/probability-metrics.ts'
import {
  meanAbsoluteError,
  meanAbsolutePercentageError,
  meanSquaredError,
  meanSquaredLogError,
  medianAbsoluteError,
  quantileLoss,
  r2,
  rootMeanSquaredError,
  symmetricPercentageError,
} from '../../../models/metrics/regression-metrics.ts'
import { metricSuite } from '../../conformance/metric.suite.ts'
import { draws } from '../../support/learning-examples.ts'

const draw = draws(11)
const judged = Array.from({ length: 60 }, () => {
  const label = draw() < 0.4 ? 1 : 0
  const prediction = Math.round((0.3 * label + 0.7 * draw()) * 20) / 20
  return { label, prediction, weight: 0.5 + draw() }
})

for (const metric of [
  exactAuc,
  binnedAuc(),
  binnedAveragePrecision(),
  averagePrecision,
  logLoss(),
  brierScore,
  calibrationRatio,
  normalizedEntropy,
  calibrationError(),
  equalMassCalibrationError(),
  meanAbsoluteError,
  meanSquaredError,
  rootMeanSquaredError,
  meanSquaredLogError,
  meanAbsolutePercentageError,
  symmetricPercentageError,
  quantileLoss(0.9),
  r2,
  medianAbsoluteError,
]) {
  metricSuite(metric, judged)
}

describe('evaluate', () => {
  test('is the fold over a finished set', () => {
    expect(evaluate(meanAbsoluteError, [3, -0.5, 2, 7], [2.5, 0, 2, 8])).toBe(0.5)
    expect(evaluate(meanAbsoluteError, [1, 3], [0, 0], [3, 1])).toBe(1.5)
  })

  test('refuses lists that do not match', () => {
    expect(() => evaluate(meanAbsoluteError, [1, 2], [1])).toThrow(/2 labels do not match 1 predictions/)
  })
})
