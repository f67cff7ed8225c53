/*
 * Measures of one ranked list. `ranked` holds the relevance of what was given,
 * the best place first; `relevant` all that could have been found. Places
 * count from 1; `k` is how many are looked at, all unless given. Means over
 * many lists are the caller's: of a query without anything relevant each is 0.
 */

export type Gain = 'linear' | 'exponential'

export interface DcgOptions {
  readonly k?: number
  /** `linear`: the relevance itself (Järvelin and Kekäläinen 2002); `exponential`: 2^relevance - 1 (Burges et al. 2005). */
  readonly gain?: Gain
}

const gainOf = (relevance: number, gain: Gain): number => (gain === 'linear' ? relevance : 2 ** relevance - 1)

/**
 * Discounted cumulative gain: each gain over log2(1 + place).
 *
 * Source: Järvelin and Kekäläinen, "Cumulated Gain-Based Evaluation of IR
 * Techniques", ACM TOIS 2002.
 */
export function discountedGain(ranked: readonly number[], options: DcgOptions = {}): number {
  const { k = ranked.length, gain = 'linear' } = options
  let sum = 0
  for (let index = 0; index < Math.min(k, ranked.length); index++) {
    sum += gainOf(ranked[index]!, gain) / Math.log2(index + 2)
  }
  return sum
}

/** Its share of what the best order of `ideal` would have gained; 0 where nothing can be gained. */
export function normalizedGain(
  ranked: readonly number[],
  ideal: readonly number[] = ranked,
  options: DcgOptions = {},
): number {
  const best = discountedGain(
    [...ideal].sort((left, right) => right - left),
    options,
  )
  return best > 0 ? discountedGain(ranked, options) / best : 0
}

/**
 * The same for items in order of a score. Items of one score share the gain of
 * their places evenly, so that no order among them is preferred; with
 * `ignoreTies` the one given last comes first.
 *
 * Source of the treatment of ties: McSherry and Najork, "Computing Information
 * Retrieval Performance Measures Efficiently in the Presence of Tied Scores",
 * ECIR 2008.
 */
export function normalizedGainByScore(
  relevance: readonly number[],
  score: readonly number[],
  { ignoreTies = false, ...options }: DcgOptions & { readonly ignoreTies?: boolean } = {},
): number {
  const { k = relevance.length, gain = 'linear' } = options
  const order = relevance.map((_, index) => index).sort((a, b) => score[b]! - score[a]! || b - a)
  const ranked = order.map((index) => relevance[index]!)
  if (ignoreTies) return normalizedGain(ranked, relevance, options)
  let sum = 0
  for (let start = 0; start < order.length; ) {
    let end = start
    let gained = 0
    let discount = 0
    for (; end < order.length && score[order[end]!] === score[order[start]!]; end++) {
      gained += gainOf(ranked[end]!, gain)
      if (end < k) discount += 1 / Math.log2(end + 2)
    }
    sum += (gained / (end - start)) * discount
    start = end
  }
  const best = discountedGain(
    [...relevance].sort((left, right) => right - left),
    options,
  )
  return best > 0 ? sum / best : 0
}

const firstOf = <Item>(ranked: readonly Item[], k: number): readonly Item[] => ranked.slice(0, k)

const hitsOf = <Item>(ranked: readonly Item[], relevant: ReadonlySet<Item>, k: number): number =>
  firstOf(ranked, k).filter((item) => relevant.has(item)).length

/** Share of the first k places that is relevant; places left empty count as misses. */
export const precisionAt = <Item>(ranked: readonly Item[], relevant: ReadonlySet<Item>, k: number): number =>
  hitsOf(ranked, relevant, k) / k

/** Share of what is relevant that the first k places hold. */
export const recallAt = <Item>(ranked: readonly Item[], relevant: ReadonlySet<Item>, k: number): number =>
  relevant.size === 0 ? 0 : hitsOf(ranked, relevant, k) / relevant.size

/** 1 if the first k places hold anything relevant, else 0. */
export const hitAt = <Item>(ranked: readonly Item[], relevant: ReadonlySet<Item>, k: number): number =>
  hitsOf(ranked, relevant, k) > 0 ? 1 : 0

/** Precision at as many places as there are relevant items. */
export const rPrecision = <Item>(ranked: readonly Item[], relevant: ReadonlySet<Item>): number =>
  relevant.size === 0 ? 0 : precisionAt(ranked, relevant, relevant.size)

/** 1 over the place of the first relevant item among the first k, 0 without one. */
export function reciprocalRank<Item>(
  ranked: readonly Item[],
  relevant: ReadonlySet<Item>,
  k: number = ranked.length,
): number {
  const index = firstOf(ranked, k).findIndex((item) => relevant.has(item))
  return index < 0 ? 0 : 1 / (index + 1)
}

/** Mean, over everything relevant, of the precision at its place; what is not among the first k counts 0. */
export function averagePrecisionAt<Item>(
  ranked: readonly Item[],
  relevant: ReadonlySet<Item>,
  k: number = ranked.length,
): number {
  let hits = 0
  let sum = 0
  for (const [index, item] of firstOf(ranked, k).entries()) {
    if (!relevant.has(item)) continue
    hits++
    sum += hits / (index + 1)
  }
  return relevant.size === 0 ? 0 : sum / relevant.size
}
