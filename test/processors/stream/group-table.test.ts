import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StreamRecord } from '../../../processors/operator.ts'
import { aggregateGroups, groupTable } from '../../../processors/stream/group-table.ts'
import { arrivals, expectRestartsUnseen, type GraphUnderTest, runGraph } from '../../support/graph-runs.ts'

interface Row {
  readonly group: string | null
  readonly amount: number
}

const graph: GraphUnderTest = {
  outputs: ['out'],
  build: (inner) => {
    const groups = groupTable<StreamRecord<string, Row | null>, string>(
      'groups',
      ({ value }) => value?.group ?? null,
    )
    const sums = aggregateGroups('sums', {
      init: () => 0,
      add: (sum: number, row: Row) => sum + row.amount,
      remove: (sum: number, row: Row) => sum - row.amount,
      finish: (sum: number) => sum,
    })
    const input = inner.input<StreamRecord<string, Row | null>>('input')
    inner.output('out', input.pipe(groups.connect(inner.context), sums.connect(inner.context)))
  },
}

const row = fc.oneof(
  fc.constant(null),
  fc.record({ group: fc.constantFrom('x', 'y', null), amount: fc.nat(9) }),
)
const piped = arrivals({ value: row, keys: ['a', 'b', 'c'], disorderMs: 20 })

describe('groups of a table', () => {
  it('have at any time the aggregate of the rows that are in them', async () => {
    await fc.assert(
      fc.asyncProperty(piped, async (records) => {
        const rows = new Map<unknown, Row>()
        for (const [, { key, value }] of records) {
          if (value === null) rows.delete(key)
          else rows.set(key, value as Row)
        }
        const { outputs } = await runGraph(graph, records)
        const last = new Map((outputs['out'] ?? []).map(({ key, value }) => [key, value]))
        for (const [group, total] of last) {
          const amounts = [...rows.values()]
            .filter((each) => each.group === group)
            .map(({ amount }) => amount)
          expect(total).toBe(amounts.reduce((sum, amount) => sum + amount, 0))
        }
        for (const { group } of rows.values()) if (group !== null) expect(last.has(group)).toBe(true)
      }),
    )
  })

  it('give the same with a restart between any two records', () => expectRestartsUnseen(graph, piped))
})
