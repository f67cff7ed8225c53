import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { foreignKeyJoin } from '../../../processors/join/foreign-key-join.ts'
import { tableTableJoin } from '../../../processors/join/table-table-join.ts'
import type { Join, StreamRecord } from '../../../processors/operator.ts'
import { StreamDriver } from '../../../processors/stream/stream-driver.ts'
import { arrivals, expectRestartsUnseen, type GraphUnderTest, type Piped } from '../../support/graph-runs.ts'

const inputs = ['left', 'right']

const graphOf = (join: Join): GraphUnderTest => ({
  outputs: ['joined'],
  build: (graph) => {
    const left = graph.input<StreamRecord>('left')
    const right = graph.input<StreamRecord>('right')
    graph.output('joined', join.connect(graph.context)(left, right))
  },
})

/** Applies each record to two maps, and asks `rowsOf` what the join of those maps is. */
async function expectTableOf(
  join: Join,
  piped: readonly Piped[],
  rowsOf: (
    left: ReadonlyMap<unknown, unknown>,
    right: ReadonlyMap<unknown, unknown>,
  ) => Map<unknown, unknown>,
): Promise<void> {
  const driver = await StreamDriver.start(graphOf(join))
  const tables = { left: new Map<unknown, unknown>(), right: new Map<unknown, unknown>() }
  const table = new Map<unknown, unknown>()
  for (const [input, record] of piped) {
    const { key, value } = record
    if (value === null) tables[input as 'left' | 'right'].delete(key)
    else tables[input as 'left' | 'right'].set(key, value)
    driver.pipe(input, record)
    for (const result of driver.read('joined')) {
      if (result.value !== null) table.set(result.key, result.value)
      // A tombstone of what was not there would be noise.
      else expect(table.delete(result.key)).toBe(true)
    }
    expect(new Map([...table].sort())).toEqual(new Map([...rowsOf(tables.left, tables.right)].sort()))
  }
}

const maybe = fc.oneof(fc.nat(9), fc.constant(null))

describe('table-table join', () => {
  for (const how of ['inner', 'left', 'outer'] as const) {
    const join = tableTableJoin({ name: 'join', how, value: (left, right) => [left, right] })

    it(`is after each record the ${how} join of both tables`, async () => {
      await fc.assert(
        fc.asyncProperty(arrivals({ inputs, keys: ['a', 'b', 'c'], value: maybe, disorderMs: 50 }), (piped) =>
          expectTableOf(join, piped, (left, right) => {
            const keys = [...new Set([...left.keys(), ...right.keys()])]
            const has = {
              inner: (key: unknown) => left.has(key) && right.has(key),
              left: (key: unknown) => left.has(key),
              outer: () => true,
            }
            return new Map(
              keys.filter(has[how]).map((key) => [key, [left.get(key) ?? null, right.get(key) ?? null]]),
            )
          }),
        ),
      )
    })

    it(`gives the same with a restart between any two records, ${how}`, async () => {
      await expectRestartsUnseen(graphOf(join), arrivals({ inputs, value: maybe, disorderMs: 50 }))
    })
  }

  it('by event time ends with the same table whatever the order of arrival', async () => {
    const join = tableTableJoin({
      name: 'join',
      how: 'outer',
      order: 'event-time',
      value: (left, right) => [left, right],
    })
    const records = fc.uniqueArray(
      fc.record({
        input: fc.constantFrom(...inputs),
        key: fc.constantFrom('a', 'b'),
        value: maybe,
        atMs: fc.nat(99),
      }),
      { selector: ({ atMs }) => atMs },
    )
    const shuffled = records.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
    )
    const tableOf = async (all: typeof records extends fc.Arbitrary<infer Each> ? Each : never) => {
      const driver = await StreamDriver.start(graphOf(join))
      for (const { input, key, value, atMs } of all) driver.pipe(input, { key, value, timestampMs: atMs })
      const table = new Map<unknown, unknown>()
      for (const { key, value } of driver.read('joined')) table.set(key, value)
      return new Map([...table].filter(([, value]) => value !== null).sort())
    }
    await fc.assert(
      fc.asyncProperty(shuffled, async ([all, other]) => {
        expect(await tableOf(other)).toEqual(await tableOf(all))
      }),
    )
  })

  it('gives a result the greater event time of its two rows', async () => {
    const driver = await StreamDriver.start(
      graphOf(tableTableJoin({ name: 'join', how: 'inner', value: () => 1 })),
    )
    driver.pipe('left', { key: 'k', value: 1, timestampMs: 30 })
    driver.pipe('right', { key: 'k', value: 1, timestampMs: 20 })
    driver.pipe('right', { key: 'k', value: null, timestampMs: 25 })
    const times = driver.read('joined').map(({ value, timestampMs }) => [value, timestampMs])
    expect(times).toEqual([
      [1, 30],
      [null, 30],
    ])
  })
})

describe('foreign-key join', () => {
  interface Order {
    readonly customer: string | null
    readonly amount: number
  }
  const order = fc.oneof(
    fc.constant(null),
    fc.record({ customer: fc.constantFrom('x', 'y', 'z', null), amount: fc.nat(9) }),
  )
  const piped = fc.array(
    fc.oneof(
      fc.tuple(
        fc.constant('left'),
        fc.record({ key: fc.constantFrom(1, 2, 3), value: order, timestampMs: fc.nat(99) }),
      ),
      fc.tuple(
        fc.constant('right'),
        fc.record({ key: fc.constantFrom('x', 'y', 'z'), value: maybe, timestampMs: fc.nat(99) }),
      ),
    ),
    { maxLength: 40 },
  )
  for (const how of ['inner', 'left'] as const) {
    const join = foreignKeyJoin<
      StreamRecord<number, Order | null>,
      StreamRecord<string, number | null>,
      unknown
    >({
      name: 'join',
      how,
      foreignKey: ({ customer }) => customer,
      value: ({ amount }, right) => [amount, right],
    }) as Join

    it(`is after each record the ${how} join of the left rows with what they point to`, async () => {
      await fc.assert(
        fc.asyncProperty(piped, (records) =>
          expectTableOf(join, records as readonly Piped[], (left, right) => {
            const rows = [...(left as ReadonlyMap<unknown, Order>)]
            return new Map(
              rows
                .filter(([, { customer }]) => how === 'left' || right.has(customer))
                .map(([key, { customer, amount }]) => [key, [amount, right.get(customer) ?? null]]),
            )
          }),
        ),
      )
    })

    it(`gives the same with a restart between any two records, ${how}`, async () => {
      await expectRestartsUnseen(graphOf(join), piped as fc.Arbitrary<readonly Piped[]>)
    })
  }

  it('changes the rows that point to a changed row in the order of their keys', async () => {
    const join = foreignKeyJoin({
      name: 'join',
      how: 'inner',
      foreignKey: () => 'x',
      value: (left, right) => [left, right],
    })
    const driver = await StreamDriver.start(graphOf(join))
    for (const key of [3, 1, 2]) driver.pipe('left', { key, value: key, timestampMs: key })
    driver.pipe('right', { key: 'x', value: 'X', timestampMs: 2 })
    expect(driver.read('joined').map(({ key, value, timestampMs }) => [key, value, timestampMs])).toEqual([
      [1, [1, 'X'], 2],
      [2, [2, 'X'], 2],
      [3, [3, 'X'], 3],
    ])
  })
})
