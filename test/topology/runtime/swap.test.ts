import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Prediction } from '../../../models/serving/model-part.ts'
import { audit } from '../../../replay/audit.ts'
import { moduleToRun, swappedTo } from '../../../replay/backfill-swap.ts'
import { rebuild } from '../../../replay/rebuild.ts'
import type { BoundContract } from '../../../state/contracts/codec.ts'
import type { Declaration, Engine as EngineType } from '../../../topology/index.ts'
import { Engine } from '../../../topology/index.ts'
import { cancelBackfill, folderBackfill } from '../../../topology/runtime/folder-replay.ts'
import type { SwapReport } from '../../../topology/runtime/swap.ts'
import { wire } from '../../../topology/runtime/wire.ts'
import { type ShopEvent, shop, shopEvents } from '../../support/shop-topology.ts'
import { shopWithHabits, widerShop } from '../../support/wider-shop.ts'

let root = ''
let folders = 0
const folder = () => join(root, String(folders++))
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-swap-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const now = () => 1_800_000_000_000
const visitor = 'visitor-1'
const later = 1_700_000_000_000 + 7 * 86_400_000

async function append(engine: EngineType, events: readonly ShopEvent[]): Promise<void> {
  for (const [name, value] of events) await engine.append(name, [value])
}

const visitsOf = (events: readonly ShopEvent[]) =>
  events.filter(([name, value]) => name === 'visit' && (value as { visitor: string }).visitor === visitor)
    .length

/** Every prediction on the log, by the trigger that it answers. */
async function predictionsOf(engine: EngineType): Promise<readonly Prediction[]> {
  const bound = engine.assembly.engine.prediction as BoundContract<object> as BoundContract<Prediction>
  const found: Prediction[] = []
  for (let partition = 0; partition < engine.declaration.partitions; partition++) {
    const { topic } = bound.contract
    const { start, end } = await engine.log.offsets(topic, partition)
    for (let offset = start; offset < end; ) {
      const batch = await engine.log.read({ topic, partition, offset, maxBytes: 1 << 20 })
      for (let index = 0; index < batch.count; index++) {
        found.push(bound.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!))
      }
      offset = batch.nextOffset
    }
  }
  return found
}

/** Swaps while events and requests come in all the time; gives what was sent. */
async function swapUnderLoad(
  engine: EngineType,
  events: readonly ShopEvent[],
  topology: Declaration,
): Promise<{ report: SwapReport; answered: number }> {
  let answered = 0
  let isSwapped = false
  const report = engine.swap(topology).finally(() => {
    isSwapped = true
  })
  report.catch(() => {})
  const [events1, events2] = [
    events.filter((_, index) => index % 2 === 0),
    events.filter((_, index) => index % 2 === 1),
  ]
  const send = async (part: readonly ShopEvent[]) => {
    for (const [name, value] of part) {
      if (name === 'visit') {
        const { requestId } = await engine.predict('buys', value)
        expect(requestId).toBe((value as { visitId: string }).visitId)
        answered++
      } else {
        await engine.append(name, [value])
      }
    }
  }
  await Promise.all([send(events1), send(events2)])
  expect(isSwapped).toBe(true)
  await engine.caughtUp()
  return { report: await report, answered }
}

/** The requests of these events that were answered, each once, in any order. */
async function answeredOf(engine: EngineType): Promise<readonly string[]> {
  return (await predictionsOf(engine)).map(({ requestId }) => requestId).sort()
}

const requestsOf = (events: readonly ShopEvent[]) =>
  events
    .filter(([name]) => name === 'visit')
    .map(([, value]) => (value as { visitId: string }).visitId)
    .sort()

async function audited(data: string, declaration: Declaration) {
  const wiring = await wire({ data, now, readOnly: true })
  try {
    return await audit({ declaration, ...wiring, database: await wiring.scratch() })
  } finally {
    await wiring.close()
  }
}

async function isSound(data: string, declaration: Declaration): Promise<boolean> {
  const wiring = await wire({ data, now })
  try {
    return (await rebuild({ declaration, ...wiring, fresh: await wiring.scratch() })).equal
  } finally {
    await wiring.close()
  }
}

