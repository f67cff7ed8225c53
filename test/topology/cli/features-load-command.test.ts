import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { endAll, headwater, start } from '../../support/command-line.ts'

// Each step starts a process.
vi.setConfig({ testTimeout: 90_000 })

let root = ''
let module = ''
let data = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-features-load-'))
  module = join(root, 'topology.ts')
  data = join(root, 'data')
  const index = new URL('../../../topology/index.ts', import.meta.url).href
  writeFileSync(
    module,
    `import { count, event, featureView, hours, latest, nullable, topology } from '${index}'
const movie = event('movie', { id: 'long', year: 'int', budget: nullable('double'), at: 'timestamp' }, { key: 'id', time: 'at' })
const facts = featureView('facts', {
  entity: 'id', owner: 'tests', description: 'facts of a movie', freshness: 'static',
  features: { year: latest(movie, 'year'), budget: latest(movie, 'budget') },
})
const edits = featureView('edits', {
  entity: 'id', owner: 'tests', description: 'edits of a movie',
  features: { edits: count(movie, { over: hours(1) }) },
})
export default topology('cinema', { events: [movie], features: [facts, edits], partitions: 2 })
`,
  )
})
afterAll(() => {
  endAll()
  rmSync(root, { recursive: true, force: true })
})

const file = (name: string, text: string): string => {
  const path = join(root, name)
  writeFileSync(path, text)
  return path
}
const load = (path: string, ...options: readonly string[]) =>
  headwater(['features', 'load', 'facts', '--file', path, '--data', data, '--json', ...options])
const get = async (id: string) => {
  const { out } = await headwater(['features', 'get', 'facts', id, '--data', data, '--json'])
  return (JSON.parse(out) as { features: unknown }).features
}

test('rows become events once, as of their time, and refused ones are told by reason', async () => {
  const path = file('movies.csv', 'id,year,budget\n1,1999,63.5\n2,2003,\n')
  const at = ['--at', '2024-05-01', '--topology', module]
  const first = await load(path, ...at)
  expect(first).toMatchObject({ code: 0 })
  expect(JSON.parse(first.out)).toEqual({
    outcome: 'done',
    view: 'facts',
    event: 'movie',
    rows: 2,
    appended: 2,
    known: 0,
    refused: [],
  })
  expect(JSON.parse((await load(path, ...at)).out)).toMatchObject({ appended: 0, known: 2 })

  const bad = file('bad.csv', 'id,year,budget\n3,soon,1\n,2001,1\n4,2004,1\n')
  const refused = await load(bad, '--at', '2024-05-02')
  expect(refused.code).toBe(1)
  expect(JSON.parse(refused.out)).toMatchObject({
    outcome: 'refused',
    appended: 0,
    refused: [
      { reason: 'contract-violation: year', count: 1, firstRow: 1 },
      { reason: 'contract-violation: id', count: 1, firstRow: 2 },
    ],
  })
  const rest = await load(bad, '--at', '2024-05-02', '--skip-refused')
  expect(JSON.parse(rest.out)).toMatchObject({ outcome: 'done', appended: 1, known: 0 })
})

test('a running engine takes them through its door; without a time only what changed is new', async () => {
  const engine = start(['run', module, '--data', data, '--port', '0'])
  await engine.seen(/serving on/)
  const path = file('now.ndjson', '{"id":1,"year":1999,"budget":63.5}\n{"id":2,"year":2003,"budget":5}\n')
  expect(JSON.parse((await load(path)).out)).toMatchObject({ appended: 1, known: 1 })
  expect(JSON.parse((await load(path)).out)).toMatchObject({ appended: 0, known: 2 })
  engine.child.kill('SIGTERM')
  expect((await engine.ended).code).toBe(0)
  expect(await get('2')).toEqual({ year: 2003, budget: 5 })
})

test('what cannot be loaded is refused with what there is', async () => {
  const path = file('one.csv', 'id,year,at\n1,1999,2024-05-01T00:00:00Z\n')
  const edits = await headwater(['features', 'load', 'edits', '--file', path, '--data', data])
  expect(edits.code).toBe(2)
  expect(edits.errors).toContain(
    'feature view "edits" is near-real-time, and files are loaded into static ones',
  )
  expect(edits.errors).toContain('static views: facts')
  const twice = await load(path, '--at', '2024-05-01')
  expect(twice.code).toBe(2)
  expect(twice.errors).toContain('has times of its own in column "at"')
  expect((await load(join(root, 'nowhere.csv'))).errors).toContain('no file at')
})
