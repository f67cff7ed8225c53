import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { SeededGenerator } from '../../models/policy/seeded-generator.ts'
import { type DriftComparison, type DriftOptions, drift } from '../../replay/drift.ts'
import { driftHtml } from '../../replay/drift-html.ts'
import { driftMetricEvents, recordDrift } from '../../replay/drift-record.ts'
import { bindContract } from '../../state/contracts/codec.ts'
import { engineContracts } from '../../state/contracts/engine-contracts.ts'
import { driftCommand } from '../../topology/cli/drift-command.ts'
import movies from '../../topology/examples/movies/topology.ts'
import { days, event, hashedLogistic, model, request, topology } from '../../topology/index.ts'
import { Engine } from '../../topology/runtime/engine.ts'
import { type Decided, decisionLog } from '../support/decision-log.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

const ask = event('ask', { askId: 'string', at: 'timestamp' }, { key: 'askId', time: 'at' })
const answer = event(
  'answer',
  { askId: 'string', good: 'boolean', at: 'timestamp' },
  { key: 'askId', time: 'at' },
)
const judge = model('judge', {
  on: ask,
  features: [request(ask, { height: () => 0, colour: () => 0, steady: () => 0 })],
  label: { from: answer, join: 'askId', value: ({ good }) => good, within: days(1) },
  learner: hashedLogistic({ bits: 4 }),
})
const app = topology('judges', { events: [ask, answer], models: [judge] })

interface World {
  readonly height: number
  readonly missing: number
  readonly colours: number
  readonly wrong: number
}

const calm: World = { height: 0, missing: 0.1, colours: 3, wrong: 0.1 }

/** One decision every so often, of the world as it is on its day. */
function decisions(count: number, everyMs: number, worldAt: (atMs: number) => World, seed = 1): Decided[] {
  const generator = SeededGenerator.of(seed)
  return Array.from({ length: count }, (_, index) => {
    const atMs = index * everyMs
    const world = worldAt(atMs)
    const height = generator.uniform() < world.missing ? Number.NaN : generator.normal() + world.height
    const output = generator.uniform()
    const right = output >= 0.5 ? 1 : 0
    return {
      atMs,
      features: [height, generator.below(world.colours), generator.uniform()],
      output,
      label: generator.uniform() < world.wrong ? 1 - right : right,
    }
  })
}

const found = ({ subjects }: DriftComparison) =>
  subjects.flatMap(({ subject, tests }) =>
    tests.filter(({ isDrift }) => isDrift).map((each) => `${subject} ${each.test}`),
  )

async function driftOf(given: readonly Decided[], options: Partial<DriftOptions> = {}) {
  const wiring = await decisionLog('judges', 'judge', given)
  return { report: await drift({ declaration: app, ...wiring, ...options }), wiring }
}

