import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { Operator, StreamRecord } from '../operator.ts'
import { connectStage } from './connect-stage.ts'
import { requireCount } from './declaration-checks.ts'
import { deriveRecord } from './derive-record.ts'
import { packKey } from './record-key.ts'

export interface Ranked {
  readonly id: KeyPart
  readonly score: number
}

export interface TopNOptions<In extends StreamRecord> {
  readonly name: string
  readonly n: number
  /** What is ranked within the record's key. */
  readonly id: (record: In) => KeyPart
  /** The new score of what is ranked; null takes it out, as does a score that is not finite. */
  readonly score: (record: In) => number | null
}

/**
 * Keeps the `n` of each key with the greatest scores, at equal scores those
 * with the smaller ids, and gives them out, best first, after each record that
 * changed them. All others are kept too, since they may move up; take out what
 * is over. A null key is dropped with `null-key`.
 *
 * Stores: `<name>-scores` `[key, id]`, `<name>-ranks` `[key, -score, id]`.
 *
 * @throws RangeError for `n` below 1.
 */
export function topN<In extends StreamRecord>(
  options: TopNOptions<In>,
): Operator<In, StreamRecord<In['key'], readonly Ranked[]>> {
  const { name, id, score } = options
  const n = requireCount('top n', options.n)
  return {
    name,
    connect: (context) =>
      connectStage<In, StreamRecord<In['key'], readonly Ranked[]>>(context, (emit) => {
        const scores: OrderedStore<number> = context.store(`${name}-scores`)
        const ranks: OrderedStore<true> = context.store(`${name}-ranks`)

        const best = (key: KeyPart): Ranked[] => {
          const ranked: Ranked[] = []
          for (const [at] of ranks.range([key, Number.NEGATIVE_INFINITY], [key, Number.POSITIVE_INFINITY])) {
            ranked.push({ id: at[2] as KeyPart, score: 0 - (at[1] as number) })
            if (ranked.length === n) break
          }
          return ranked
        }
        /** True when `each` with this score is among the best of the key, or would be. */
        const matters = (ranked: readonly Ranked[], each: KeyPart, value: number): boolean => {
          const worst = ranked[n - 1]
          return worst === undefined || value >= worst.score || ranked.some((other) => other.id === each)
        }

        return {
          next(record) {
            if (record.key === null || record.key === undefined) {
              context.drop({ operator: name, reason: 'null-key', record })
              return
            }
            const key = packKey(record.key)
            const each = id(record)
            const given = record.value === null ? null : score(record)
            const after = given === null || !Number.isFinite(given) ? undefined : given
            const before = scores.get([key, each])
            if (before === after) return
            const ranked = best(key)
            if (before !== undefined) ranks.delete([key, 0 - before, each])
            if (after === undefined) scores.delete([key, each])
            else {
              scores.put([key, each], after)
              ranks.put([key, 0 - after, each], true)
            }
            if (!matters(ranked, each, after ?? Number.NEGATIVE_INFINITY)) return
            const now = best(key)
            if (isSame(ranked, now)) return
            emit(deriveRecord(record, record.key as In['key'], now, record.timestampMs, record.headers))
          },
        }
      }),
  }
}

const isSame = (left: readonly Ranked[], right: readonly Ranked[]): boolean =>
  left.length === right.length &&
  left.every(({ id, score }, index) => id === right[index]?.id && score === right[index]?.score)
