import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mean } from '../../../processors/aggregate/mean.ts'
import { audit } from '../../../replay/audit.ts'
import { explain } from '../../../replay/explain.ts'
import {
  array,
  bucketBy,
  buckets,
  Engine,
  event,
  featureView,
  forever,
  hashedLogistic,
  hours,
  mean as meanOf,
  minutes,
  model,
  request,
  topology,
  trainingSet,
} from '../../../topology/index.ts'
import { type Wiring, wire } from '../../../topology/runtime/wire.ts'

const shown = event(
  'shown',
  { id: 'string', user: 'string', genre: 'string', tags: array('string'), at: 'timestamp' },
  { key: 'user', time: 'at' },
)
const rated = event(
  'rated',
  { id: 'string', user: 'string', genre: 'string', stars: 'double', at: 'timestamp' },
  { key: 'user', time: 'at' },
)

const taste = featureView('taste', {
  entity: 'user',
  owner: 'tests',
  description: 'stars of a user by genre',
  features: {
    starsByGenre: bucketBy(rated, ['genre', 'stars'], { of: mean(), bound: 2, over: forever }),
  },
})
const user = featureView('user', {
  entity: 'user',
  owner: 'tests',
  description: 'stars of a user',
  features: { stars: meanOf(rated, 'stars', { over: forever }) },
})

const picks = buckets(shown, taste, {
  starsOfGenre: { of: 'starsByGenre', at: 'genre' },
  starsOrRest: { of: 'starsByGenre', at: ({ genre }) => genre, other: true },
  starsOfTags: { of: 'starsByGenre', at: 'tags' },
  starsOrThree: { of: 'starsByGenre', at: 'genre', default: 3 },
})
const likes = model('likes', {
  on: shown,
  features: [user, picks, request(shown, { tagCount: ({ tags }) => tags.length })],
  label: { from: rated, join: 'id', value: ({ stars }) => stars > 3, within: hours(2) },
  learner: hashedLogistic({ bits: 8 }),
})
const cinema = topology('cinema', { events: [shown, rated], models: [likes], partitions: 1 })

const start = 1_700_000_040_000
const rows = [
  // Of more than two genres the first two by name have buckets, "drama" shares the rest.
  { id: 'a', user: 'ann', genre: 'action', stars: 5 },
  { id: 'b', user: 'ann', genre: 'comedy', stars: 2 },
  { id: 'c', user: 'ann', genre: 'drama', stars: 4 },
  { id: 'd', user: 'bob', genre: 'action', stars: 1 },
  { id: 'e', user: 'ann', genre: 'action', stars: 3 },
]
const asked = [
  { id: 'p', user: 'ann', genre: 'action', tags: ['action', 'comedy', 'comedy', 'western'] },
  { id: 'q', user: 'ann', genre: 'drama', tags: [] },
  { id: 'r', user: 'eve', genre: 'action', tags: ['action'] },
]

let data = ''
beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'headwater-buckets-'))
  const engine = await Engine.open({ topology: cinema, data, now: () => start + hours(10) })
  engine.run()
  await engine.append(
    'rated',
    rows.map((row, index) => ({ ...row, at: start + minutes(index) })),
  )
  await engine.caughtUp()
  await engine.append(
    'shown',
    asked.map((row, index) => ({ ...row, at: start + minutes(20 + index) })),
  )
  await engine.caughtUp()
  await engine.append('rated', [{ id: 'p', user: 'ann', genre: 'action', stars: 5, at: start + minutes(30) }])
  await engine.caughtUp()
  await engine.close()
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

async function reading<Result>(work: (wiring: Wiring) => Promise<Result>): Promise<Result> {
  const wiring = await wire({ data, now: () => start, readOnly: true })
  try {
    return await work(wiring)
  } finally {
    await wiring.close()
  }
}

/** ann: action mean(5, 3) = 4, comedy 2, the rest 4. */
const wanted = {
  p: { stars: 3.5, starsOfGenre: 4, starsOrRest: 4, starsOfTags: 3, starsOrThree: 4, tagCount: 4 },
  q: { stars: 3.5, starsOfGenre: null, starsOrRest: 4, starsOfTags: null, starsOrThree: 3, tagCount: 0 },
  r: {
    stars: null,
    starsOfGenre: null,
    starsOrRest: null,
    starsOfTags: null,
    starsOrThree: 3,
    tagCount: 1,
  },
}

describe('columns of a model that look buckets up', () => {
  test('hold the number under the category of the trigger, as of the trigger', async () => {
    const engine = await Engine.open({ topology: cinema, data, now: () => start + hours(10) })
    try {
      for (const [id, features] of Object.entries(wanted)) {
        expect((await engine.prediction('likes', id))?.features).toEqual(features)
      }
    } finally {
      await engine.close()
    }
  })

  test('are made again by an audit, to the last bit', async () => {
    const report = await reading(async (wiring) =>
      audit({ declaration: cinema, ...wiring, database: await wiring.scratch() }),
    )
    expect(report).toMatchObject({ predictions: 3, mismatches: 0 })
  })

  test('are explained by the events of their bucket', async () => {
    const { features, recomputed } = await reading(async (wiring) =>
      explain({
        declaration: cinema,
        ...wiring,
        database: await wiring.scratch(),
        model: 'likes',
        requestId: 'p',
      }),
    )
    expect(recomputed).toBe('equal')
    const behind = features.map(({ name, from, view, eventCount }) => [name, from, view, eventCount])
    const byCategory = 'meanByCategory of rated over all time'
    expect(behind).toEqual([
      ['stars', 'mean of rated over all time', 'user', 4],
      ['starsOfGenre', `bucket of genre in ${byCategory}`, 'taste', 2],
      ['starsOrRest', `bucket of a function in ${byCategory}`, 'taste', 2],
      ['starsOfTags', `bucket of tags in ${byCategory}`, 'taste', 3],
      ['starsOrThree', `bucket of genre in ${byCategory}`, 'taste', 2],
      ['tagCount', 'request', undefined, undefined],
    ])
  })

  test('are columns of a training set, from predictions and from a file of labels', async () => {
    const out = join(data, 'train.ndjson')
    await trainingSet({ topology: cinema, data, out, withUnlabelled: true })
    const lines = readFileSync(out, 'utf8').trim().split('\n')
    const made = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    const { p, q } = wanted
    expect(made[0]).toMatchObject(p)
    expect(made[1]).toMatchObject(q)

    const labels = join(data, 'labels.ndjson')
    const row = { ...asked[0], asked: new Date(start + minutes(25)).toISOString() }
    writeFileSync(labels, `${JSON.stringify(row)}\n`)
    await trainingSet({
      topology: cinema,
      data,
      out,
      model: 'likes',
      labels: { path: labels, time: 'asked' },
    })
    expect(JSON.parse(readFileSync(out, 'utf8'))).toMatchObject(p)
  })
})

describe('a lookup that cannot be', () => {
  test('is refused at its declaration, which names what there is', () => {
    expect(() => buckets(shown, user as never, { x: { of: 'stars' as never, at: 'genre' } })).toThrow(
      '"x" looks up a bucket of "stars", which is no bucketBy of view "user"; it has none',
    )
    expect(() => buckets(shown, taste, { x: { of: 'starsByGenre', at: 'mood' as never } })).toThrow(
      'event "shown" has no such field; it has id, user, genre, tags, at',
    )
    expect(() =>
      buckets(shown, taste, { x: { of: 'starsByGenre', at: 'genre', default: Number.NaN } }),
    ).toThrow('the default of "x" must be a finite number')
  })
})