describe('two slices', () => {
  test('of one world differ in nothing', async () => {
    const { report } = await driftOf(decisions(8_000, hourMs, () => calm))
    expect(report.comparisons.map(found)).toEqual([[]])
    expect(report).toMatchObject({ isDrift: false, alarms: [], errors: 8_000 - 1, error: 'wrong' })
  })

  test('of two worlds differ in what was changed, and in nothing else', async () => {
    const change = { height: 0.5, missing: 0.4, colours: 5, wrong: 0.4 }
    const { report } = await driftOf(decisions(8_000, hourMs, (at) => (at < 4_000 * hourMs ? calm : change)))
    expect(report.comparisons.map(found)).toEqual([
      ['feature height ks', 'feature height missing', 'feature colour chi-square', 'error chi-square'],
    ])
    const [height, colour, , , label, error] = report.comparisons[0]!.subjects
    expect(colour!.newCategories).toBeCloseTo(0.4, 1)
    expect(height!.current.missing / 4_000).toBeCloseTo(0.4, 1)
    expect(height!.isApproximate).toBe(true)
    expect(label!.tests[0]!.isDrift).toBe(false)
    expect([error!.reference.mean, error!.current.mean].map((mean) => mean!.toFixed(1))).toEqual([
      '0.1',
      '0.4',
    ])
  })

  test('of a large log do not differ for a change that is sure and too small to matter', async () => {
    const given = decisions(40_000, hourMs, (at) => (at < 20_000 * hourMs ? calm : { ...calm, wrong: 0.12 }))
    const { report } = await driftOf(given, { leastEffect: 0.1 })
    const error = report.comparisons[0]!.subjects.at(-1)!
    expect(error.tests[0]!.adjusted).toBeLessThan(0.01)
    expect(error.tests[0]!.isDrift).toBe(false)
    const strict = await driftOf(given, { leastEffect: 0.01 })
    expect(strict.report.comparisons[0]!.subjects.at(-1)!.tests[0]!.isDrift).toBe(true)
  })

  test('are half-open, and as they were named', async () => {
    const given = decisions(400, hourMs, () => calm)
    const { report } = await driftOf(given, {
      reference: { fromMs: 100 * hourMs, toMs: 150 * hourMs },
      current: { fromMs: 200 * hourMs, toMs: 260 * hourMs },
    })
    const [{ subjects }] = report.comparisons as [DriftComparison]
    expect(
      subjects.map(({ reference, current }) => [reference, current].map((s) => s.count + s.missing)),
    ).toEqual(subjects.map(() => [50, 60]))
    expect(report.passedOver).toBe(0)
  })

  test('of too few values are not tested', async () => {
    const { report } = await driftOf(decisions(30, hourMs, () => calm))
    expect(report.comparisons[0]!.subjects.every(({ tests }) => tests.length === 0)).toBe(true)
    expect((await driftOf([])).report).toMatchObject({ isDrift: false, errors: 0 })
  })

  test('that are empty or of no model are refused', async () => {
    await expect(driftOf([], { reference: { fromMs: 5, toMs: 5 } })).rejects.toThrowError(/slice is empty/)
    await expect(driftOf([], { model: 'nobody' })).rejects.toThrowError(/nobody/)
    await expect(driftOf([], { alpha: 2 })).rejects.toThrowError(RangeError)
  })
})

test('false findings are as rare as alpha says, over many slices of one world', async () => {
  let findings = 0
  for (let seed = 1; seed <= 40; seed++) {
    const { report } = await driftOf(
      decisions(400, hourMs, () => calm, seed),
      { alpha: 0.05, leastEffect: 0.001, correction: 'holm' },
    )
    if (found(report.comparisons[0]!).length > 0) findings++
  }
  // Of 40 at a chance of 0.05 each, 7 or more come once in 200 times.
  expect(findings).toBeLessThan(7)
})

describe('windows', () => {
  const shifted = (at: number) => (at >= 20 * dayMs ? { ...calm, height: 2 } : calm)

  test('against the one before tell a jump once', async () => {
    const { report } = await driftOf(decisions(4_000, dayMs / 100, shifted), { everyMs: 5 * dayMs })
    expect(report.comparisons.map(({ current }) => current.fromMs / dayMs)).toEqual([
      5, 10, 15, 20, 25, 30, 35,
    ])
    expect(report.comparisons.map(found)).toEqual([[], [], [], ['feature height ks'], [], [], []])
  })

  test('against a fixed reference tell it from then on', async () => {
    const { report } = await driftOf(decisions(4_000, dayMs / 100, shifted), {
      everyMs: 10 * dayMs,
      reference: { fromMs: 0, toMs: 10 * dayMs },
      current: { fromMs: 10 * dayMs, toMs: 40 * dayMs },
    })
    expect(report.comparisons.map(found)).toEqual([[], ['feature height ks'], ['feature height ks']])
  })

  test('that would be too many are refused', async () => {
    const given = decisions(100, dayMs, () => calm)
    await expect(driftOf(given, { everyMs: 1_000 })).rejects.toThrowError(/at most 2000/)
  })
})

test('the detectors over the error tell when it rose', async () => {
  const world = (at: number) => (at >= 3_000 * hourMs ? { ...calm, wrong: 0.5 } : calm)
  const { report } = await driftOf(decisions(6_000, hourMs, world))
  expect(new Set(report.alarms.map(({ detector }) => detector))).toEqual(new Set(['adwin', 'hddm-a']))
  for (const { atMs, index } of report.alarms.slice(0, 2)) {
    expect(atMs).toBeGreaterThan(3_000 * hourMs)
    expect(index).toBeLessThan(3_300)
  }
})