describe.each([
  ['a whole topology', widerShop],
  ['a view alone', shopWithHabits],
] as const)('a running engine swapped to %s', (_, next) => {
  test('goes on at one position: no record twice, none left out, every request answered once', async () => {
    const data = folder()
    const events = shopEvents(500, 3)
    const engine = await Engine.open({ topology: shop, data, now, task: { batchRecords: 40 } })
    engine.run()
    await append(engine, events.slice(0, 260))
    await engine.caughtUp()
    const backfilled = await folderBackfill({ topology: next, data })
    expect(backfilled.outcome).toBe('ready')
    await append(engine, events.slice(260, 300))
    const { report, answered } = await swapUnderLoad(engine, events.slice(300), next)
    expect(engine.declaration).toBe(next)
    expect(report.followed + report.followedHeld).toBeGreaterThan(0)
    expect(await engine.features('habits', [visitor], later)).toMatchObject({ visits7d: visitsOf(events) })

    const predictions = await predictionsOf(engine)
    expect(await answeredOf(engine)).toEqual(requestsOf(events))
    const ends = Object.fromEntries(
      (await engine.inputs()).map(({ topic, partition, endOffset }) => [`${topic}[${partition}]`, endOffset]),
    )
    expect(Object.keys(report.position).every((input) => report.position[input]! <= ends[input]!)).toBe(true)
    expect(answered).toBeGreaterThan(20)
    const digest = await engine.digest()
    await engine.close()
    expect(existsSync(join(data, 'backfill'))).toBe(false)

    const before = await audited(data, shop)
    const after = await audited(data, next)
    expect([before.mismatches, after.mismatches]).toEqual([0, 0])
    expect(before.predictions + after.predictions).toBe(predictions.length)
    expect([before.ofOthers, after.ofOthers]).toEqual([after.predictions, before.predictions])
    expect(Math.min(before.predictions, after.predictions)).toBeGreaterThan(0)

    const again = await Engine.open({ topology: next, data, now })
    expect(again.recovered.records).toBe(0)
    expect(await again.digest()).toBe(digest)
    await again.close()
    expect(readdirSync(data).filter((name) => name.startsWith('state'))).toHaveLength(1)
    expect(await isSound(data, next)).toBe(true)
  })
})

describe('a running engine swapped again and again', () => {
  test('there and back under load, ended without a checkpoint between, has each topology answer for its own', async () => {
    const data = folder()
    const events = shopEvents(500, 11)
    let engine = await Engine.open({ topology: shop, data, now, task: { batchRecords: 30 } })
    engine.run()
    let sent = 0
    const send = async (to: number) => {
      while (sent < to) {
        const [name, value] = events[sent++]!
        if (name === 'visit') await engine.predict('buys', value)
        else await engine.append(name, [value])
      }
    }
    await send(60)
    let last: Declaration = shop
    for (const next of [widerShop, shopWithHabits, shop, widerShop]) {
      let isSwapped = false
      const sending = (async () => {
        while (!isSwapped && sent < events.length) await send(sent + 1)
      })()
      await folderBackfill({ topology: next, data })
      await engine.swap(next)
      isSwapped = true
      await sending
      await send(Math.min(events.length, sent + 10))
      await engine.caughtUp()
      const digest = await engine.digest()
      await engine.abort()
      engine = await Engine.open({ topology: next, data, now })
      expect(await engine.digest()).toBe(digest)
      engine.run()
      last = next
    }
    await send(events.length)
    await engine.caughtUp()
    expect(await answeredOf(engine)).toEqual(requestsOf(events))
    await engine.close()
    expect(await isSound(data, last)).toBe(true)
    const audits = [
      await audited(data, shop),
      await audited(data, widerShop),
      await audited(data, shopWithHabits),
    ]
    expect(audits.map(({ mismatches }) => mismatches)).toEqual([0, 0, 0])
    expect(audits.reduce((sum, { predictions }) => sum + predictions, 0)).toBe(requestsOf(events).length)
  })
})

