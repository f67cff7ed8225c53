import { EngineError } from '../../state/contracts/engine-error.ts'

/** A choice that a logging policy made, and how another policy sees it. */
export interface LoggedChoice {
  readonly reward: number
  /** Probability with which the logging policy took what it took, in (0, 1]. */
  readonly propensity: number
  /** Probability with which the target policy takes the same. */
  readonly targetProbability: number
  /** A model's estimate of the reward of what was taken; needed with the next. */
  readonly estimate?: number
  /** The same, averaged over what the target policy would take. */
  readonly targetEstimate?: number
}

export interface OffPolicyOptions {
  /** Weights are cut here for the clipped estimate; 10 unless given. */
  readonly clip?: number
  /** Beyond this weight SWITCH trusts the estimates alone; 10 unless given. */
  readonly switchAt?: number
}

/** The mean reward that the target policy would have had. */
export interface OffPolicyEstimates {
  readonly count: number
  /** Choices that the target policy takes too, with any probability. */
  readonly matched: number
  /** Mean reward of those: the value of a deterministic policy where the log was drawn uniformly. */
  readonly replay: number
  readonly meanWeight: number
  readonly maxWeight: number
  /** (sum of weights)² / sum of squared weights: how many choices the estimate really rests on. */
  readonly effectiveSampleSize: number
  /** Inverse propensity scoring and its standard error: without bias, at the price of variance. */
  readonly ips: number
  readonly ipsError: number
  /** Self-normalised: slightly biased, bounded by the rewards. */
  readonly snips: number
  readonly clipped: number
  readonly clippedCount: number
  /** These need estimates of the reward with every choice. */
  readonly direct?: number
  readonly doublyRobust?: number
  readonly switched?: number
}

/**
 * What another policy would have earned, from the log of the one that ran.
 *
 * Sources: Horvitz and Thompson, "A Generalization of Sampling Without
 * Replacement from a Finite Universe", 1952 (IPS); Swaminathan and Joachims,
 * "The Self-Normalized Estimator for Counterfactual Learning", NIPS 2015
 * (SNIPS); Dudík, Langford and Li, "Doubly Robust Policy Evaluation and
 * Learning", ICML 2011 (DM, DR); Wang, Agarwal and Dudík, "Optimal and
 * Adaptive Off-policy Evaluation in Contextual Bandits", ICML 2017 (SWITCH).
 *
 * @throws RangeError for a propensity that is not in (0, 1], or without a choice
 */
export function estimateOffPolicy(
  choices: Iterable<LoggedChoice>,
  { clip = 10, switchAt = 10 }: OffPolicyOptions = {},
): OffPolicyEstimates {
  let count = 0
  let matched = 0
  let matchedReward = 0
  let weights = 0
  let squares = 0
  let maxWeight = 0
  let mean = 0
  let deviations = 0
  let clipped = 0
  let clippedCount = 0
  let estimated = 0
  let direct = 0
  let correction = 0
  let switchedCorrection = 0
  for (const { reward, propensity, targetProbability, estimate, targetEstimate } of choices) {
    if (!(propensity > 0 && propensity <= 1)) {
      throw new RangeError(`a propensity lies above 0 and not above 1, got ${propensity}`)
    }
    const weight = targetProbability / propensity
    count++
    if (targetProbability > 0) {
      matched++
      matchedReward += reward
    }
    weights += weight
    squares += weight * weight
    maxWeight = Math.max(maxWeight, weight)
    const gap = weight * reward - mean
    mean += gap / count
    deviations += gap * (weight * reward - mean)
    clipped += Math.min(weight, clip) * reward
    if (weight > clip) clippedCount++
    if (estimate === undefined || targetEstimate === undefined) continue
    estimated++
    direct += targetEstimate
    correction += weight * (reward - estimate)
    if (weight <= switchAt) switchedCorrection += weight * (reward - estimate)
  }
  if (count === 0) throw new RangeError('an estimate needs at least one logged choice')
  return {
    count,
    matched,
    replay: matched > 0 ? matchedReward / matched : Number.NaN,
    meanWeight: weights / count,
    maxWeight,
    effectiveSampleSize: squares > 0 ? (weights * weights) / squares : 0,
    ips: mean,
    ipsError: Math.sqrt(deviations / Math.max(1, count - 1) / count),
    snips: weights > 0 ? (mean * count) / weights : Number.NaN,
    clipped: clipped / count,
    clippedCount,
    ...(estimated === count
      ? {
          direct: direct / count,
          doublyRobust: (direct + correction) / count,
          switched: (direct + switchedCorrection) / count,
        }
      : {}),
  }
}

/**
 * Refuses estimates that rest on too few choices: the log does not hold what
 * the target policy would have done.
 *
 * @throws EngineError `off-policy-unsupported`
 */
export function requireSupport({ effectiveSampleSize, count }: OffPolicyEstimates, least = 100): void {
  if (effectiveSampleSize >= least) return
  throw new EngineError('off-policy-unsupported', { effective: effectiveSampleSize, least, count })
}
