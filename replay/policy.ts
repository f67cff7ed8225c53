import type { Declaration } from '../models/declaration.ts'
import { bestOf, type Decision } from '../models/policy/decision.ts'
import {
  estimateOffPolicy,
  type LoggedChoice,
  type OffPolicyEstimates,
  type OffPolicyOptions,
  requireSupport,
} from '../models/policy/off-policy.ts'
import type { PredictionEvent } from '../state/contracts/engine-contracts.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import { modelOf } from './candidate.ts'
import { DecisionReader } from './decision-reader.ts'
import { PositionFilter, type PositionRange } from './replay-range.ts'

/** The policy in question. */
export type PolicyTarget =
  /** Always this action. */
  | { readonly kind: 'always'; readonly action: string }
  /** Always the action that the serving model valued most. */
  | { readonly kind: 'greedy' }
  /** Each action alike. */
  | { readonly kind: 'uniform' }
  /** What another model would have decided, by its answers to the same requests; see `candidatePredictions`. */
  | { readonly kind: 'candidate'; readonly decision: Decision; readonly outputs: ReadonlyMap<string, number> }

export interface PolicyOptions extends OffPolicyOptions {
  readonly declaration: Declaration
  readonly log: Log
  readonly registry: SchemaRegistry
  /** The only one unless given. */
  readonly model?: string
  readonly target: PolicyTarget
  readonly fromMs?: TimestampMs
  readonly toMs?: TimestampMs
  /** Only requests that were answered at these places of the fold. */
  readonly positions?: PositionRange
  /** Choices that the estimates must be worth; 100 unless given. */
  readonly leastEffective?: number
  readonly onProgress?: (events: number) => void
}

/** What was taken, and what came of it. */
export interface ActionReport {
  readonly action: string
  readonly choices: number
  readonly meanPropensity: number
  readonly meanReward: number
}

export interface PolicyReport {
  readonly model: string
  readonly target: PolicyTarget['kind']
  /** Choices whose label came: what the estimates are made of. */
  readonly choices: number
  readonly unlabelled: number
  /** Predictions of before the actions were declared, or of others: left out. */
  readonly undecided: number
  /** Requests that the candidate did not answer: left out. */
  readonly unanswered: number
  /** Mean reward of the policy that ran. */
  readonly logged: number
  readonly actions: readonly ActionReport[]
  /** Of the policy in question. */
  readonly estimates: OffPolicyEstimates
}

/** What the policy in question does otherwise, where the log could not: above this its estimates are refused. */
const mostUnsupported = 0.01

/**
 * What another policy would have earned, from a log whose choices were drawn
 * and logged with their propensities; `decide` of a model does that. Rewards
 * are made of the labels; the estimates that need expected rewards take those
 * that the serving model had before the label came.
 *
 * In memory: a few numbers a choice.
 *
 * @throws EngineError `off-policy-deterministic` where the log could not have taken what the policy takes,
 *   `off-policy-unsupported` where it hardly ever did, `model-unknown`; RangeError for an unknown action
 */
export async function policy(options: PolicyOptions): Promise<PolicyReport> {
  const { declaration, target, leastEffective } = options
  const model = modelOf(declaration, options.model)
  checkTarget(model.decision, target)
  const found = await readChoices(options)
  const { decision } = model
  if (decision === undefined || found.choices.length === 0) {
    throw new EngineError('off-policy-deterministic', {
      choices: found.undecided,
      certain: found.undecided,
      otherwise: 1,
    })
  }
  const logged = found.choices.map(({ choice }) => choice)
  refuseCertain(logged)
  const estimates = estimateOffPolicy(logged, options)
  requireSupport(estimates, leastEffective)
  const rewards = logged.reduce((sum, { reward }) => sum + reward, 0)
  return {
    model: model.name,
    target: target.kind,
    choices: logged.length,
    unlabelled: found.unlabelled,
    undecided: found.undecided,
    unanswered: found.unanswered,
    logged: rewards / logged.length,
    actions: decision.actions.map((action) => {
      const taken = found.choices.filter((each) => each.action === action).map(({ choice }) => choice)
      const mean = (of: (choice: LoggedChoice) => number) =>
        taken.reduce((sum, choice) => sum + of(choice), 0) / taken.length
      return {
        action,
        choices: taken.length,
        meanPropensity: mean(({ propensity }) => propensity),
        meanReward: mean(({ reward }) => reward),
      }
    }),
    estimates,
  }
}

