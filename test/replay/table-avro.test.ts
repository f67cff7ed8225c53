import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import avsc from 'avsc'
import fc from 'fast-check'
import { parquetReadObjects } from 'hyparquet'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TableColumn } from '../../replay/table-column.ts'
import { TableFile } from '../../replay/table-file.ts'
import { trainingSet } from '../../topology/index.ts'
import { fillTrainingShop, trainingShop } from '../support/training-shop.ts'

const folder = mkdtempSync(join(tmpdir(), 'headwater-avro-'))
const data = join(folder, 'data')
beforeAll(() => fillTrainingShop(data))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Decoded {
  readonly schema: { readonly fields: readonly { readonly name: string; readonly column?: string }[] }
  readonly metadata: Readonly<Record<string, string>>
  readonly rows: readonly Record<string, unknown>[]
}

/** Longs beyond what a number holds come as bigints. */
const longType = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => narrow(bytes.readBigInt64LE()),
  toBuffer: () => Buffer.alloc(8),
  fromJSON: (value: unknown) => value,
  toJSON: (value: unknown) => value,
  isValid: (value: unknown) => typeof value === 'number' || typeof value === 'bigint',
  compare: () => 0,
})
const narrow = (value: bigint) => (Number.isSafeInteger(Number(value)) ? Number(value) : value)

async function readAvro(path: string): Promise<Decoded> {
  let header: { schema: Decoded['schema']; metadata: Record<string, string> } | undefined
  const rows: Record<string, unknown>[] = []
  const decoder = avsc.createFileDecoder(path, {
    parseHook: (schema: unknown) =>
      avsc.Type.forSchema(schema as avsc.Schema, { registry: { long: longType }, wrapUnions: false }),
  } as object)
  decoder.on('metadata', (type: avsc.Type, _codec: string, read: { meta: Record<string, Buffer> }) => {
    header = {
      schema: JSON.parse(String(read.meta['avro.schema'])) as Decoded['schema'],
      metadata: Object.fromEntries(Object.entries(read.meta).map(([name, text]) => [name, String(text)])),
    }
    expect(type.typeName).toBe('record')
  })
  for await (const row of decoder) rows.push({ ...(row as Record<string, unknown>) })
  return { schema: header!.schema, metadata: header!.metadata, rows }
}

const columns: readonly TableColumn[] = [
  { name: 'name', type: 'string' },
  { name: 'a.b', type: 'double' },
  { name: 'a_b', type: 'long' },
  { name: '2nd', type: 'boolean' },
  { name: 'at', type: 'timestamp' },
  { name: 'position', type: 'longs' },
]
const fields = ['name', 'a_b', 'a_b_2', '_2nd', 'at', 'position']

test('any rows are read back by another implementation, whatever groups they were written in', async () => {
  const long = fc.oneof(fc.maxSafeInteger(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }))
  const orNull = <Value>(of: fc.Arbitrary<Value>) => fc.option(of, { nil: null })
  const row = fc.tuple(
    orNull(fc.string({ unit: 'grapheme' })),
    orNull(fc.double({ noNaN: true })),
    orNull(long),
    orNull(fc.boolean()),
    orNull(fc.integer({ min: -(2 ** 45), max: 2 ** 45 })),
    orNull(fc.array(fc.maxSafeInteger(), { maxLength: 4 })),
  )
  let runs = 0
  const path = join(folder, 'any.avro')
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { maxLength: 30 }),
      fc.integer({ min: 1, max: 10 }),
      async (rows, size) => {
        const write = (group: number) => {
          const file = new TableFile(path, 'avro', columns)
          for (let at = 0; at < rows.length; at += group) {
            const some = rows.slice(at, at + group)
            file.write(columns.map((_, index) => some.map((values) => values[index])))
          }
          file.finish({ 'headwater.run': `${rows.length} rows` })
          expect(file.bytes).toBe(readFileSync(path).length)
          return readFileSync(path)
        }
        const bytes = write(size)
        expect(write(100).equals(bytes)).toBe(true)
        const read = await readAvro(path)
        expect(read.metadata).toMatchObject({ 'avro.codec': 'null', 'headwater.run': `${rows.length} rows` })
        expect(read.schema.fields.map(({ column, name }) => column ?? name)).toEqual(
          columns.map(({ name }) => name),
        )
        const plain = (value: unknown) => (typeof value === 'bigint' ? narrow(value) : value)
        expect(read.rows).toEqual(
          rows.map((values) =>
            Object.fromEntries(values.map((value, index) => [fields[index], plain(value)])),
          ),
        )
        runs++
      },
    ),
    { numRuns: 60 },
  )
  expect(runs).toBe(60)
  expect(readdirSync(folder).sort()).toEqual(['any.avro', 'data'])
})

