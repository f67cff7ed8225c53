import {
  averagePrecisionAt,
  normalizedGain,
  recallAt,
  reciprocalRank,
} from '../models/metrics/ranking-metrics.ts'

export interface RankingOptions {
  /** The part of an entity's key by which rows belong to one list. */
  readonly groupBy: string
  /** How many places are looked at; 10 unless given. */
  readonly k?: number
}

/** Means over the lists that hold anything relevant: a label above 0. */
export interface RankingScores {
  readonly k: number
  readonly lists: number
  /** Lists without anything relevant, left out. */
  readonly empty: number
  readonly ndcg: number
  readonly map: number
  readonly mrr: number
  readonly recall: number
}

/** Ranks each group's rows by prediction, the highest first, equal ones in the order of the log. */
export function rankingScores(
  labels: Float64Array,
  predictions: Float64Array,
  groups: readonly string[] | undefined,
  { k = 10 }: RankingOptions,
): RankingScores {
  if (!(Number.isInteger(k) && k >= 1)) throw new RangeError(`k must be a whole number from 1, got ${k}`)
  const lists = new Map<string, number[]>()
  for (const [row, group] of (groups ?? []).entries()) {
    const list = lists.get(group)
    if (list) list.push(row)
    else lists.set(group, [row])
  }
  const sums = { ndcg: 0, map: 0, mrr: 0, recall: 0 }
  let counted = 0
  for (const rows of lists.values()) {
    const ranked = [...rows].sort((a, b) => predictions[b]! - predictions[a]! || a - b)
    const relevant = new Set(rows.filter((row) => labels[row]! > 0))
    if (relevant.size === 0) continue
    counted++
    sums.ndcg += normalizedGain(
      ranked.map((row) => labels[row]!),
      undefined,
      { k },
    )
    sums.map += averagePrecisionAt(ranked, relevant, k)
    sums.mrr += reciprocalRank(ranked, relevant, k)
    sums.recall += recallAt(ranked, relevant, k)
  }
  return {
    k,
    lists: counted,
    empty: lists.size - counted,
    ndcg: sums.ndcg / counted,
    map: sums.map / counted,
    mrr: sums.mrr / counted,
    recall: sums.recall / counted,
  }
}
