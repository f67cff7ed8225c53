import type { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { Classifier } from '../learner.ts'
import { generatorWidth, SeededGenerator } from '../policy/seeded-generator.ts'
import type { ByteCursor } from './byte-cursor.ts'
import { answerOf, checkClassCount, isClassExample, largestIndex } from './class-label.ts'
import { type EncodedPart, EncodedState } from './encoded-state.ts'
import { errorWatchWidth, shareRight, watchError } from './error-watch.ts'
import { GrowingTree, type TreeOptions, type TreeSettings, treeSettings } from './growing-tree.ts'

export interface AdaptiveForestOptions extends TreeOptions {
  readonly featureCount: number
  readonly classCount: number
  /** 10 unless given, 1 to 256. */
  readonly trees?: number
  /** Features that a leaf may split on, drawn for each; one more than the root of all unless given. */
  readonly featuresPerLeaf?: number
  /** Each tree learns an example as often as a Poisson number of this mean says; 6 unless given. */
  readonly lambda?: number
  /** 1 unless given. The draws are part of the state: the same events give the same forest. */
  readonly seed?: number
}

/**
 * Adaptive random forest: Hoeffding trees that each see another sample of the
 * examples and other features. A tree whose mistakes grow gets a successor
 * that learns beside it, and gives way to it when they keep growing. Votes
 * count by how often a tree has been right.
 *
 * The detector of change is that of Gama et al. 2004 (see `watchError`), not
 * ADWIN as in the paper. Leaves split after 50 examples at a delta of 0.01
 * unless told otherwise.
 *
 * Source: Gomes et al., "Adaptive Random Forests for Evolving Data Stream
 * Classification", Machine Learning 2017.
 */
export function adaptiveForest(options: AdaptiveForestOptions): Classifier<EncodedState<ForestMember>> {
  const { featureCount, classCount, trees = 10, lambda = 6, seed = 1 } = options
  const featuresPerLeaf =
    options.featuresPerLeaf ?? Math.min(featureCount, Math.round(Math.sqrt(featureCount)) + 1)
  checkClassCount(classCount)
  if (!(Number.isInteger(trees) && trees >= 1 && trees <= 256)) {
    throw new RangeError(`trees must be a whole number from 1 to 256, got ${trees}`)
  }
  if (!(Number.isInteger(featuresPerLeaf) && featuresPerLeaf >= 1 && featuresPerLeaf <= featureCount)) {
    throw new RangeError(`featuresPerLeaf must be from 1 to ${featureCount}, got ${featuresPerLeaf}`)
  }
  if (!(lambda > 0 && lambda <= 100)) throw new RangeError(`lambda must lie between 0 and 100, got ${lambda}`)
  const settings = treeSettings({ gracePeriod: 50, delta: 0.01, ...options })
  const shape = { featureCount, classCount, featuresPerLeaf, lambda, settings }
  const name = `adaptive-forest ${JSON.stringify({ trees, seed, ...shape })}`
  const votes = new Float64Array(classCount)
  const scratch = new Float64Array(classCount)

  function probabilities(
    { parts }: EncodedState<ForestMember>,
    features: Float64Array,
    into: Float64Array,
  ): void {
    into.fill(0)
    let total = 0
    for (const member of parts) {
      member.tree.votes(features, votes)
      for (let label = 0; label < classCount; label++) {
        const vote = member.weight * votes[label]!
        into[label] = into[label]! + vote
        total += vote
      }
    }
    if (total > 0) for (let label = 0; label < classCount; label++) into[label] = into[label]! / total
  }

  return {
    name,
    featureCount,
    classCount,
    laws: { orderInsensitive: false },
    init: () =>
      new EncodedState(
        name,
        Array.from({ length: trees }, (_, index) => new ForestMember(shape, seed * 256 + index)),
      ),
    probabilities,
    predict(state, features) {
      probabilities(state, features, scratch)
      return answerOf(scratch)
    },
    learn({ parts }, features, label, weight = 1) {
      if (!isClassExample(label, weight, classCount)) return
      for (const member of parts) member.learn(features, label, weight)
    },
  }
}

interface ForestShape {
  readonly featureCount: number
  readonly classCount: number
  readonly featuresPerLeaf: number
  readonly lambda: number
  readonly settings: TreeSettings
}

/** One tree of a forest, with its draws, its watch and, after a warning, its successor. */
export class ForestMember implements EncodedPart {
  changed = false
  tree: GrowingTree
  readonly #shape: ForestShape
  readonly #generator: SeededGenerator
  readonly #watch = new Float64Array(errorWatchWidth)
  readonly #votes: Float64Array
  #successor: GrowingTree | undefined

  constructor(shape: ForestShape, seed: number) {
    this.#shape = shape
    this.#generator = SeededGenerator.of(seed)
    this.#votes = new Float64Array(shape.classCount)
    this.tree = this.#plant()
  }

  /** How much its votes count: never nothing, so that a forest of losers still answers. */
  get weight(): number {
    return Math.max(shareRight(this.#watch), 1e-6)
  }

  learn(features: Float64Array, label: number, weight: number): void {
    this.changed = true
    this.tree.votes(features, this.#votes)
    const state = watchError(this.#watch, largestIndex(this.#votes) !== label)
    if (state === 'drift') {
      this.tree = this.#successor ?? this.#plant()
      this.#successor = undefined
      this.#watch.fill(0)
    } else if (state === 'warning') {
      this.#successor ??= this.#plant()
    } else {
      this.#successor = undefined
    }
    const times = this.#generator.poisson(this.#shape.lambda)
    if (times === 0) return
    this.tree.learn(features, label, weight * times)
    this.#successor?.learn(features, label, weight * times)
  }

  write(out: ByteWriter): void {
    for (const cells of [this.#generator.cells, this.#watch]) for (const cell of cells) out.double(cell)
    this.tree.write(out)
    out.byte(this.#successor ? 1 : 0)
    this.#successor?.write(out)
  }

  read(cursor: ByteCursor): void {
    const generator = Float64Array.from({ length: generatorWidth }, () => cursor.double())
    for (let index = 0; index < errorWatchWidth; index++) this.#watch[index] = cursor.double()
    this.tree.read(cursor)
    this.#successor = undefined
    if (cursor.take(1)[0] === 1) {
      this.#successor = this.#plant()
      this.#successor.read(cursor)
    }
    // Planting draws; so the draws come last.
    this.#generator.cells.set(generator)
  }

  #plant(): GrowingTree {
    const { featureCount, classCount, featuresPerLeaf, settings } = this.#shape
    return new GrowingTree(settings, classCount, () =>
      Int32Array.from(this.#generator.sample(featureCount, featuresPerLeaf)),
    )
  }
}
