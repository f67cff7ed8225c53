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

test('fields are the same with quotes and without, and whole numbers come typed the second time where they are asked so', async () => {
  const field = fc.oneof(
    fc.integer({ min: -30, max: 30_000 }).map(String),
    fc.bigInt({ min: -(10n ** 19n), max: 10n ** 19n }).map(String),
    fc.constantFrom(
      '',
      '0',
      '007',
      '2018',
      '1.5',
      'x\ry',
      'true',
      '\u00e9',
      '123456789012345',
      '1234567890123456',
    ),
  )
  // An empty line is no record, so the first field is never empty.
  const rowsOf = fc.array(fc.tuple(fc.constantFrom('a', '12', '90210'), field, field), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(rowsOf, fc.constantFrom('\n', '\r\n'), async (rows, end) => {
      const plain = `${['x,y,z', ...rows.map((row) => row.join(','))].join(end)}${end}`
      const orNull = (text: string) => (text === '' ? null : text)
      const found = await read('plain.csv', plain, 'csv')
      expect(found.rows).toEqual(rows.map((row) => row.map(orNull)))
      const line = (row: readonly string[]) => row.map((text) => text && quoted(text)).join(',')
      const other = await read('quoted.csv', ['x,y,z', ...rows.map(line)].join(end), 'csv')
      expect(other).toEqual(found)

      const table = await openTable(join(folder, 'plain.csv'), 'csv')
      for await (const _ of table.chunks());
      for await (const { columns } of table.chunks({ names: ['z'], asTyped: true })) {
        expect([...columns.keys()]).toEqual(['z'])
        const isLong = table.typeOf('z') === 'long'
        const typed = ([, , text]: readonly string[]) =>
          isLong && /^\d{1,3}$|^\d{5,15}$/.test(text!) && !/^0\d/.test(text!) ? Number(text) : orNull(text!)
        expect(columns.get('z')).toEqual(rows.map(typed))
      }
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
