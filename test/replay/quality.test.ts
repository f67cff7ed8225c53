import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test, expect as verify } from 'vitest'
import type { Expectations } from '../../models/quality/expectation.ts'
import type { Failure } from '../../models/quality/subject-quality.ts'
import { type QualityReport, qualityReport, type WorstWindow } from '../../replay/quality.ts'
import { rebuild } from '../../replay/rebuild.ts'
import type { AlertEvent } from '../../state/contracts/engine-contracts.ts'
import { days, hours, minutes } from '../../state/contracts/units.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'
import { Metrics } from '../../topology/http/metrics.ts'
import { Engine, expect, topology } from '../../topology/index.ts'
import { wire } from '../../topology/runtime/wire.ts'
import { headwater } from '../support/command-line.ts'
import { buys, outcome, price, type ShopEvent, shop, shopEvents, visit } from '../support/shop-topology.ts'

let root = ''
let folders = 0
const folder = () => join(root, String(folders++))
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-quality-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const now = () => 1_800_000_000_000
const at = 1_700_000_000_000

const shopWith = (...expectations: Expectations[]) =>
  topology('shop', {
    events: shop.events,
    models: [buys],
    streams: shop.streams,
    partitions: 3,
    expectations,
  })

const visitorView = shop.views.find(({ name }) => name === 'visitor')!

/** Some of each kind, that the events of the shop meet at times. */
const watched = shopWith(
  expect(
    visit,
    [
      { field: 'page', notNull: true },
      { field: 'page', nullShare: { atMost: 0.25 } },
      { field: 'visitor', distinct: { atLeast: 20 } },
      { field: 'page', oneOf: ['/shoes', '/hats'], severity: 'quarantine' },
      { freshness: { atMost: minutes(3) } },
    ],
    { window: hours(1), grace: minutes(10) },
  ),
  expect(outcome, [
    { field: 'spent', range: { max: 60 } },
    {
      field: 'spent',
      distribution: { reference: { edges: [0, 1, 100], shares: [0.7, 0.3] }, atMost: 0.05 },
      leastCount: 10,
    },
  ]),
  expect(price, [{ volume: { atLeast: 1 } }]),
  expect(visitorView, [{ field: 'visits1h' as never, range: { max: 2 } }], { window: days(1) }),
)

async function append(engine: Engine, events: readonly ShopEvent[]): Promise<void> {
  for (let from = 0; from < events.length; ) {
    let to = from
    while (to < events.length && to - from < 50 && events[to]![0] === events[from]![0]) to++
    await engine.append(
      events[from]![0],
      events.slice(from, to).map(([, value]) => value),
    )
    from = to
  }
}

async function alertsOf(engine: Engine): Promise<readonly AlertEvent[]> {
  const { alert } = engine.assembly.engine
  const { topic } = alert.contract
  const { bytes, count, valueStart, valueEnd } = await engine.log.read({
    topic,
    partition: 0,
    offset: 0n,
    maxBytes: 1 << 24,
  })
  return Array.from(
    { length: count },
    (_, index) => alert.readValue(bytes, valueStart[index]!, valueEnd[index]!) as AlertEvent,
  )
}

const deadLettersOf = async (engine: Engine): Promise<number> =>
  Number((await engine.log.offsets('shop-dead-letters', 0)).end)

async function reportOf(
  data: string,
  declaration = watched,
): Promise<{ report: QualityReport; failures: Failure[] }> {
  const wiring = await wire({ data, now, readOnly: true })
  const failures: Failure[] = []
  const { log, registry } = wiring
  const onFailure = (failure: Failure) => failures.push(failure)
  try {
    const report = await qualityReport({ declaration, log, registry, database: memoryDatabase(), onFailure })
    return { report, failures }
  } finally {
    await wiring.close()
  }
}

