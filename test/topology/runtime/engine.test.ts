import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { audit } from '../../../replay/audit.ts'
import { rebuild } from '../../../replay/rebuild.ts'
import type { Contract } from '../../../state/contracts/contract.ts'
import { count, Engine, featureView, forever, hours, topology } from '../../../topology/index.ts'
import { wire } from '../../../topology/runtime/wire.ts'
import {
  outcome,
  pricedVisit,
  type ShopEvent,
  shop,
  shopEvents,
  spending,
  visit,
} from '../../support/shop-topology.ts'

let root = ''
let folders = 0
const folder = () => join(root, String(folders++))
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-engine-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const now = () => 1_800_000_000_000

/** Appends runs of the same event together, as a producer would, keeping their order. */
async function appendAll(engine: Engine, events: readonly ShopEvent[]): Promise<void> {
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

async function run(engine: Engine, events: readonly ShopEvent[]): Promise<void> {
  await appendAll(engine, events)
  engine.run()
  await engine.caughtUp()
}

async function eventsOn(engine: Engine, contract: Contract): Promise<readonly object[]> {
  const bound = engine.assembly.events.get(contract.name)
  if (bound === undefined) throw new RangeError(`no event ${contract.name}`)
  const found: object[] = []
  for (let partition = 0; partition < shop.partitions; partition++) {
    const batch = await engine.log.read({ topic: contract.topic, partition, offset: 0n, maxBytes: 1 << 24 })
    for (let index = 0; index < batch.count; index++) {
      found.push(bound.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!))
    }
  }
  return found
}

