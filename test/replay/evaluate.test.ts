import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  candidatePredictions,
  days,
  Engine,
  type EvaluateOptions,
  type EvaluationReport,
  evaluate,
  event,
  hashedLogistic,
  hashedRegression,
  model,
  request,
  topology,
} from '../../topology/index.ts'
import { wire } from '../../topology/runtime/wire.ts'
import { headwater } from '../support/command-line.ts'
import { shop, shopEvents } from '../support/shop-topology.ts'

let root = ''
let data = ''
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'headwater-evaluate-'))
  data = join(root, 'shop')
  await fold(shop, data, shopEvents(900))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

async function fold(
  declaration: typeof shop,
  folder: string,
  events: readonly (readonly [string, object])[],
): Promise<void> {
  const engine = await Engine.open({ topology: declaration, data: folder, now: () => 1_800_000_000_000 })
  for (const [name, value] of events) await engine.append(name, [value])
  engine.run()
  await engine.caughtUp()
  quality = engine.model(declaration.models[0]!.name).evaluation.quality()
  joined = engine.model(declaration.models[0]!.name).tally().joined
  await engine.close()
}

/** What the engine itself found of its first model. */
let quality: Readonly<Record<string, { readonly logLoss?: number }>> = {}
let joined = 0

async function report(
  options: Partial<EvaluateOptions> = {},
  declaration = shop,
  folder = data,
): Promise<EvaluationReport> {
  const wiring = await wire({ data: folder, now: Date.now, readOnly: true })
  try {
    const { log, registry } = wiring
    return await evaluate({ declaration, log, registry, bootstrap: { resamples: 20 }, ...options })
  } finally {
    await wiring.close()
  }
}

const metricOf = ({ scorers }: EvaluationReport, scorer: number, metric: string): number =>
  scorers[scorer]!.metrics.find((each) => each.metric === metric)!.value

