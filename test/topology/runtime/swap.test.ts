import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Prediction } from '../../../models/serving/model-part.ts'
import { audit } from '../../../replay/audit.ts'
import { rebuild } from '../../../replay/rebuild.ts'
import type { BoundContract } from '../../../state/contracts/codec.ts'
import type { Declaration, Engine as EngineType } from '../../../topology/index.ts'
import { Engine } from '../../../topology/index.ts'
import { folderBackfill } from '../../../topology/runtime/folder-replay.ts'
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
    const events = shopEvents(900, 3)
    const engine = await Engine.open({ topology: shop, data, now, task: { batchRecords: 40 } })
    engine.run()
    await append(engine, events.slice(0, 500))
    await engine.caughtUp()
    const backfilled = await folderBackfill({ topology: next, data })
    expect(backfilled.outcome).toBe('ready')
    await append(engine, events.slice(500, 560))
    const { report, answered } = await swapUnderLoad(engine, events.slice(560), next)
    expect(engine.declaration).toBe(next)
    expect(report.followed + report.followedHeld).toBeGreaterThan(0)
    expect(await engine.features('habits', [visitor], later)).toMatchObject({ visits7d: visitsOf(events) })

    const predictions = await predictionsOf(engine)
    const visits = events.filter(([name]) => name === 'visit')
    expect(predictions.map(({ requestId }) => requestId).sort()).toEqual(
      visits.map(([, value]) => (value as { visitId: string }).visitId).sort(),
    )
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