describe('a swap that kill -9 cuts off', () => {
  const child = fileURLToPath(new URL('../../support/swap-child.ts', import.meta.url))

  test.each([
    ['followed', 'views', false],
    ['caught-up', 'whole', false],
    ['live', 'whole', true],
    ['live', 'views', true],
    ['announced', 'whole', true],
    ['released', 'whole', true],
  ] as const)(
    'at "%s" (%s) leaves one of the two topologies, and nothing is lost or doubled',
    async (step, kind, isNew) => {
      const data = folder()
      const next = kind === 'views' ? shopWithHabits : widerShop
      const process_ = spawn(process.execPath, [
        '--import',
        import.meta.resolve('tsx'),
        child,
        data,
        kind,
        step,
      ])
      const [, signal] = (await once(process_, 'exit')) as [number | null, string | null]
      expect(signal).toBe('SIGKILL')
      expect(swappedTo(data)?.module).toBe(isNew ? '/next.ts' : undefined)
      // Whoever starts the old module gets the new one in either case: it was asked for.
      expect(moduleToRun(data, '/shop.ts')).toBe('/next.ts')

      const events = shopEvents(240, 5)
      const engine = await Engine.open({ topology: next, data, now })
      engine.run()
      await engine.caughtUp()
      const asked = new Set(await answeredOf(engine))
      const ends = await Promise.all(
        ['visit', 'outcome', 'price'].map(async (topic) => {
          const lags = (await engine.inputs()).filter((input) => input.topic === topic)
          return lags.reduce((sum, { endOffset }) => sum + endOffset, 0)
        }),
      )
      const sent = ends.reduce((sum, end) => sum + end, 0)
      await append(engine, events.slice(sent))
      await engine.caughtUp()
      expect(asked.size).toBeGreaterThan(50)
      expect(await answeredOf(engine)).toEqual(requestsOf(events))
      expect(await engine.features('habits', [visitor], later)).toMatchObject({ visits7d: visitsOf(events) })
      await engine.close()
      const [before, after] = [await audited(data, shop), await audited(data, next)]
      expect([before.mismatches, after.mismatches]).toEqual([0, 0])
      expect(before.predictions + after.predictions).toBe(requestsOf(events).length)
      expect(await isSound(data, next)).toBe(true)
    },
  )
})

describe('a swap that is refused or given up', () => {
  test('leaves the engine as it is, and the backfill for later', async () => {
    const data = folder()
    const engine = await Engine.open({ topology: shop, data, now })
    engine.run()
    await append(engine, shopEvents(100))
    await expect(engine.swap(widerShop)).rejects.toThrow('has no finished backfill')
    await expect(engine.swap(shop)).rejects.toThrow('runs this topology already')
    await expect(engine.swap({ ...widerShop, name: 'store' })).rejects.toThrow(
      'the other topology is "store"',
    )
    await folderBackfill({ topology: shopWithHabits, data })
    await expect(engine.swap(widerShop)).rejects.toThrow('is of another topology')
    const given = new AbortController()
    const onStep = (step: string) => {
      if (step === 'held') given.abort(new Error('given up'))
    }
    await expect(engine.swap(shopWithHabits, { signal: given.signal, onStep })).rejects.toThrow('given up')
    expect(engine.declaration).toBe(shop)
    await append(engine, shopEvents(200).slice(100))
    await engine.caughtUp()
    await engine.swap(shopWithHabits)
    expect(await engine.features('habits', [visitor], later)).toMatchObject({
      visits7d: visitsOf(shopEvents(200)),
    })
    await engine.close()
    expect(await isSound(data, shopWithHabits)).toBe(true)
  })

  test('is not done any more where it was cancelled in the last moment', async () => {
    const data = folder()
    const engine = await Engine.open({ topology: shop, data, now })
    engine.run()
    await append(engine, shopEvents(100))
    await folderBackfill({ topology: widerShop, data })
    let cancelling: Promise<boolean> | undefined
    const onStep = (step: string) => {
      if (step === 'held') cancelling = cancelBackfill(data)
    }
    await expect(engine.swap(widerShop, { onStep })).rejects.toThrow('it was cancelled')
    expect(await cancelling).toBe(true)
    expect(readdirSync(data).sort()).toEqual(['log', 'state'])
    await append(engine, shopEvents(120).slice(100))
    await engine.caughtUp()
    await engine.close()
    expect(await isSound(data, shop)).toBe(true)
  })

  test('in memory folds the log for it, there and back', async () => {
    const engine = await Engine.open({ topology: shop, now })
    engine.run()
    const events = shopEvents(300)
    await append(engine, events.slice(0, 200))
    await engine.swap(widerShop)
    await append(engine, events.slice(200))
    await engine.caughtUp()
    expect(await engine.features('habits', [visitor], later)).toMatchObject({ visits7d: visitsOf(events) })
    await engine.swap(shop)
    await engine.caughtUp()
    await expect(engine.features('habits', [visitor], later)).rejects.toThrow('habits')
    const digest = await engine.digest()
    await engine.close()
    const whole = await Engine.open({ topology: shop, now })
    await append(whole, events)
    whole.run()
    await whole.caughtUp()
    expect(whole.model('buys').tally()).toEqual(engine.model('buys').tally())
    expect(digest).toMatch(/^[0-9a-f]{8}/)
    await whole.close()
  })
})
