import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VersionedTable } from '../../../processors/join/versioned-table.ts'
import { StreamDriver } from '../../../processors/stream/stream-driver.ts'

const historyMs = 20

async function tableOf(historyMs_: number): Promise<VersionedTable<number>> {
  let table: VersionedTable<number> | undefined
  await StreamDriver.start({
    build: ({ context }) => {
      table = new VersionedTable(context, 'table', historyMs_)
    },
  })
  return table!
}

const puts = fc.array(
  fc.record({
    key: fc.constantFrom('a', 'b'),
    atMs: fc.nat(60),
    value: fc.oneof(fc.integer({ min: 1, max: 99 }), fc.constant(null)),
  }),
  { maxLength: 40 },
)

describe('versioned table', () => {
  it('reads within its history what was valid then, whatever the order of the puts', async () => {
    await fc.assert(
      fc.asyncProperty(puts, async (all) => {
        const table = await tableOf(historyMs)
        const kept: typeof all = []
        let newestMs = Number.NEGATIVE_INFINITY
        for (const put of all) {
          const isRefused = put.atMs < newestMs - historyMs
          expect(table.put(put.key, put.value, put.atMs) === undefined).toBe(isRefused)
          newestMs = Math.max(newestMs, put.atMs)
          if (!isRefused) kept.push(put)
        }
        for (const key of ['a', 'b']) {
          const versions = new Map(
            kept.filter((put) => put.key === key).map(({ atMs, value }) => [atMs, value]),
          )
          const times = [...versions.keys()].sort((left, right) => left - right)
          for (let asOfMs = Math.max(0, newestMs - historyMs); asOfMs <= newestMs + 5; asOfMs++) {
            const fromMs = times.filter((atMs) => atMs <= asOfMs).at(-1)
            const value = fromMs === undefined ? null : (versions.get(fromMs) ?? null)
            const toMs = times.find((atMs) => atMs > asOfMs) ?? Number.POSITIVE_INFINITY
            expect(table.get(key, asOfMs)).toEqual(
              value === null ? undefined : { value, validFromMs: fromMs, validToMs: toMs },
            )
          }
          const last = times.at(-1)
          const latest = last === undefined ? null : (versions.get(last) ?? null)
          expect(table.latest(key)?.value ?? null).toBe(latest)
        }
      }),
    )
  })

  it('keeps the newest version for ever, and gives nothing of older times', async () => {
    const table = await tableOf(historyMs)
    table.put('a', 1, 10)
    table.put('b', 2, 1_000)
    expect(table.get('a', 1_000)).toEqual({ value: 1, validFromMs: 10, validToMs: Number.POSITIVE_INFINITY })
    table.put('a', 3, 1_001)
    expect(table.get('a', 900)).toBeUndefined()
    expect(table.get('a', 1_000)).toEqual({ value: 1, validFromMs: 10, validToMs: 1_001 })
    expect(table.put('a', 4, 980)).toBeUndefined()
  })

  it('refuses a negative history', async () => {
    await expect(tableOf(-1)).rejects.toThrow(
      new RangeError('table historyMs is -1, expected a whole number of milliseconds of at least 0'),
    )
  })
})
