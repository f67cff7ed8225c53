import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { columnsOfTable, openTable } from '../../replay/table-reader.ts'

const folder = mkdtempSync(join(tmpdir(), 'headwater-table-reader-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function read(name: string, content: string | Uint8Array, format: 'csv' | 'ndjson') {
  const path = join(folder, name)
  writeFileSync(path, content)
  const table = await openTable(path, format)
  const rows: unknown[][] = []
  for await (const { count, columns } of table.chunks()) {
    for (let row = 0; row < count; row++) rows.push(table.names.map((column) => columns.get(column)![row]))
  }
  return { columns: columnsOfTable(table), rows }
}

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`

test('any text in CSV comes back, with line breaks, commas and quotes in it', async () => {
  const text = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', 'é', ' ') })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(text, text), { maxLength: 8 }), async (rows) => {
      const lines = ['"x","y"', ...rows.map((row) => row.map(quoted).join(','))]
      expect((await read('any.csv', lines.join('\n'), 'csv')).rows).toEqual(rows)
    }),
    { numRuns: 60 },
  )
})

test('the types of text columns are those that all values fit', async () => {
  const lines = [
    '\uFEFFlong,double,flag,postcode,mixed,none,text',
    '1,1.5,true,01234,1,,a',
    ',2,false,99999,x,,""',
    '-3,1e3,,10000,2,,b',
  ]
  const { columns, rows } = await read('types.csv.gz', gzipSync(lines.join('\r\n')), 'csv')
  expect(columns.map(({ type }) => type)).toEqual([
    'long',
    'double',
    'boolean',
    'string',
    'string',
    'string',
    'string',
  ])
  expect(rows[1]).toEqual([null, '2', 'false', '99999', 'x', null, ''])
})

test('objects may lack fields of the first one; what is no object is told with its line', async () => {
  const { columns, rows } = await read('some.ndjson', '{"a":1,"b":"x"}\n\n{"a":2.5}\n', 'ndjson')
  expect(columns).toEqual([
    { name: 'a', type: 'double' },
    { name: 'b', type: 'string' },
  ])
  expect(rows).toEqual([
    [1, 'x'],
    [2.5, null],
  ])
  await expect(read('odd.ndjson', '{"a":1}\n{"c":1}\n', 'ndjson')).rejects.toThrow('row 2 has a field "c"')
  await expect(read('torn.ndjson', '{"a":1}\n{"a"', 'ndjson')).rejects.toThrow('line 2 is no JSON')
  await expect(read('open.csv', 'a\n"b\n', 'csv')).rejects.toThrow('a quoted field does not end')
  await expect(read('twice.csv', 'a,a\n', 'csv')).rejects.toThrow('two columns named "a"')
  await expect(read('half.csv.gz', gzipSync('a\n1\n').subarray(0, 12), 'csv')).rejects.toThrow()
})
