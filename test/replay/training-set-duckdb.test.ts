import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import movies from '../../topology/examples/movies/topology.ts'
import taxi from '../../topology/examples/taxi/topology.ts'
import { Engine, trainingSet } from '../../topology/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'headwater-duckdb-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** One that has DuckDB: `HEADWATER_DUCKDB_PYTHON`, else the one of the path. */
const python = [process.env['HEADWATER_DUCKDB_PYTHON'] ?? '', 'python3'].find(
  (each) => each !== '' && spawnSync(each, ['-c', 'import duckdb']).status === 0,
)

/**
 * Reads a Parquet file: its types, the columns in which a search for the value
 * of a middle row finds another number of rows than there are (the bounds in
 * the footer lead it), and its rows as JSON a line.
 */
const script = `
import duckdb, json, sys
duckdb.sql("SET TimeZone = 'UTC'")
found = duckdb.read_parquet(sys.argv[1])
rows = found.fetchall()
print(json.dumps(dict(zip(found.columns, map(str, found.types)))))
middle = rows[len(rows) // 2]
def missed(place, name):
    there = sum(row[place] == middle[place] for row in rows)
    sql = f'select count(*) from read_parquet(?) where "{name}" is not distinct from ?'
    return duckdb.execute(sql, [sys.argv[1], middle[place]]).fetchone()[0] != there
print(json.dumps([name for place, name in enumerate(found.columns) if missed(place, name)]))
for row in rows:
    print(json.dumps([value.isoformat(timespec='milliseconds') + 'Z' if hasattr(value, 'isoformat') else value for value in row]))
`

const types = {
  double: 'DOUBLE',
  long: 'BIGINT',
  string: 'VARCHAR',
  boolean: 'BOOLEAN',
  timestamp: 'TIMESTAMP',
}

async function compare(
  topology: typeof movies | typeof taxi,
  event: string,
  rowCount: number,
  reader: string,
) {
  const data = join(folder, topology.name)
  const engine = await Engine.open({ topology, data })
  for (const source of topology.sources) await engine.importer.run(source.name, source.rows())
  await engine.close()
  const make = (out: string) => trainingSet({ topology, data, labels: { event }, out })
  const parquet = join(folder, `${topology.name}.parquet`)
  const text = join(folder, `${topology.name}.ndjson`)
  const report = await make(parquet)
  await make(text)

  const { status, stdout, stderr } = spawnSync(reader, ['-c', script, parquet], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  })
  expect([status, stderr]).toEqual([0, ''])
  const [typesFound, missed, ...rows] = stdout.trimEnd().split('\n')
  expect(report.rows).toBe(rowCount)
  expect(JSON.parse(typesFound!)).toEqual(
    Object.fromEntries(report.columns.map(({ name, type }) => [name, types[type as keyof typeof types]])),
  )
  expect(JSON.parse(missed!)).toEqual([])
  const lines = readFileSync(text, 'utf8').trimEnd().split('\n')
  const wanted = lines.map((line) => JSON.stringify(Object.values(JSON.parse(line) as object)))
  const found = rows.map((row) => JSON.stringify(JSON.parse(row)))
  const first = found.findIndex((row, index) => row !== wanted[index])
  expect([found.length, found[first]]).toEqual([wanted.length, wanted[first]])
}

if (python === undefined) {
  console.warn(
    'SKIPPED: no Python with duckdb; pip install duckdb, and name the Python in HEADWATER_DUCKDB_PYTHON if it is not python3',
  )
}

test.skipIf(python === undefined).each([
  ['movies', movies, 'rating', 100_836],
  ['taxi', taxi, 'arrival', 20_000],
] as const)('DuckDB reads the training set of %s as it was written', { timeout: 120_000 }, (...given) =>
  compare(given[1], given[2], given[3], python!),
)
