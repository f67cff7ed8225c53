import { EngineError } from '../state/contracts/engine-error.ts'
import type { FeatureVector } from './predictor.ts'

/** A piece of a learner's state: the unit in which a checkpoint writes what changed. */
export interface StatePage {
  /** Position in the state, from 0; stable for the learner's life. */
  readonly page: number
  /** The page's whole content. A later page of the same number replaces it. */
  readonly bytes: Uint8Array
}

/**
 * What a learner has learnt. It changes in place, and it can be written in two
 * forms, both exact to the last bit:
 *
 * * pages, only those that changed, for the checkpoints of a state store;
 * * a snapshot, compact and canonical (equal states give equal bytes), for the
 *   log, for other tasks and for digests.
 */
export interface LearnerState {
  /** Bytes that the next `save` would write, roughly. */
  readonly dirtyBytes: number
  /** The pages that changed since the last `save`; all that ever changed if there was none. */
  save(): StatePage[]
  /** Brings a fresh state to where the saved one stood: all pages ever saved, the latest of each number, in any order. */
  restore(pages: Iterable<StatePage>): void
  snapshot(): Uint8Array
  /** Replaces the content by that of a snapshot; the next `save` writes whatever differs from before. */
  load(snapshot: Uint8Array): void
}

/** What a learner promises beyond the laws that all obey. */
export interface LearnerLaws {
  /** The order of the examples does not matter, up to rounding. */
  readonly orderInsensitive: boolean
}

/**
 * A model that learns one example at a time.
 *
 * Laws, checked for every learner by `test/conformance/learner.suite.ts`:
 * `predict` changes nothing; `learn` leaves the features alone; a learner that
 * was saved and restored half way ends with the same bits as one that was not;
 * a snapshot round trip keeps every bit; features or labels that are NaN or
 * infinite never reach the state; an example of weight 0 changes no answer.
 */
export interface Learner<State extends LearnerState = LearnerState> {
  /** Kind and parameters. A state belongs to the name under which it was learnt. */
  readonly name: string
  readonly featureCount: number
  readonly laws: LearnerLaws
  /** A fresh state. */
  init(): State
  /**
   * A probability (of label 1), a value, or, of a `Classifier` with more than
   * two classes, the most probable class.
   */
  predict(state: State, features: FeatureVector): number
  /**
   * Takes one example in. `label` is 0 or 1, a class index, or a value;
   * `weight` multiplies its effect, 1 unless given, 0 or more. An example
   * whose label or weight is not usable is passed over.
   */
  learn(state: State, features: FeatureVector, label: number, weight?: number): void
}

/** A learner of classes 0 to `classCount - 1`. With two classes `predict` gives the probability of class 1. */
export interface Classifier<State extends LearnerState = LearnerState> extends Learner<State> {
  readonly classCount: number
  /** Writes the probability of each class to `into`, shape `[classCount]`; all 0 before the first example. */
  probabilities(state: State, features: FeatureVector, into: Float64Array): void
}

/** A learner whose answer is a sum of one term for each of its inputs. */
export interface ExplainableLearner<State extends LearnerState = LearnerState> extends Learner<State> {
  /** What `contributions` are of: the constant first, then the inputs. */
  readonly termNames: readonly string[]
  /** Writes each term of the score, before any link function, to `into`, shape `[termNames]`. */
  contributions(state: State, features: FeatureVector, into: Float64Array): void
}

/** A state from a snapshot of the same learner. */
export function fromSnapshot<State extends LearnerState>(
  learner: Learner<State>,
  snapshot: Uint8Array,
): State {
  const state = learner.init()
  state.load(snapshot)
  return state
}

/** Refuses bytes that are not a snapshot, or not one of this learner. */
export function refuseSnapshot(learner: string, reason: string): never {
  throw new EngineError('snapshot-unusable', { learner, reason })
}
