import { createHash } from 'node:crypto'

/** How actions other than the best are tried now and then. */
export type Exploration =
  | { readonly kind: 'epsilon-greedy'; readonly share: number }
  | { readonly kind: 'softmax'; readonly temperature: number }

/**
 * Takes any of the actions, each alike, in this share of the decisions, and
 * the best in all others.
 *
 * Source: Sutton and Barto, "Reinforcement Learning", 2nd edition 2018, section 2.2.
 *
 * @throws RangeError for a share that is not in [0, 1]
 */
export function epsilonGreedy(share: number): Exploration {
  if (!(share >= 0 && share <= 1)) throw new RangeError(`a share lies from 0 to 1, got ${share}`)
  return { kind: 'epsilon-greedy', share }
}

/**
 * Takes each action in proportion to e to the power of its value by the
 * temperature, which is in the unit of the values: the smaller, the greedier.
 *
 * Source: Sutton and Barto, "Reinforcement Learning", 2nd edition 2018, section 2.8.
 *
 * @throws RangeError for a temperature that is not positive
 */
export function softmax(temperature: number): Exploration {
  if (!(temperature > 0 && temperature < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`a temperature is positive, got ${temperature}`)
  }
  return { kind: 'softmax', temperature }
}

/** What is done with a model's answer. */
export interface DecisionOptions<Action extends string = string> {
  /** At least two. */
  readonly actions: readonly Action[]
  /** The reward to be expected of an action, by the model's answer. */
  readonly value: (output: number, action: Action) => number
  /** The reward that came, by the label; the label itself unless given. */
  readonly reward?: (label: number, action: Action) => number
  readonly explore: Exploration
  /** Of the draws; 0 unless given. */
  readonly seed?: number
}

/** An action taken, and what is logged of it. */
export interface Decided {
  readonly action: string
  /** Probability with which it was taken, in (0, 1]. */
  readonly propensity: number
  /** Expected reward of each action, in their declared order. */
  readonly values: readonly number[]
}

/**
 * Turns answers into actions. The draw is a digest of the seed, the model and
 * the request: a replay takes the same action again, with the same propensity.
 */
export class Decision {
  readonly actions: readonly string[]
  readonly explore: Exploration
  readonly #name: string
  readonly #options: DecisionOptions

  /** @throws RangeError for fewer than two actions, or one that is named twice or not at all */
  constructor(name: string, options: DecisionOptions) {
    const { actions } = options
    if (actions.length < 2 || new Set(actions).size < actions.length || actions.includes('')) {
      throw new RangeError(
        `model "${name}" decides between two or more actions with names of their own, got ${JSON.stringify(actions)}`,
      )
    }
    this.actions = actions
    this.explore = options.explore
    this.#name = name
    this.#options = options
  }

  decide(output: number, requestId: string): Decided {
    const values = this.values(output)
    const probabilities = probabilitiesOf(this.explore, values)
    const digest = createHash('sha256')
      .update(`${this.#options.seed ?? 0}:${this.#name}:${requestId}`)
      .digest()
    let rest = digest.readUIntBE(0, 6) / 2 ** 48
    // What rounding leaves over belongs to the last that can be taken.
    let taken = probabilities.findLastIndex((probability) => probability > 0)
    for (const [index, probability] of probabilities.entries()) {
      if (rest < probability) {
        taken = index
        break
      }
      rest -= probability
    }
    return { action: this.actions[taken]!, propensity: probabilities[taken]!, values }
  }

  /** Expected reward of each action. */
  values(output: number): number[] {
    return this.actions.map((action) => this.#options.value(output, action))
  }

  /** Probability of each action, in their order. */
  probabilities(output: number): number[] {
    return probabilitiesOf(this.explore, this.values(output))
  }

  reward(label: number, action: string): number {
    return this.#options.reward?.(label, action) ?? label
  }
}

/** Where a value is unknown, all actions are alike. */
function probabilitiesOf(explore: Exploration, values: readonly number[]): number[] {
  const count = values.length
  if (values.some((value) => !Number.isFinite(value))) return values.map(() => 1 / count)
  const best = bestOf(values)
  if (explore.kind === 'epsilon-greedy') {
    return values.map((_, index) => explore.share / count + (index === best ? 1 - explore.share : 0))
  }
  const shares = values.map((value) => Math.exp((value - values[best]!) / explore.temperature))
  const sum = shares.reduce((total, share) => total + share, 0)
  return shares.map((share) => share / sum)
}

/** Place of the greatest, the first of equal ones. */
export function bestOf(values: readonly number[]): number {
  let best = 0
  for (const [index, value] of values.entries()) if (value > values[best]!) best = index
  return best
}