describe('expectations of a topology', () => {
  test('give live, after restarts and in a replay the same counts, alerts and state', async () => {
    const data = folder()
    const events = shopEvents(1_500, 3)
    let engine = await Engine.open({
      topology: watched,
      data,
      now,
      task: { batchRecords: 70, checkpointEvents: 200 },
    })
    for (const [from, to, ending] of [
      [0, 500, 'close'],
      [500, 900, 'abort'],
      [900, 1_500, 'none'],
    ] as const) {
      await append(engine, events.slice(from, to))
      engine.run()
      await engine.caughtUp()
      if (ending === 'none') break
      await engine[ending]()
      engine = await Engine.open({
        topology: watched,
        data,
        now,
        task: { batchRecords: 70, checkpointEvents: 200 },
      })
    }
    const live = engine.assembly.quality.tallies().map(({ judged, failed }) => [judged, failed])
    const alerts = await alertsOf(engine)
    const dead = await deadLettersOf(engine)
    const metrics = new Metrics(engine)
    const text = await metrics.text()
    metrics.close()
    await engine.close()

    const { report, failures } = await reportOf(data)
    verify(report.order).toBe('recorded')
    verify(report.expectations.map(({ judged, failed }) => [judged, failed])).toEqual(live)
    verify(report.expectations.filter(({ failed }) => failed > 0).length).toBeGreaterThan(4)
    verify(
      failures.map(({ subject, expectation, message, atMs }) => [subject, expectation.name, message, atMs]),
    ).toEqual(alerts.map((alert) => [alert.subject, alert.rule, alert.message, alert.at]))
    verify(alerts.length).toBeGreaterThan(20)
    verify(alerts.every(({ position }) => position !== null && position.offsets.length === 12)).toBe(true)
    const quarantined = report.expectations.find(({ severity }) => severity === 'quarantine')!
    verify(dead).toBe(quarantined.failed)
    verify(text).toContain(
      `headwater_expectations_failed_total{subject="visit",expectation="page oneOf",severity="quarantine"} ${dead}`,
    )

    const wiring = await wire({ data, now })
    const rebuilt = await rebuild({ declaration: watched, ...wiring, fresh: await wiring.scratch() })
    await wiring.close()
    verify(rebuilt.equal).toBe(true)
  })

  test('keep a quarantined record from the features, with the expectation named and its bytes kept', async () => {
    const declaration = shopWith(expect(visit, [{ field: 'page', matches: /^\//, severity: 'quarantine' }]))
    const engine = await Engine.open({ topology: declaration, now })
    engine.run()
    const good = { visitId: 'a', visitor: 'ada', page: '/hats', at }
    await engine.append('visit', [good, { ...good, visitId: 'b', page: 'hats' }])
    await engine.caughtUp()
    verify(await engine.features('visitor', ['ada'], at + 1)).toMatchObject({ visits1h: 1 })
    const letter = engine.assembly.engine.deadLetter
    const batch = await engine.log.read({
      topic: 'shop-dead-letters',
      partition: 0,
      offset: 0n,
      maxBytes: 1 << 20,
    })
    verify(batch.count).toBe(1)
    verify(letter.readValue(batch.bytes, batch.valueStart[0]!, batch.valueEnd[0]!)).toMatchObject({
      reason: 'expectation-failed',
      detail: 'visit, "page matches": page is "hats", expected matching /^\\//',
      topic: 'visit',
    })
    const asked = engine.predict('buys', { ...good, visitId: 'c', page: 'shoes' })
    await verify(asked).rejects.toMatchObject({ code: 'prediction-failed' })
    await engine.close()
  })

  test('refuse a request behind a backlog: it is not answered ahead of its turn either', async () => {
    const declaration = shopWith(expect(visit, [{ field: 'page', matches: /^\//, severity: 'quarantine' }]))
    const engine = await Engine.open({ topology: declaration, now, task: { batchRecords: 20 } })
    const events = shopEvents(1_500)
    await append(engine, events)
    engine.run()
    const asked = (visitId: string, page: string) =>
      engine.predict('buys', { visitId, visitor: 'visitor-1', page, at: now() - 1_000 })
    const [good, bad] = await Promise.allSettled([asked('good', '/hats'), asked('bad', 'hats')])
    await engine.caughtUp()
    verify(good.status).toBe('fulfilled')
    verify(bad).toMatchObject({ status: 'rejected', reason: { code: 'prediction-failed' } })
    verify(await engine.prediction('buys', 'bad')).toBeUndefined()
    verify(await deadLettersOf(engine)).toBe(1)
    await engine.close()
  })

  test('stop the engine at a record, every time, until the declaration lets it pass', async () => {
    const data = folder()
    const strict = shopWith(expect(outcome, [{ field: 'spent', range: { min: 0 }, severity: 'stop' }]))
    const base = { visitor: 'ada', page: '/hats' }
    const paid = (number: number, spent: number) => ({
      ...base,
      visitId: `v${number}`,
      spent,
      at: at + number,
    })
    for (const round of [0, 1]) {
      const engine = await Engine.open({ topology: strict, data, now, task: { batchRecords: 2 } })
      if (round === 0) await engine.append('outcome', [paid(1, 5), paid(2, 5), paid(3, -5), paid(4, 5)])
      engine.run()
      await verify(engine.caughtUp()).rejects.toMatchObject({
        code: 'expectation-failed',
        context: {
          topic: 'outcome',
          offset: 2,
          subject: 'outcome',
          expectation: 'spent range',
          detail: 'spent is -5, expected at least 0',
        },
      })
      verify(engine.assembly.task.position.sequence).toBe(1)
      await engine.close()
    }
    const lenient = shopWith(expect(outcome, [{ field: 'spent', range: { min: 0 }, severity: 'warn' }]))
    const engine = await Engine.open({ topology: lenient, data, now })
    engine.run()
    await engine.caughtUp()
    verify((await alertsOf(engine)).map(({ message }) => message)).toEqual([
      'spent is -5, expected at least 0',
    ])
    await engine.close()
    // What was committed once stops nothing, whatever is declared later.
    const again = await Engine.open({ topology: strict, data, now })
    again.run()
    await again.caughtUp()
    verify(again.failure).toBeUndefined()
    await again.close()
  })

  test('stop the engine at the record that ends a window that is not met', async () => {
    const declaration = shopWith(
      expect(outcome, [{ field: 'visitor', distinct: { atLeast: 2 }, severity: 'stop' }]),
    )
    const engine = await Engine.open({ topology: declaration, now })
    engine.run()
    await engine.append('outcome', [{ visitId: 'a', visitor: 'ada', page: null, spent: 1, at }])
    await engine.caughtUp()
    await engine.append('price', [{ page: '/hats', amount: 1, at: at + hours(2) }])
    await verify(engine.caughtUp()).rejects.toMatchObject({
      code: 'expectation-failed',
      context: { topic: 'price', offset: 0, expectation: 'visitor distinct' },
    })
    await engine.close()
  })
})

describe('headwater quality report', () => {
  test('tells counts and worst windows of a folder, and exits with 1', async () => {
    const data = folder()
    const module = join(root, 'shop.ts')
    const support = new URL('../support/shop-topology.ts', import.meta.url)
    const index = new URL('../../topology/index.ts', import.meta.url)
    writeFileSync(
      module,
      `import { expect, topology } from '${index.href}'
import { shop, outcome } from '${support.href}'
export default topology('shop', { ...shop, features: shop.views, expectations: [expect(outcome, [{ field: 'spent', range: { max: 60 } }])] })
`,
    )
    const engine = await Engine.open({ topology: shop, data, now })
    await append(engine, shopEvents(900))
    await engine.close()
    const told = await headwater(['quality', 'report', '--data', data, '--topology', module, '--json'])
    verify([told.code, told.errors]).toEqual([1, ''])
    const report = JSON.parse(told.out) as QualityReport
    const { report: own } = await reportOf(
      data,
      shopWith(expect(outcome, [{ field: 'spent', range: { max: 60 } }])),
    )
    verify(report).toEqual(own)
    verify(report.order).toBe('event-time')
    verify(report.expectations[0]!.failed).toBeGreaterThan(3)
    verify(report.expectations[0]!.worst).toHaveLength(3)
    const [{ fromMs, toMs, failed }] = report.expectations[0]!.worst as [WorstWindow]
    const range = ['--from', new Date(fromMs).toISOString(), '--to', String(toMs)]
    const part = await headwater([
      'quality',
      'report',
      '--data',
      data,
      '--topology',
      module,
      '--json',
      ...range,
    ])
    verify((JSON.parse(part.out) as QualityReport).expectations[0]).toMatchObject({
      failed,
      worst: [report.expectations[0]!.worst[0]],
    })
    const text = await headwater(['quality', 'report', '--data', data, '--topology', module, '--worst', '1'])
    verify(text.out).toContain('expectations are not met')
    verify(text.out.match(/ outcome, spent range: /g)).toHaveLength(1)
  })
})