test('many rows are several blocks', async () => {
  const path = join(folder, 'many.avro')
  const count = 60_000
  const file = new TableFile(path, 'avro', [
    { name: 'x', type: 'double' },
    { name: 'n', type: 'long' },
  ])
  const numbers = Float64Array.from({ length: count }, (_, index) =>
    index % 7 === 0 ? Number.NaN : index / 3,
  )
  file.write([numbers, Array.from(numbers.keys())])
  file.finish({})
  const { rows } = await readAvro(path)
  expect(rows).toHaveLength(count)
  expect(rows.every(({ x, n }, index) => n === index && x === (index % 7 === 0 ? null : index / 3))).toBe(
    true,
  )
})

test('a table that is given up leaves nothing', () => {
  const path = join(folder, 'never.avro')
  const file = new TableFile(path, 'avro', columns)
  file.abort()
  expect(readdirSync(folder).filter((name) => name.startsWith('never'))).toEqual([])
})

test('a training set is the same rows as in Parquet, the same bytes for the same command, with its provenance', async () => {
  const make = async (name: string) => {
    const out = join(folder, name)
    const report = await trainingSet({ topology: trainingShop, data, out, withUnlabelled: true })
    return { out, report, bytes: readFileSync(out) }
  }
  const avro = await make('set.avro')
  const again = await make('again.avro')
  const parquet = await make('set.parquet')
  expect(again.bytes.equals(avro.bytes)).toBe(true)
  expect(avro.report.bytes).toBe(avro.bytes.length)
  const { rows, metadata } = await readAvro(avro.out)
  const bytes = parquet.bytes
  const expected = await parquetReadObjects({
    file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
  })
  const plain = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(plain)
    return value instanceof Date
      ? value.getTime()
      : typeof value === 'bigint'
        ? Number(value)
        : (value ?? null)
  }
  expect(rows).toEqual(
    expected.map((row) =>
      Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])),
    ),
  )
  expect(metadata['headwater.snapshot']).toBe(parquet.report.provenance.snapshot)
  expect(JSON.parse(metadata['headwater.provenance']!)).toMatchObject({ topology: 'training-shop' })
  expect(JSON.parse(metadata['headwater.counts']!)).toMatchObject({ rows: rows.length })
})

/** A Python that has fastavro: the one of the path, or one that the tests of foreign clients set up. */
function pythonWithFastavro(): string | undefined {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'headwater-test')
  let folders: string[] = []
  try {
    folders = readdirSync(cache)
  } catch {
    // No test has set one up.
  }
  const own = folders
    .filter((name) => name.includes('fastavro'))
    .map((name) => join(cache, name, 'bin', 'python'))
  return ['python3', ...own].find((python) => spawnSync(python, ['-c', 'import fastavro']).status === 0)
}

test('Python reads it too', async (context) => {
  const python = pythonWithFastavro()
  if (python === undefined) {
    console.warn('SKIPPED: no Python with fastavro; pip install fastavro')
    return context.skip('no Python with fastavro')
  }
  const out = join(folder, 'python.avro')
  await trainingSet({ topology: trainingShop, data, out, withUnlabelled: true })
  const script = join(folder, 'read.py')
  writeFileSync(
    script,
    `import sys, json, fastavro
with open(sys.argv[1], 'rb') as f:
    reader = fastavro.reader(f)
    rows = [dict(row, eventTime=int(row['eventTime'].timestamp() * 1000 + 0.5)) for row in reader]
    for row in rows: row.pop('labeledAt')
    print(json.dumps({'rows': rows, 'snapshot': reader.metadata['headwater.snapshot']}))
`,
  )
  const { stdout, stderr, status } = spawnSync(python, [script, out], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const { rows, metadata } = await readAvro(out)
  expect(JSON.parse(stdout)).toEqual({
    rows: rows.map(({ labeledAt: _, ...row }) => row),
    snapshot: metadata['headwater.snapshot'],
  })
})
