import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { headwater } from '../../support/command-line.ts'

let root = ''
let data = ''
let modules: { readonly first: string; readonly second: string; readonly last: string }

/** A module of visits with these views; what is asked is read by a model and a stream. */
function module(name: string, features: string, views: string): string {
  const index = new URL('../../../topology/index.ts', import.meta.url).href
  const path = join(root, `${name}.ts`)
  writeFileSync(
    path,
    `import { count, enrich, event, featureView, hashedLogistic, hours, model, topology } from '${index}'
const visit = event('visit', { visitor: 'string', at: 'timestamp' }, { key: 'visitor', time: 'at' })
const ask = event('ask', { id: 'string', visitor: 'string', at: 'timestamp' }, { key: 'visitor', time: 'at' })
const came = event('came', { id: 'string', visitor: 'string', yes: 'boolean', at: 'timestamp' }, { key: 'visitor', time: 'at' })
const seen = event('seen', { visitor: 'string', visits: 'double', at: 'timestamp' }, { key: 'visitor', time: 'at' })
${features}
export default topology('visits', {
  events: [visit, ask, came, seen],
  features: [${views}],
  models: [model('returns', {
    on: ask, features: [${views}],
    label: { from: came, join: 'id', value: ({ yes }) => yes, within: hours(1) },
    learner: hashedLogistic({ bits: 4 }),
  })],
  streams: [enrich(visit, [${views}]).to(seen, ({ value: { event, features } }) => ({ visitor: event.visitor, visits: features[0] ?? 0, at: event.at }))],
})
`,
  )
  return path
}

const viewText = (name: string, over: number, version: number): string =>
  `const ${name} = featureView('${name}', {
  entity: 'visitor', owner: 'tests', description: 'visits of one', version: ${version},
  features: { visits: count(visit, { over: hours(${over}) }) },
})`

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'headwater-features-'))
  data = join(root, 'data')
  modules = {
    first: module('first', viewText('visitor', 1, 1), 'visitor'),
    second: module('second', viewText('visitor', 2, 2), 'visitor'),
    last: module('last', viewText('guest', 3, 1), 'guest'),
  }
  for (const path of [modules.first, modules.second]) {
    expect(await headwater(['run', path, '--data', data, '--once'])).toMatchObject({ code: 0 })
  }
}, 60_000)
afterAll(() => rmSync(root, { recursive: true, force: true }))

const usedBy = ['model returns', 'stream to seen']
const jsonLines = (text: string): unknown[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)

test('a module alone tells what it declares', async () => {
  const { code, out } = await headwater(['features', 'list', '--topology', modules.first, '--json'])
  expect(code).toBe(0)
  expect(jsonLines(out)).toEqual([
    {
      view: 'visitor',
      version: 1,
      description: 'visits of one',
      entity: ['visitor'],
      owner: 'tests',
      freshness: 'near-real-time',
      events: ['visit'],
      features: [{ feature: 'visits', of: 'count', from: 'visit', over: '1 h', hop: '1 min' }],
      usedBy,
      isDeclared: true,
    },
  ])
})

test('with a log the views have all versions that it knows, and since when', async () => {
  const { out } = await headwater(['features', 'list', '--data', data, '--json'])
  const version = { owner: 'tests', features: ['visits'], events: ['visit'], usedBy }
  expect(jsonLines(out)).toMatchObject([
    {
      view: 'visitor',
      version: 2,
      isDeclared: true,
      versions: [
        { version: 1, ...version },
        { version: 2, ...version },
      ],
    },
  ])
  const [{ versions }] = jsonLines(out) as [{ versions: { firstSeenAt: number; declaredAt: number }[] }]
  for (const { firstSeenAt, declaredAt } of versions) expect(declaredAt).toBe(firstSeenAt)
  expect(versions[1]!.firstSeenAt).toBeGreaterThan(versions[0]!.firstSeenAt)

  const shown = await headwater(['features', 'show', 'visitor', '--data', data])
  expect(shown.out).toContain('visitor (version 2): visits of one')
  const firstSeen = new Date(versions[0]!.firstSeenAt).toISOString()
  expect(shown.out).toMatch(
    new RegExp(`\\n1 +${firstSeen} +${firstSeen} +tests +1 +visit +model returns, stream to seen\\n`),
  )
})

test('a view that only the log has any more is told as such, in the words of the log', async () => {
  const options = ['--data', data, '--topology', modules.last]
  const list = await headwater(['features', 'list', ...options, '--json'])
  expect(jsonLines(list.out)).toMatchObject([
    { view: 'guest', isDeclared: true, versions: [] },
    {
      view: 'visitor',
      version: 2,
      isDeclared: false,
      features: [{ feature: 'visits', of: 'count', from: 'visit', over: '2 h', hop: '2 min' }],
    },
  ])
  const gone = await headwater(['features', 'show', 'visitor', ...options])
  expect(gone.out).toContain('no more: this is the newest version of the log')
  const unseen = await headwater(['features', 'show', 'guest', ...options])
  expect(unseen.out).toContain('the log has no version of it yet')
  const unknown = await headwater(['features', 'show', 'nobody', ...options])
  expect(unknown).toMatchObject({ code: 2 })
  expect(unknown.errors).toContain('known views: guest, visitor')
})

test('the lineage of a module goes from events over features to those who read them', async () => {
  const { out } = await headwater(['features', 'lineage', '--topology', modules.first, '--features', '--dot'])
  expect(out).toBe(`digraph lineage {
  rankdir=LR
  "event visit" -> "feature visitor.visits" [label="feeds"]
  "feature visitor.visits" -> "view visitor" [label="is part of"]
  "event ask" -> "model returns" [label="triggers"]
  "event came" -> "model returns" [label="labels"]
  "event visit" -> "event seen" [label="becomes"]
  "view visitor" -> "model returns" [label="is read by"]
  "view visitor" -> "event seen" [label="is read by"]
}
`)
})

test('with a log the lineage has each version, and who read those that were', async () => {
  const { out } = await headwater(['features', 'lineage', '--data', data])
  expect(out).toBe(`flowchart LR
  n1["event visit"] -->|feeds| n2["view visitor v1"]
  n1["event visit"] -->|feeds| n3["view visitor v2"]
  n4["event ask"] -->|triggers| n5["model returns"]
  n6["event came"] -->|labels| n5["model returns"]
  n1["event visit"] -->|becomes| n7["event seen"]
  n2["view visitor v1"] -->|was read by| n5["model returns"]
  n2["view visitor v1"] -->|was read by| n7["event seen"]
  n3["view visitor v2"] -->|is read by| n5["model returns"]
  n3["view visitor v2"] -->|is read by| n7["event seen"]
`)
})

test('options of a cluster without one are refused', async () => {
  const { code, errors } = await headwater([
    'features',
    'list',
    '--topology',
    modules.first,
    '--registry',
    'http://127.0.0.1:1',
  ])
  expect(code).toBe(2)
  expect(errors).toContain('--kafka-config and --registry go with --kafka')
})
