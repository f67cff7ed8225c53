import type { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { ByteCursor } from './byte-cursor.ts'
import type { EncodedPart } from './encoded-state.ts'
import { splitMerit } from './split-merit.ts'
import {
  activate,
  addClass,
  bayesVotes,
  bestSplit,
  majorityVotes,
  newLeaf,
  observe,
  readLeaf,
  type SplitCandidate,
  type SplitMerit,
  type TreeLeaf,
  votedClass,
  weightOf,
  writeLeaf,
} from './tree-leaf.ts'

export interface TreeOptions {
  /** Weight that a leaf sees between two attempts to split; 200 unless given. */
  readonly gracePeriod?: number
  /** Chance of a wrong split that is accepted; 1e-7 unless given. */
  readonly delta?: number
  /** Below this bound two splits count as equally good and the leaf splits; 0.05 unless given. */
  readonly tau?: number
  /** Thresholds tried for each feature; 10 unless given. */
  readonly splitPoints?: number
  /** How leaves answer; `adaptive` unless given. */
  readonly leaves?: 'majority' | 'bayes' | 'adaptive'
  readonly criterion?: 'information-gain' | 'gini'
  /** A leaf this deep splits no more; no limit unless given. */
  readonly maxDepth?: number
  /** With this many leaves the tree splits no more; 10,000 unless given. */
  readonly maxLeaves?: number
}

export type TreeSettings = Required<TreeOptions>

/** Two sides of a split must each hold more than this share, or it has no merit. */
const minBranchShare = 0.01

/** A leaf with a greater share of one class gives up splitting. */
const maxMajorityShare = 0.99

export function treeSettings(options: TreeOptions): TreeSettings {
  const {
    gracePeriod = 200,
    delta = 1e-7,
    tau = 0.05,
    splitPoints = 10,
    leaves = 'adaptive',
    criterion = 'information-gain',
    maxDepth = 1_000,
    maxLeaves = 10_000,
  } = options
  if (!(gracePeriod > 0)) throw new RangeError(`gracePeriod must be above 0, got ${gracePeriod}`)
  if (!(delta > 0 && delta < 1)) throw new RangeError(`delta must lie between 0 and 1, got ${delta}`)
  return { gracePeriod, delta, tau, splitPoints, leaves, criterion, maxDepth, maxLeaves }
}

interface TreeBranch {
  readonly kind: 'branch'
  readonly feature: number
  readonly threshold: number
  readonly children: [TreeNode, TreeNode]
}

type TreeNode = TreeLeaf | TreeBranch

/** Where a leaf hangs: a side of a branch, or the root. */
interface Place {
  readonly leaf: TreeLeaf
  readonly parent: TreeBranch | undefined
  readonly side: 0 | 1
}

/** One tree that learns, in its own memory. Votes are class probabilities, all 0 before the first example. */
export class GrowingTree implements EncodedPart {
  changed = false
  readonly #settings: TreeSettings
  readonly #classCount: number
  readonly #drawFeatures: () => Int32Array
  readonly #votes: Float64Array
  #root: TreeNode
  #leafCount = 1

  /** `drawFeatures` says which features a new leaf observes. */
  constructor(settings: TreeSettings, classCount: number, drawFeatures: () => Int32Array) {
    this.#settings = settings
    this.#classCount = classCount
    this.#drawFeatures = drawFeatures
    this.#votes = new Float64Array(classCount)
    this.#root = newLeaf(0, classCount, drawFeatures())
  }

  get leafCount(): number {
    return this.#leafCount
  }

  votes(features: Float64Array, into: Float64Array): void {
    const { leaf } = this.#placeOf(features)
    const { leaves } = this.#settings
    const bayes =
      leaves === 'bayes' || (leaves === 'adaptive' && leaf.bayesRight >= leaf.majorityRight && leaf.observers)
    if (bayes) bayesVotes(leaf, features, into)
    else majorityVotes(leaf, into)
  }

  learn(features: Float64Array, label: number, weight: number): void {
    this.changed = true
    const place = this.#placeOf(features)
    const { leaf } = place
    if (this.#settings.leaves === 'adaptive' && leaf.observers) this.#judge(leaf, features, label, weight)
    observe(leaf, features, label, weight)
    if (!leaf.observers) return
    if (leaf.depth >= this.#settings.maxDepth) {
      leaf.observers = undefined
      return
    }
    const total = weightOf(leaf)
    if (total - leaf.attemptedAt < this.#settings.gracePeriod) return
    leaf.attemptedAt = total
    if (this.#leafCount < this.#settings.maxLeaves) this.#trySplit(place, total)
  }

  write(out: ByteWriter): void {
    const visit = (node: TreeNode): void => {
      out.byte(node.kind === 'leaf' ? 0 : 1)
      if (node.kind === 'leaf') {
        writeLeaf(node, out)
        return
      }
      out.varint(node.feature)
      out.double(node.threshold)
      for (const child of node.children) visit(child)
    }
    visit(this.#root)
  }

  read(cursor: ByteCursor): void {
    let leaves = 0
    const visit = (depth: number): TreeNode => {
      if (cursor.take(1)[0] === 0) {
        leaves++
        return readLeaf(cursor, depth, this.#classCount)
      }
      const feature = cursor.varint()
      const threshold = cursor.double()
      return { kind: 'branch', feature, threshold, children: [visit(depth + 1), visit(depth + 1)] }
    }
    this.#root = visit(0)
    this.#leafCount = leaves
  }

  /** A missing feature goes the way that more examples went. */
  #placeOf(features: Float64Array): Place {
    let node = this.#root
    let parent: TreeBranch | undefined
    let side: 0 | 1 = 0
    while (node.kind === 'branch') {
      const value = features[node.feature]!
      parent = node
      if (value <= node.threshold) side = 0
      else if (value > node.threshold) side = 1
      else side = weightUnder(node.children[0]) < weightUnder(node.children[1]) ? 1 : 0
      node = node.children[side]
    }
    return { leaf: node, parent, side }
  }

  /** Would the majority class, and naive Bayes, have been right? */
  #judge(leaf: TreeLeaf, features: Float64Array, label: number, weight: number): void {
    majorityVotes(leaf, this.#votes)
    if (leaf.seen.length === 0 || votedClass(leaf, this.#votes) === label) leaf.majorityRight += weight
    if (leaf.seen.length === 0) return
    bayesVotes(leaf, features, this.#votes)
    if (votedClass(leaf, this.#votes) === label) leaf.bayesRight += weight
  }

  #trySplit(place: Place, total: number): void {
    const { leaf } = place
    if (leaf.seen.filter((label) => leaf.weights[label] !== 0).length < 2) return
    const criterion = splitMerit(this.#settings.criterion, leaf.seen.length, minBranchShare)
    const best = this.#choose(leaf, criterion, total)
    if (!best) return
    if (best.feature === undefined) {
      // Not splitting is best: such a leaf stops observing until another one splits.
      leaf.observers = undefined
      return
    }
    const children = best.sides!.map((side) => {
      const child = newLeaf(leaf.depth + 1, this.#classCount, this.#drawFeatures())
      for (const [label, weight] of side) addClass(child, label, weight)
      child.attemptedAt = weightOf(child)
      return child
    }) as [TreeNode, TreeNode]
    const branch: TreeBranch = { kind: 'branch', feature: best.feature, threshold: best.threshold!, children }
    if (place.parent) place.parent.children[place.side] = branch
    else this.#root = branch
    this.#leafCount++
    forEachLeaf(this.#root, (each) => {
      if (!each.observers && each.depth < this.#settings.maxDepth) activate(each)
    })
  }

  /** The split to make, one without a feature to give up, or undefined to go on observing. */
  #choose(leaf: TreeLeaf, criterion: SplitMerit, total: number): SplitCandidate | undefined {
    const notSplitting: SplitCandidate = { merit: Number.NEGATIVE_INFINITY }
    if (Math.max(...leaf.weights) / total > maxMajorityShare) return notSplitting
    let best = notSplitting
    let second: SplitCandidate | undefined
    for (let index = 0; index < leaf.features.length; index++) {
      const candidate = bestSplit(leaf, index, this.#settings.splitPoints, criterion)
      if (candidate.merit >= best.merit) {
        second = best
        best = candidate
      } else if (!second || candidate.merit > second.merit) {
        second = candidate
      }
    }
    const bound = Math.sqrt((criterion.range ** 2 * Math.log(1 / this.#settings.delta)) / (2 * total))
    return !second || best.merit - second.merit > bound || bound < this.#settings.tau ? best : undefined
  }
}

const weightUnder = (node: TreeNode): number =>
  node.kind === 'leaf' ? weightOf(node) : weightUnder(node.children[0]) + weightUnder(node.children[1])

function forEachLeaf(node: TreeNode, visit: (leaf: TreeLeaf) => void): void {
  if (node.kind === 'leaf') visit(node)
  else for (const child of node.children) forEachLeaf(child, visit)
}