function checkTarget(decision: Decision | undefined, target: PolicyTarget): void {
  if (decision === undefined) return
  const known = decision.actions
  const unknown =
    target.kind === 'always'
      ? [target.action].filter((action) => !known.includes(action))
      : target.kind === 'candidate'
        ? target.decision.actions.filter((action) => !known.includes(action))
        : []
  if (unknown.length === 0) return
  throw new RangeError(
    `action "${unknown[0]}" was never among those that the model decides between: ${known.join(', ')}`,
  )
}

interface Choices {
  readonly choices: readonly { readonly action: string; readonly choice: LoggedChoice }[]
  readonly unlabelled: number
  readonly undecided: number
  readonly unanswered: number
}

/** Choices in the order of the predictions; of several labels the last counts. */
async function readChoices(options: PolicyOptions): Promise<Choices> {
  const { declaration, log, registry, target, onProgress } = options
  const model = modelOf(declaration, options.model)
  const reader = await DecisionReader.open(declaration.name, model.name, log, registry)
  const extent = await reader.extent()
  const { fromMs = extent?.fromMs ?? 0, toMs = extent?.toMs ?? 0, positions } = options
  const filter = positions && (await PositionFilter.open(positions, { app: declaration.name, log, registry }))
  const open = new Map<string, { action: string; choice: Omit<LoggedChoice, 'reward'> }>()
  const rewards = new Map<string, number>()
  let undecided = 0
  let unanswered = 0
  let events = 0
  for await (const { kind, atMs, event } of reader.read(
    { fromMs, toMs: toMs + model.label.withinMs + 1 },
    0,
  )) {
    onProgress?.(++events)
    if (kind === 'label') {
      rewards.set(event.requestId, event.value)
      continue
    }
    if (atMs < fromMs || atMs >= toMs || filter?.includes(event.position.offsets) === false) continue
    const { decision } = model
    if (decision === undefined || !decision.actions.includes(event.variant)) {
      undecided++
      continue
    }
    const probabilities = targetProbabilities(decision, target, event)
    if (probabilities === undefined) unanswered++
    else
      open.set(event.requestId, { action: event.variant, choice: choiceOf(decision, event, probabilities) })
  }
  const choices = []
  for (const [requestId, { action, choice }] of open) {
    const label = rewards.get(requestId)
    if (label === undefined) continue
    choices.push({ action, choice: { ...choice, reward: model.decision!.reward(label, action) } })
  }
  return { choices, unlabelled: open.size - choices.length, undecided, unanswered }
}

/** In the order of the decision's actions; undefined where the candidate gave no answer. */
function targetProbabilities(
  { actions }: Decision,
  target: PolicyTarget,
  { requestId, scores }: PredictionEvent,
): readonly number[] | undefined {
  if (target.kind === 'uniform') return actions.map(() => 1 / actions.length)
  if (target.kind === 'always') return actions.map((action) => (action === target.action ? 1 : 0))
  if (target.kind === 'greedy') {
    const best = bestOf(scores ?? actions.map(() => 0))
    return actions.map((_, index) => (index === best ? 1 : 0))
  }
  const output = target.outputs.get(requestId)
  if (output === undefined) return undefined
  const probabilities = target.decision.probabilities(output)
  return actions.map((action) => probabilities[target.decision.actions.indexOf(action)] ?? 0)
}

function choiceOf(
  { actions }: Decision,
  { variant, propensity, scores }: PredictionEvent,
  probabilities: readonly number[],
): Omit<LoggedChoice, 'reward'> {
  const taken = actions.indexOf(variant)
  const choice = { propensity, targetProbability: probabilities[taken]! }
  if (scores === null || scores.length !== actions.length || scores.some(Number.isNaN)) return choice
  const targetEstimate = scores.reduce((sum, score, index) => sum + score * probabilities[index]!, 0)
  return { ...choice, estimate: scores[taken]!, targetEstimate }
}

/** Where the propensity is 1 nothing else was possible: no weight makes up for what was never tried. */
function refuseCertain(choices: readonly LoggedChoice[]): void {
  let certain = 0
  let otherwise = 0
  for (const { propensity, targetProbability } of choices) {
    if (propensity < 1) continue
    certain++
    otherwise += 1 - targetProbability
  }
  if (otherwise / choices.length <= mostUnsupported) return
  throw new EngineError('off-policy-deterministic', {
    choices: choices.length,
    certain,
    otherwise: otherwise / choices.length,
  })
}