test('a report is recorded as drift-metric events that read back the same', async () => {
  const world = (at: number) => (at >= 1_000 * hourMs ? { ...calm, height: 1 } : calm)
  const { report, wiring } = await driftOf(decisions(2_000, hourMs, world))
  const expected = driftMetricEvents(report)
  expect(await recordDrift(report, wiring)).toBe(expected.length)
  const contract = engineContracts('judges').driftMetric
  const bound = await bindContract(contract, wiring.registry)
  const batch = await wiring.log.read({ topic: contract.topic, partition: 0, offset: 0n, maxBytes: 1 << 20 })
  const read = Array.from({ length: batch.count }, (_, index) =>
    bound.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!),
  )
  expect(read.map((each) => ({ ...each, details: { ...each.details } }))).toEqual(expected)
  expect(expected.filter(({ isDrift }) => isDrift).map(({ subject }) => subject)).toEqual([
    'judge/feature height',
  ])
})

test('the HTML needs nothing else, and says what was found', async () => {
  const world = (at: number) => (at >= 1_000 * hourMs ? { ...calm, height: 1 } : calm)
  const { report } = await driftOf(decisions(2_000, hourMs, world), { everyMs: 400 * hourMs })
  const html = driftHtml({ ...report, model: '<script>"&' })
  expect(html).not.toMatch(/<script|https?:|src=|href=|@import|url\(|NaN|Infinity|undefined/)
  expect(html).toContain('&lt;script&gt;&quot;&amp;')
  expect(html.match(/<svg /g)!.length).toBeGreaterThan(12)
  expect(html.match(/<circle class="drift"/g)!.length).toBeGreaterThanOrEqual(2)
})

async function* firstRows(count: number) {
  let left = count
  for await (const row of movies.sources[0]!.rows()) {
    if (left-- === 0) return
    yield row
  }
}

describe('of the example movies, the first ratings', () => {
  const module = fileURLToPath(new URL('../../topology/examples/movies/topology.ts', import.meta.url))
  let root = ''
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'headwater-drift-'))
    const engine = await Engine.open({ topology: movies, data: root })
    await engine.importer.run('first', firstRows(3_000))
    engine.run()
    await engine.caughtUp()
    await engine.close()
  })
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  test('the command tells, records and writes one file', async () => {
    const written: string[] = []
    const spies = [process.stdout, process.stderr].map((stream) =>
      vi.spyOn(stream, 'write').mockImplementation((text) => written.push(String(text)) > 0),
    )
    const html = join(root, 'drift.html')
    const options = { data: root, topology: module, json: true }
    try {
      expect(await driftCommand({ ...options, html, record: true })).toBe(1)
      expect(await driftCommand({ ...options, json: false })).toBe(1)
    } finally {
      for (const spy of spies) spy.mockRestore()
    }
    const report = JSON.parse(written[0]!)
    expect(report).toMatchObject({
      app: 'movies',
      model: 'likes',
      errors: 3_000,
      passedOver: 0,
      isDrift: true,
    })
    expect(report.comparisons[0].subjects.length).toBe(movies.models[0]!.columns.length + 3)
    expect(written.join('')).toMatch(/recorded \d+ drift-metric events/)
    expect(written.join('')).toMatch(/feature movieRatings +DRIFT +ks/)
    expect(readFileSync(html, 'utf8')).toContain('Drift of likes')
    expect(readdirSync(root).filter((name) => name.includes('.part'))).toEqual([])
  })

  test('a wrong option is told in a line', async () => {
    const options = { data: root, topology: module }
    await expect(driftCommand({ ...options, from: 'soon', to: '5' })).rejects.toThrowError(
      /--from takes a time/,
    )
    await expect(driftCommand({ ...options, from: '5' })).rejects.toThrowError(/give both/)
    await expect(driftCommand({ ...options, every: '5' })).rejects.toThrowError(/--every takes/)
  })
})
