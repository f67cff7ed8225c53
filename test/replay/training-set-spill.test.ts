import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { AnswerFile, SortedRows, type WaitingRow } from '../../replay/training-set-spill.ts'

const folder = mkdtempSync(join(tmpdir(), 'headwater-spill-'))
const path = join(folder, 'set.parquet')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('rows come back sorted by time, ties in their order, whatever the runs were', () => {
  const times = fc.array(fc.integer({ min: -3, max: 20 }), { maxLength: 60 })
  fc.assert(
    fc.property(times, fc.integer({ min: 1, max: 70 }), (queries, runRows) => {
      const rows = queries.map(
        (queryMs, index): WaitingRow => ({ queryMs, index, values: [`k${queryMs}`, BigInt(index), null] }),
      )
      const sorted = new SortedRows(path, runRows)
      for (const row of rows) sorted.add(row)
      sorted.sorted()
      const taken: WaitingRow[] = []
      while (sorted.head !== undefined) taken.push(sorted.take())
      sorted.close()
      expect(taken).toEqual([...rows].sort((one, other) => one.queryMs - other.queryMs))
    }),
  )
  expect(readdirSync(folder)).toEqual([])
})

test('answers are read by row, in any order of writing, and rows without one are told apart', () => {
  const places = fc.uniqueArray(fc.integer({ min: 0, max: 50 }))
  fc.assert(
    fc.property(places, (written) => {
      const answers = new AnswerFile(path, 2)
      for (const index of written) answers.put(index, Float64Array.of(index, -index))
      const read = answers.read(0, 51)
      answers.close()
      const wanted = Array.from({ length: 51 }, (_, index) =>
        written.includes(index) ? [1, index, -index] : [0, 0, 0],
      )
      expect(read).toEqual(Float64Array.from(wanted.flat()))
    }),
  )
  expect(readdirSync(folder)).toEqual([])
})
