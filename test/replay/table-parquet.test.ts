import fc from 'fast-check'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { expect, test } from 'vitest'
import type { TableColumn } from '../../replay/table-column.ts'
import { ParquetTable } from '../../replay/table-parquet.ts'

const columns: readonly TableColumn[] = [
  { name: 'double', type: 'double' },
  { name: 'long', type: 'long' },
  { name: 'at', type: 'timestamp' },
]

function fileOf(groups: readonly (readonly Float64Array[])[]): ArrayBuffer {
  const parts: Uint8Array[] = []
  const table = new ParquetTable({ write: (bytes) => parts.push(bytes.slice()) }, columns)
  for (const group of groups) table.write(group)
  table.finish({ made: 'by a test' })
  return new Uint8Array(Buffer.concat(parts)).buffer
}

const nullOr = (share: fc.Arbitrary<number>) => fc.option(share, { nil: Number.NaN, freq: 5 })
const rowOf = (double: fc.Arbitrary<number>) =>
  fc.tuple(
    nullOr(double),
    nullOr(fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -3, max: 3 }))),
    nullOr(fc.integer({ min: -8e15, max: 8e15 })),
  )
/** Rows that repeat are written by a dictionary, others as they are. */
const group = fc.oneof(
  fc.array(rowOf(fc.double({ noNaN: true, noDefaultInfinity: true })), { minLength: 1, maxLength: 40 }),
  fc.array(rowOf(fc.constantFrom(0, -0, 1.5, -1e300)), { minLength: 1, maxLength: 400 }),
  fc.integer({ min: 1, max: 30 }).map((length) => Array.from({ length }, () => [Number.NaN, 7, Number.NaN])),
)

test('numbers are read back as they were, nulls where there were, in groups with their bounds', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(group, { minLength: 1, maxLength: 3 }), async (groups) => {
      const file = fileOf(
        groups.map((rows) => columns.map((_, place) => Float64Array.from(rows, (row) => row[place]!))),
      )

      const read = await parquetReadObjects({ file })
      const orNull = (value: number) => (Number.isNaN(value) ? null : value)
      const whole = (value: number) => (Number.isNaN(value) ? null : BigInt(value))
      expect(read).toEqual(
        groups.flat().map(([double, long, at]) => ({
          double: orNull(double!),
          long: whole(long!),
          at: Number.isNaN(at) ? null : new Date(at!),
        })),
      )

      const bounds = parquetMetadata(file).row_groups.map(
        ({ columns: [chunk] }) => chunk!.meta_data!.statistics!,
      )
      const found = bounds.map(({ min_value, max_value, null_count }) => [min_value, max_value, null_count])
      expect(found).toEqual(
        groups.map((rows) => {
          const known = rows.map(([double]) => double!).filter((value) => !Number.isNaN(value))
          if (known.length === 0) return [undefined, undefined, BigInt(rows.length)]
          const [least, most] = [Math.min(...known), Math.max(...known)]
          // A zero of either sign stands for both.
          return [least === 0 ? -0 : least, most === 0 ? 0 : most, BigInt(rows.length - known.length)]
        }),
      )
    }),
    { numRuns: 60 },
  )
})

test('values that repeat take a dictionary and bits, others eight bytes each', () => {
  const rows = 20_000
  const same = Float64Array.from({ length: rows }, (_, row) => row % 16)
  const other = Float64Array.from({ length: rows }, (_, row) => row + 0.5)
  const whole = Float64Array.from({ length: rows }, (_, row) => row)
  const sizes = (first: Float64Array) =>
    parquetMetadata(fileOf([[first, whole, whole]])).row_groups[0]!.columns.map(({ meta_data }) =>
      Number(meta_data!.total_compressed_size),
    )
  expect(sizes(same)[0]).toBeLessThan(rows / 2 + 300)
  expect(sizes(other)[0]).toBeGreaterThan(8 * rows)
  expect(sizes(other)[0]).toBeLessThan(8 * rows + 100)
})

test('texts are read back as they were, with bounds in the order of their bytes, of which the footer keeps 16', async () => {
  const texts = fc.oneof(
    fc.array(fc.option(fc.string({ unit: 'binary', maxLength: 4 }))),
    fc.array(fc.constantFrom(null, '', 'one', '\u{1f30a}', '\uffee'), { minLength: 20, maxLength: 200 }),
  )
  const only: readonly TableColumn[] = [{ name: 'text', type: 'string' }]
  await fc.assert(
    fc.asyncProperty(texts, async (rows) => {
      const parts: Uint8Array[] = []
      const table = new ParquetTable({ write: (bytes) => parts.push(bytes.slice()) }, only)
      table.write([rows])
      table.finish({})
      const file = new Uint8Array(Buffer.concat(parts)).buffer
      expect(await parquetReadObjects({ file })).toEqual(rows.map((text) => ({ text })))

      const known = rows.flatMap((text) => (text === null ? [] : [Buffer.from(text)]))
      const sorted = known.sort(Buffer.compare).map(String)
      const found = parquetMetadata(file).row_groups[0]?.columns[0]?.meta_data?.statistics
      expect([found?.min_value, found?.max_value]).toEqual([sorted[0], sorted.at(-1)])
    }),
    { numRuns: 100 },
  )
})
