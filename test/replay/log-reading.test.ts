import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Declaration } from '../../models/declaration.ts'
import type { Model } from '../../models/model.ts'
import { candidatePredictions } from '../../replay/candidate.ts'
import { counterfactual } from '../../replay/counterfactual.ts'
import { drift } from '../../replay/drift.ts'
import { evaluate } from '../../replay/evaluate.ts'
import { readingOf } from '../../replay/log-reading.ts'
import { qualityReport } from '../../replay/quality.ts'
import { shareOfModelPlaces } from '../../replay/recorded-tasks.ts'
import { findRange } from '../../replay/replay-range.ts'
import { trainingSet } from '../../replay/training-set.ts'
import { hashedLogistic, hours, model, topology } from '../../topology/index.ts'
import {
  candidateMarket,
  customer,
  firstAt,
  type MarketEvents,
  market,
  marketEvents,
  payment,
  refund,
  sale,
  seenOf,
  strictMarket,
  visit,
  visitor,
} from '../support/market-topology.ts'
import { seeded } from '../support/shop-topology.ts'
import { TasksOnLog } from '../support/tasks-on-log.ts'

/* The same events on two logs: that of nine tasks, and that of one. What is folded of them must not differ. */

const length = 240
const events = marketEvents(7, length)
let folder = ''
let several: TasksOnLog
let one: TasksOnLog

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-log-reading-'))
  const random = seeded(7)
  several = await TasksOnLog.start(market, () => 1 + Math.floor(random() * 30))
  // Record by record: what it writes for itself comes in time.
  one = await TasksOnLog.start({ ...market, tasks: 'one' }, () => 1)
  for (const tasks of [several, one]) {
    await tasks.append({ ...events })
    await tasks.work(random)
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const bothOf = async <Found>(
  read: (source: Awaited<ReturnType<TasksOnLog['source']>>) => Promise<Found>,
): Promise<readonly [Found, Found]> => [await read(await several.source()), await read(await one.source())]

/** Rows of a CSV file by column name. */
function rowsOf(path: string): readonly Readonly<Record<string, string>>[] {
  const [header = '', ...lines] = readFileSync(path, 'utf8').trimEnd().split('\n')
  const names = header.split(',')
  return lines.map((line) => {
    const values = line.split(/,(?![^"]*"(?:[^"]*"[^"]*")*[^"]*$)/)
    return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']))
  })
}

let files = 0
const csv = () => join(folder, `${files++}.csv`)

describe('a training set of the predictions of one of several tasks', () => {
  test('holds what the model saw, row by row as the one task gives it, in the same bytes each time', async () => {
    const make = async (tasks: TasksOnLog) => {
      const out = csv()
      const report = await trainingSet({
        declaration: market,
        ...(await tasks.source()),
        out,
        strict: true,
        withUnlabelled: true,
      })
      expect(report).toMatchObject({
        mode: 'position',
        rows: length,
        predictions: { compared: length, mismatches: 0, unserved: 0, unmade: 0 },
        labels: { read: events.refund.length, empty: 0 },
      })
      return out
    }
    const [first, again, ofOne] = [await make(several), await make(several), await make(one)]
    expect(readFileSync(again).equals(readFileSync(first))).toBe(true)
    const placeless = (path: string) =>
      rowsOf(path)
        .map(({ position: _, triggerOffset: __, triggerPartition: ___, ...row }) => row)
        .sort((left, right) => (left['requestId']! < right['requestId']! ? -1 : 1))
    expect(placeless(first)).toEqual(placeless(ofOne))
    const seen = new Map(seenOf(events).map((row) => [row.paymentId, row]))
    for (const row of rowsOf(first)) {
      const { paymentId, shop: _, at: __, ...features } = seen.get(row['requestId']!)!
      expect(paymentId).toBe(row['requestId'])
      const found = Object.keys(features).map((name) => [name, row[name]])
      expect(Object.fromEntries(found)).toEqual(
        Object.fromEntries(
          Object.entries(features).map(([name, value]) => [name, value === null ? '' : String(value)]),
        ),
      )
    }
  })

  test('reads views of other tasks at its rows, in the order of event times', async () => {
    const features = [customer]
    const [there, here] = await bothOf(async (source) => {
      const out = csv()
      await trainingSet({ declaration: market, ...source, out, features, withUnlabelled: true })
      return rowsOf(out)
        .map(({ requestId, paid, payments1h }) => ({ requestId, paid, payments1h }))
        .sort((left, right) => (left.requestId! < right.requestId! ? -1 : 1))
    })
    expect(there).toEqual(here)
    const paidAt = (row: MarketEvents['payment'][number]) =>
      events.payment
        .filter((each) => each.customer === row.customer && each.at < row.at)
        .reduce((sum, { amount }) => sum + amount, 0)
    const expected = new Map(events.payment.map((row) => [row.paymentId, String(paidAt(row))]))
    expect(new Map(there.map(({ requestId, paid }) => [requestId, paid]))).toEqual(expected)
  })
})

describe('a training set of rows that ask as of a time', () => {
  const asked = Array.from({ length: 60 }, (_, index) => ({
    at: firstAt + ((index * 37) % 60) * hours(0.45) + 5,
    customer: index % 12,
    shop: index % 5,
    visitor: index % 9,
  }))
  const labels = () => {
    const path = join(folder, 'rows.csv')
    const lines = asked.map((row) => [row.at, row.customer, row.shop, row.visitor].join(','))
    writeFileSync(path, `asked,customer,shop,visitor\n${lines.join('\n')}\n`)
    return { path, time: 'asked' }
  }

  test('has features of views of all stages, as a list gives them', async () => {
    const [there, here] = await bothOf(async (source) => {
      const out = csv()
      const report = await trainingSet({ declaration: market, ...source, out, labels: labels() })
      expect(report).toMatchObject({ mode: 'time', rows: asked.length, input: { lateRecords: 0 } })
      return rowsOf(out)
    })
    expect(there).toEqual(here)
    const sumOf = (rows: readonly { readonly amount: number }[]) =>
      rows.reduce((sum, { amount }) => sum + amount, 0)
    expect(
      there.map(({ paid, sales, taken, refunds, visits }) => ({ paid, sales, taken, refunds, visits })),
    ).toEqual(
      asked.map(({ at, customer: by, shop: to, visitor: who }) => {
        const before = events.payment.filter((each) => each.at < at)
        const sold = before.filter((each) => each.shop === to)
        return {
          paid: String(sumOf(before.filter((each) => each.customer === by))),
          sales: String(sold.length),
          taken: String(sumOf(sold)),
          refunds: String(events.refund.filter((each) => each.shop === to && each.at < at).length),
          visits: String(events.visit.filter((each) => each.visitor === who && each.at < at).length),
        }
      }),
    )
  })

  test('goes by the commits of the task that has read all of it, and by none where there is no such task', async () => {
    const of = async (options: object) =>
      trainingSet({
        declaration: market,
        ...(await several.source()),
        out: csv(),
        labels: labels(),
        ...options,
      })
    const recorded = await of({ labels: { ...labels(), views: ['shop'] } })
    expect(recorded.provenance.commits).toBeGreaterThan(1)
    expect(Object.keys(recorded.provenance.log)).toContain('sale[0]@market-0-2')
    const bounded = await of({ labels: { ...labels(), views: ['shop'] }, untilCommit: 2 })
    expect(bounded.provenance.commits).toBe(2)
    expect((await of({})).provenance.commits).toBe(0)
    await expect(of({ untilCommit: 2 })).rejects.toThrow(/--until-commit.*no one task has read/)
  })
})

describe('a candidate', () => {
  const answersOf = (declaration: Declaration) =>
    bothOf(async (source) => candidatePredictions({ declaration, ...source }))

  test('answers as on the log of one task, whether or not its declaration makes the tasks that ran', async () => {
    for (const declaration of [candidateMarket, strictMarket]) {
      const [there, here] = await answersOf(declaration)
      expect(there).toEqual(here)
      expect(there.size).toBe(length)
    }
  })

  test('takes events that no one task has read together in the order of their times', async () => {
    const early = topology('market', {
      events: [payment, sale, refund, visit],
      features: [customer, visitor],
      models: [
        model('early', {
          on: payment,
          features: [customer],
          label: { from: refund, join: 'paymentId', value: ({ isFraud }) => isFraud, within: hours(12) },
          learner: hashedLogistic({ bits: 8 }),
        }),
      ],
      partitions: 4,
    })
    const source = await several.source()
    expect(await readingOf(early, [payment, refund], source)).toMatchObject({ order: 'event-time' })
    expect(await readingOf(early, [sale, refund], source)).toMatchObject({
      order: 'recorded',
      share: { task: 'market-1-0', ordinal: 4, of: 9 },
    })
    const [there, here] = await answersOf(early)
    expect(there).toEqual(here)
    expect(there.size).toBe(length)
  })
})

describe('a place of the log', () => {
  test('is one of the task that has read the events of the model, whatever tasks the declaration makes', async () => {
    const source = await several.source()
    const { log, registry } = source
    const range = { to: { kind: 'commit', sequence: 4 } } as const
    const [fraud] = strictMarket.models
    const share = await shareOfModelPlaces(range, strictMarket, fraud!, source)
    expect(share).toMatchObject({ task: 'market-1-0', ordinal: 4 })
    const { positions } = await findRange(range, { app: 'market', log, registry, share })
    const rowsIn = async (declaration: Declaration) =>
      (
        await evaluate({
          declaration,
          log,
          registry,
          bootstrap: { resamples: 0 },
          ...(positions && { positions }),
        })
      ).rows
    expect(await rowsIn(strictMarket)).toBe(await rowsIn(market))
    expect(await rowsIn(market)).toBeGreaterThan(0)
    expect(await rowsIn(market)).toBeLessThan(events.refund.length)

    expect(await shareOfModelPlaces(range, market, fraud!, await one.source())).toBeUndefined()
    const early = { ...fraud!, trigger: payment, views: [customer] } as unknown as Model
    await expect(shareOfModelPlaces(range, market, early, source)).rejects.toMatchObject({
      code: 'position-unknown',
      context: { position: '#4', expected: 'give times' },
    })
  })
})

describe('reports over the log of several tasks', () => {
  test('of its predictions and labels are those of one task', async () => {
    const candidate = await candidatePredictions({ declaration: candidateMarket, ...(await one.source()) })
    const [evaluated, ofOne] = await bothOf(({ log, registry }) =>
      evaluate({
        declaration: market,
        log,
        registry,
        by: 'day',
        bootstrap: { resamples: 10 },
        candidate: { name: 'quick', predictions: candidate },
      }),
    )
    expect(evaluated).toEqual(ofOne)
    expect(evaluated.rows).toBe(events.refund.length)
    const [drifted, driftedHere] = await bothOf(({ log, registry }) =>
      drift({ declaration: market, log, registry, everyMs: hours(4) }),
    )
    expect(drifted).toEqual(driftedHere)
    const [other, otherHere] = await bothOf(({ log, registry }) =>
      counterfactual({ declaration: market, log, registry, candidate }),
    )
    expect(other).toEqual(otherHere)
    expect(other.answered).toBe(length)
  })

  test('of its quality are those of one task, with expectations of several tasks too', async () => {
    const [there, here] = await bothOf((source) => qualityReport({ declaration: market, ...source }))
    expect(there.expectations).toEqual(here.expectations)
    expect(there.subjects).toEqual(here.subjects)
    expect(there).toMatchObject({ order: 'recorded', isMet: false })
    const few = events.payment.filter(({ amount }) => amount < 3).length
    expect(there.expectations).toMatchObject([{ judged: length, failed: few }])

    const [strict, strictHere] = await bothOf((source) =>
      qualityReport({ declaration: strictMarket, ...source }),
    )
    // Windows are still open by the time of their own task.
    const counted = ({ expectations }: typeof strict) => expectations.map(({ worst: _, ...counts }) => counts)
    expect(counted(strict)).toEqual(counted(strictHere))
    expect(strict.expectations.map(({ subject }) => subject)).toEqual(['sale', 'payment', 'visit'])
    expect(strict).toMatchObject({
      order: 'event-time',
      records: 3 * length,
      isMet: false,
    })
  })
})
