import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type CounterfactualReport,
  candidatePredictions,
  counterfactual,
  Engine,
} from '../../topology/index.ts'
import { wire } from '../../topology/runtime/wire.ts'
import { headwater } from '../support/command-line.ts'
import { shop, shopEvents } from '../support/shop-topology.ts'

let root = ''
let data = ''
let served: ReadonlyMap<string, number> = new Map()
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'headwater-counterfactual-'))
  data = join(root, 'shop')
  const engine = await Engine.open({ topology: shop, data, now: () => 1_800_000_000_000 })
  for (const [name, value] of shopEvents(600)) await engine.append(name, [value])
  engine.run()
  await engine.caughtUp()
  await engine.close()
  const wiring = await wire({ data, now: Date.now, readOnly: true })
  served = await candidatePredictions({ declaration: shop, ...wiring, database: await wiring.scratch() })
  await wiring.close()
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

async function against(
  candidate: ReadonlyMap<string, number>,
  options: { threshold?: number; largest?: number; toMs?: number } = {},
): Promise<CounterfactualReport> {
  const { log, registry, close } = await wire({ data, now: Date.now, readOnly: true })
  try {
    return await counterfactual({ declaration: shop, log, registry, candidate, ...options })
  } finally {
    await close()
  }
}

describe('a counterfactual', () => {
  test('of the same answers changes nothing', async () => {
    expect(await against(served)).toMatchObject({
      answered: served.size,
      unanswered: 0,
      equal: served.size,
      meanAbsoluteDifference: 0,
      toYes: { decisions: 0 },
      toNo: { decisions: 0 },
      largest: [],
    })
  })

  test('counts the decisions that change, in both directions, and whom the labels bear out', async () => {
    const threshold = [...served.values()].sort((a, b) => a - b)[Math.floor(served.size / 2)]!
    const yes = [...served].filter(([, output]) => output >= threshold).length
    const always = new Map([...served.keys()].map((id) => [id, 1]))
    const toYes = await against(always, { threshold })
    expect(toYes.toYes.decisions).toBe(served.size - yes)
    expect(toYes.toNo.decisions).toBe(0)
    const never = await against(new Map([...served.keys()].map((id) => [id, 0])), { threshold })
    expect(never.toNo.decisions).toBe(yes)
    expect(never.toYes.decisions).toBe(0)
    // Who said no was right wherever always-yes would have been wrong.
    expect(toYes.toYes.labelled).toBeGreaterThan(20)
    expect(toYes.toYes.candidateRight).toBeGreaterThan(0)
    expect(toYes.toYes.candidateRight).toBeLessThan(toYes.toYes.labelled)
  })

  test('tells the largest differences first, and requests that nobody answered', async () => {
    const ids = [...served.keys()]
    const shifted = new Map(ids.slice(10).map((id, index) => [id, served.get(id)! + index / 1_000]))
    const found = await against(shifted, { largest: 3 })
    expect(found.unanswered).toBe(10)
    expect(found.answered).toBe(ids.length - 10)
    expect(found.largest.map(({ requestId }) => requestId)).toEqual(ids.slice(-3).reverse())
    const mean = (ids.length - 11) / 2 / 1_000
    expect(found.meanDifference).toBeCloseTo(mean, 9)
    const before = await against(shifted, { toMs: found.largest[2]!.atMs })
    expect(before.answered + before.unanswered).toBeLessThan(ids.length)
  })

  test('is a command', async () => {
    const module = join(root, 'topology.ts')
    const support = new URL('../support/shop-topology.ts', import.meta.url).href
    writeFileSync(module, `export { shop as default } from '${support}'\n`)
    const command = ['replay', 'counterfactual', '--data', data, '--topology', module]
    const told = await headwater([...command, '--candidate', `${module}#${shop.models[0]!.name}`, '--json'])
    expect(told.code).toBe(0)
    expect(JSON.parse(told.out)).toMatchObject({ answered: served.size, equal: served.size })
    const without = await headwater(command)
    expect(without.code).toBe(2)
    expect(without.errors).toContain('--candidate')
  })
})