describe('an engine', () => {
  test('gives the same state on disk as in memory', async () => {
    const events = shopEvents(1_500)
    const digests: string[] = []
    for (const data of [undefined, folder()]) {
      const engine = await Engine.open({ topology: shop, now, ...(data === undefined ? {} : { data }) })
      await run(engine, events)
      digests.push(await engine.digest())
      await engine.close()
    }
    expect(digests[0]).toBe(digests[1])
  })

  test('goes on after a restart as if there had been none, in its state and in its outputs', async () => {
    const events = shopEvents(1_200, 5)
    const whole = await Engine.open({ topology: shop, data: folder(), now })
    await appendAll(whole, events)
    whole.run()
    await whole.caughtUp()
    const data = folder()
    // All events are on the log before the first is processed, in both: then the batches can differ and nothing else.
    const first = await Engine.open({ topology: shop, data, now })
    await appendAll(first, events)
    await first.close()
    for (let steps = 0; steps < 12; steps++) {
      const engine = await Engine.open({ topology: shop, data, now, task: { batchRecords: 60 } })
      await engine.assembly.task.step()
      await engine.assembly.task.step()
      // Every other time without a checkpoint: what is behind the last one is processed again.
      if (steps % 2 === 0) await engine.close()
      else await engine.abort()
    }
    const last = await Engine.open({ topology: shop, data, now, task: { batchRecords: 60 } })
    last.run()
    await last.caughtUp()
    for (const contract of [spending, pricedVisit]) {
      const found = await eventsOn(last, contract as unknown as Contract)
      expect(found.length).toBeGreaterThan(50)
      expect(new Set(found.map((each) => JSON.stringify(each))).size).toBeGreaterThan(50)
    }
    const [{ visits1h: own }, { visits1h: other }] = [
      await last.features('visitor', ['visitor-3'], 1_700_003_600_000),
      await whole.features('visitor', ['visitor-3'], 1_700_003_600_000),
    ] as [{ visits1h: number }, { visits1h: number }]
    expect(own).toBe(other)
    const tallies = [last, whole].map((engine) => engine.model('buys').tally())
    expect(tallies[0]).toEqual(tallies[1])
    await whole.close()
    await last.close()
    const wiring = await wire({ data, now })
    const report = await audit({ declaration: shop, ...wiring, database: await wiring.scratch() })
    expect(report).toMatchObject({ mismatches: 0, unpaired: 0 })
    expect(report.predictions).toBeGreaterThan(400)
    expect(await rebuild({ declaration: shop, ...wiring, fresh: await wiring.scratch() })).toMatchObject({
      equal: true,
    })
    await wiring.close()
  })

  test('joins visits with the price that was valid at their own time', async () => {
    const engine = await Engine.open({ topology: shop, now })
    const at = 1_700_000_000_000
    await engine.append('price', [{ page: '/a', amount: 1, at }])
    await engine.append('price', [{ page: '/a', amount: 2, at: at + 100 }])
    await engine.append('visit', [
      { visitId: '1', visitor: 'x', page: '/a', at: at - 1 },
      { visitId: '2', visitor: 'x', page: '/a', at: at + 99 },
      { visitId: '3', visitor: 'x', page: '/a', at: at + 100 },
      { visitId: '4', visitor: 'x', page: null, at: at + 101 },
    ])
    engine.run()
    await engine.caughtUp()
    expect(await eventsOn(engine, pricedVisit as unknown as Contract)).toEqual([
      { page: '/a', visitor: 'x', amount: null, at: at - 1 },
      { page: '/a', visitor: 'x', amount: 1, at: at + 99 },
      { page: '/a', visitor: 'x', amount: 2, at: at + 100 },
    ])
    await engine.close()
  })

  test('gives windows when stream time has passed their end and grace, once', async () => {
    const engine = await Engine.open({ topology: shop, now })
    const start = 1_700_002_800_000
    const spent = (visitId: string, amount: number, at: number) => ({
      visitId,
      visitor: 'x',
      page: null,
      spent: amount,
      at,
    })
    await engine.append('outcome', [spent('1', 10, start), spent('2', 20, start + hours(1) - 1)])
    await engine.append('outcome', [spent('3', 0, start + hours(1.5) - 1)])
    engine.run()
    await engine.caughtUp()
    expect(await eventsOn(engine, spending as unknown as Contract)).toEqual([])
    await engine.append('outcome', [spent('4', 0, start + hours(1.5))])
    await engine.caughtUp()
    expect(await eventsOn(engine, spending as unknown as Contract)).toEqual([
      { visitor: 'x', from: start, mean: 15, at: start + hours(1) - 1 },
    ])
    await engine.close()
  })

  test('folds its log anew when the declaration has changed, and keeps what it had answered', async () => {
    const data = folder()
    const visits = (version: number, over: number) =>
      topology('shop', {
        partitions: 3,
        events: [visit, outcome],
        features: [
          featureView('visits', {
            entity: 'visitor',
            version,
            owner: 'shop',
            description: 'How often a visitor came',
            features: { visits: count(visit, { over }) },
          }),
        ],
      })
    const first = await Engine.open({ topology: visits(1, hours(1)), data, now })
    const events = shopEvents(400).filter(([name]) => name !== 'price')
    await run(first, events)
    await first.close()
    // Another window over the same input; then an input and a view that were not there before.
    const second = await Engine.open({ topology: visits(2, hours(5)), data, now })
    expect(second.recovered.records).toBeGreaterThan(200)
    const wanted = await second.features('visits', ['visitor-3'], 1_700_020_000_000)
    await second.close()
    const third = await Engine.open({ topology: shop, data, now })
    third.run()
    await third.caughtUp()
    expect(third.model('buys').tally().joined).toBeGreaterThan(50)
    await third.close()
    const fresh = await Engine.open({ topology: visits(2, hours(5)), now })
    await run(fresh, events)
    expect(await fresh.features('visits', ['visitor-3'], 1_700_020_000_000)).toEqual(wanted)
    await fresh.close()
  })

  test('refuses a view that means something else under the same version, and touches nothing', async () => {
    const data = folder()
    const visits = (version: number, over: number, owner = 'shop') =>
      topology('shop', {
        events: [visit, outcome],
        features: [
          featureView('visits', {
            entity: 'visitor',
            version,
            owner,
            description: 'How often a visitor came',
            features: { visits: count(visit, { over }), ever: count(visit, { over: forever }) },
          }),
        ],
      })
    const first = await Engine.open({ topology: visits(1, hours(1)), data, now })
    await run(
      first,
      shopEvents(100).filter(([name]) => name !== 'price'),
    )
    const digest = await first.digest()
    await first.close()
    await expect(Engine.open({ topology: visits(1, hours(5)), data, now })).rejects.toMatchObject({
      code: 'feature-meaning-changed',
      context: {
        view: 'visits',
        version: 1,
        raiseTo: 2,
        changes: ['visits: window 3600000 ms -> 18000000 ms', 'visits: hop 60000 ms -> 300000 ms'],
      },
    })
    // Another owner is no other meaning; the state is as it was.
    const second = await Engine.open({ topology: visits(1, hours(1), 'somebody else'), data, now })
    expect(second.recovered.records).toBe(0)
    expect(await second.digest()).toBe(digest)
    await second.close()
    const raised = await Engine.open({ topology: visits(2, hours(5)), data, now })
    await raised.close()
    // A version that has been is still what it was, and no other.
    const back = await Engine.open({ topology: visits(1, hours(1)), data, now })
    await back.close()
    await expect(Engine.open({ topology: visits(2, hours(1)), data, now })).rejects.toMatchObject({
      context: { version: 2, raiseTo: 3 },
    })
    const accepted = await Engine.open({
      topology: visits(2, hours(1)),
      data,
      now,
      acceptFeatureChanges: true,
    })
    await accepted.close()
    const again = await Engine.open({ topology: visits(2, hours(1)), data, now })
    await again.close()
  })

  test('answers a prediction only for a request that fits, and says what is wrong with the others', async () => {
    const engine = await Engine.open({ topology: shop, now })
    engine.run()
    const asked = { visitId: 'r1', visitor: 'x', page: '/a' }
    const answer = await engine.predict('buys', asked)
    expect(answer).toMatchObject({ requestId: 'r1', model: 'buys', output: 0.5, modelVersion: 0 })
    expect(await engine.prediction('buys', 'r1')).toEqual(answer)
    expect(await engine.prediction('buys', 'r2')).toBeUndefined()
    await expect(engine.predict('buys', { ...asked, visitor: 5 })).rejects.toMatchObject({
      code: 'contract-violation',
      context: { field: 'visitor', found: '5' },
    })
    await expect(engine.predict('sells', asked)).rejects.toMatchObject({
      code: 'model-unknown',
      context: { known: ['buys'] },
    })
    await expect(engine.predict('buys', { ...asked, at: now() * 1_000 })).rejects.toMatchObject({
      code: 'event-time-refused',
    })
    await expect(engine.features('visitors', ['x'])).rejects.toMatchObject({ code: 'feature-view-unknown' })
    await expect(engine.features('visitor', ['x', 'y'])).rejects.toMatchObject({
      code: 'entity-key-mismatch',
    })
    await expect(engine.append('visits', [])).rejects.toMatchObject({ code: 'event-unknown' })
    await engine.close()
    await expect(engine.append('visit', [{ ...asked, at: 1 }])).rejects.toMatchObject({ code: 'log-closed' })
  })

  test('writes a checkpoint when what it would process again took long enough', async () => {
    const checkpointsAt = async (msPerBatch: number) => {
      const checkpoints: number[] = []
      let written = 0
      let clockMs = 0
      const engine = await Engine.open({
        topology: shop,
        data: folder(),
        now,
        task: { batchRecords: 50, elapsedMs: () => (clockMs += msPerBatch), checkpointMs: 700 },
        onStep: (step, sequence) => {
          if (step === 'collected') checkpoints.push(sequence)
          if (step === 'checkpointed') written++
        },
      })
      await appendAll(engine, shopEvents(300))
      const { task } = engine.assembly
      for (let batch = 0; batch < 6; batch++) {
        await task.step()
        // One that is being written holds the next one up.
        while (written < checkpoints.length) await new Promise((resolve) => setImmediate(resolve))
      }
      await engine.close()
      return checkpoints
    }
    expect(await checkpointsAt(0)).toEqual([6])
    expect(await checkpointsAt(400)).toEqual([2, 4, 6])
  })
})