describe('an evaluation', () => {
  test('finds what the engine found while it ran', async () => {
    const found = await report()
    expect(found.rows).toBe(joined)
    expect(found.rows).toBeGreaterThan(200)
    expect(found.unlabelled).toBeGreaterThan(20)
    // The same losses, added up in another order.
    expect(metricOf(found, 0, 'log-loss')).toBeCloseTo(quality[shop.models[0]!.name]!.logLoss!, 10)
  })

  test('of a candidate is of what it would have answered; the same declaration answers the same', async () => {
    const wiring = await wire({ data, now: Date.now, readOnly: true })
    const predictions = await candidatePredictions({
      declaration: shop,
      log: wiring.log,
      writer: wiring.writer,
      registry: wiring.registry,
      database: await wiring.scratch(),
    })
    await wiring.close()
    const found = await report({ candidate: { name: 'again', predictions } })
    expect(found.scorers.map(({ scorer }) => scorer)).toEqual([shop.models[0]!.name, 'again', 'mean so far'])
    for (const { difference } of found.scorers[1]!.metrics) {
      expect(difference).toMatchObject({ value: 0 })
    }
    const [some] = predictions.keys()
    const fewer = await report({ candidate: { name: 'few', predictions: new Map([[some!, 0.5]]) } })
    expect(fewer.rows + fewer.unanswered).toBe(found.rows)
    expect(fewer.rows).toBeLessThanOrEqual(1)
  })

  test('gives every metric of a classifier an interval, average precision too, and the same for the same seed', async () => {
    const bootstrap = { resamples: 100, seed: 4 }
    const found = await report({ bootstrap })
    const [{ metrics } = { metrics: [] }, baseline] = found.scorers
    expect(metrics.map(({ metric }) => metric)).toContain('average-precision')
    for (const { metric, value, interval } of metrics) {
      const { lower, upper } = interval!
      expect({ metric, isOrdered: lower < upper }).toEqual({ metric, isOrdered: true })
      // A calibration error of resamples is biased upwards: its interval need not hold the value.
      if (/calibration/.test(metric)) continue
      expect({ metric, holds: lower <= value && value <= upper }).toEqual({ metric, holds: true })
    }
    const ranked = baseline!.metrics.find(({ metric }) => metric === 'average-precision')!
    expect(ranked.difference!.interval!.lower).toBeLessThan(ranked.difference!.interval!.upper)
    expect((await report({ bootstrap })).scorers).toEqual(found.scorers)
  })

  test('by slice has every row once, and the slices of a part of the time are those of that part', async () => {
    const all = await report({ by: 'visitor' })
    expect(all.slices.reduce((sum, { rows }) => sum + rows, 0)).toBe(all.rows)
    const middle = Math.floor((all.fromMs + all.toMs) / 2)
    const parts = [await report({ toMs: middle }), await report({ fromMs: middle })]
    expect(parts[0]!.rows + parts[1]!.rows).toBe(all.rows)
    expect(parts[0]!.rows).toBeGreaterThan(50)
    expect(parts[1]!.rows).toBeGreaterThan(50)
    const weighed = parts.reduce((sum, part) => sum + part.rows * metricOf(part, 0, 'brier'), 0) / all.rows
    expect(weighed).toBeCloseTo(metricOf(all, 0, 'brier'), 12)
  })

  test('says which slices there are when one is unknown, and which thresholds can be', async () => {
    await expect(report({ by: 'nonsense' })).rejects.toThrow(
      /by "nonsense" is not known; there are variant, .*visitor/,
    )
    await expect(report({ thresholds: [50] })).rejects.toThrow(
      'a threshold is a probability from 0 to 1, got 50',
    )
    await expect(report({ fromMs: 5, toMs: 5 })).rejects.toThrow('the slice is empty: from 5 to 5')
    await expect(report({ model: 'nobody' })).rejects.toThrow(/nobody/)
  })

  test('warns of a feature that is the label, and of labels from before their question', async () => {
    const asked = event(
      'asked',
      { askId: 'string', who: 'string', answer: 'int', at: 'timestamp' },
      { key: 'who', time: 'at' },
    )
    const came = event(
      'came',
      { askId: 'string', who: 'string', yes: 'boolean', at: 'timestamp' },
      { key: 'who', time: 'at' },
    )
    const leaky = topology('leaky', {
      events: [asked, came],
      models: [
        model('leaks', {
          on: asked,
          features: [request(asked, { peeked: ({ answer }) => answer, blind: ({ at }) => at % 7 })],
          label: { from: came, join: 'askId', value: ({ yes }) => yes, within: days(1) },
          learner: hashedLogistic(),
        }),
      ],
      partitions: 1,
    })
    const folder = join(root, 'leaky')
    const events = Array.from({ length: 300 }, (_, index) => {
      const at = 1_700_000_000_000 + index * 1_000
      const base = { askId: `a${index}`, who: 'x' }
      const answer = index % 3 === 0 ? 1 : 0
      return [
        ['asked', { ...base, answer, at }],
        ['came', { ...base, yes: answer === 1, at: index === 200 ? at - 500 : at + 500 }],
      ] as const
    }).flat()
    await fold(leaky as unknown as typeof shop, folder, events)
    const { leaks } = await report({}, leaky as unknown as typeof shop, folder)
    const features = leaks.filter(({ kind }) => kind === 'feature')
    expect(features).toEqual([
      { kind: 'feature', subject: 'peeked', detail: 'alone it has an AUC of 1.0000' },
    ])
    const times = leaks.filter(({ kind }) => kind === 'label-time')
    expect(times.length).toBeLessThanOrEqual(1)
  })

  test('of a regression tells errors and quantile losses', async () => {
    const trip = event(
      'trip',
      { tripId: 'string', zone: 'string', km: 'double', at: 'timestamp' },
      { key: 'zone', time: 'at' },
    )
    const arrival = event(
      'arrival',
      { tripId: 'string', zone: 'string', seconds: 'double', at: 'timestamp' },
      { key: 'zone', time: 'at' },
    )
    const rides = topology('rides', {
      events: [trip, arrival],
      models: [
        model('eta', {
          on: trip,
          features: [request(trip, { km: ({ km }) => km })],
          label: { from: arrival, join: 'tripId', value: ({ seconds }) => seconds, within: days(1) },
          learner: hashedRegression(),
        }),
      ],
      partitions: 1,
    })
    const folder = join(root, 'rides')
    const events = Array.from({ length: 50 }, (_, index) => {
      const at = 1_700_000_000_000 + index * 60_000
      const base = { tripId: `t${index}`, zone: 'z' }
      return [
        ['trip', { ...base, km: 1 + (index % 5), at }],
        ['arrival', { ...base, seconds: 100 * (1 + (index % 5)), at: at + 30_000 }],
      ] as const
    }).flat()
    await fold(rides as unknown as typeof shop, folder, events)
    const found = await report({ quantiles: [0.25] }, rides as unknown as typeof shop, folder)
    expect(found.rows).toBe(50)
    expect(found.scorers[0]!.metrics.map(({ metric }) => metric)).toEqual([
      'mae',
      'rmse',
      'mape',
      'r2',
      'quantile-loss(0.25)',
    ])
    // The mean of the labels that had come: worked out by hand for the first three, 0 before any.
    const labels = Array.from({ length: 50 }, (_, index) => 100 * (1 + (index % 5)))
    const errors = labels.map((label, index) => {
      const known = labels.slice(0, index)
      return Math.abs(
        label - (known.length === 0 ? 0 : known.reduce((sum, each) => sum + each, 0) / known.length),
      )
    })
    expect(metricOf(found, 1, 'mae')).toBeCloseTo(errors.reduce((sum, each) => sum + each, 0) / 50, 9)
  })

  test('is a command, with tables for people and JSON for programs', async () => {
    const module = join(root, 'topology.ts')
    const support = new URL('../support/shop-topology.ts', import.meta.url).href
    writeFileSync(module, `export { shop as default } from '${support}'\n`)
    const command = ['replay', 'evaluate', '--data', data, '--topology', module]
    const told = await headwater([...command, '--by', 'day', '--bootstrap', '10', '--candidate', module])
    expect(told.code).toBe(0)
    expect(told.out).toMatch(/labelled predictions from 2023-11-14/)
    expect(told.out).toMatch(/mean so far +auc/)
    const json = await headwater([...command, '--json', '--bootstrap', '0'])
    expect((JSON.parse(json.out) as EvaluationReport).rows).toBe((await report()).rows)
    const wrong = await headwater([...command, '--threshold', 'high'])
    expect(wrong.code).toBe(2)
    expect(wrong.errors).toContain('--threshold takes numbers from 0 to 1')
  })
})
