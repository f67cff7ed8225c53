import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SeededGenerator } from '../../models/policy/seeded-generator.ts'
import { audit } from '../../replay/audit.ts'
import {
  candidatePredictions,
  Engine,
  epsilonGreedy,
  event,
  hashedLogistic,
  hours,
  model,
  type PolicyOptions,
  type PolicyTarget,
  policy,
  request,
  topology,
} from '../../topology/index.ts'
import { type Wiring, wire } from '../../topology/runtime/wire.ts'
import { headwater } from '../support/command-line.ts'
import { type Decided, decisionLog } from '../support/decision-log.ts'
import { earned, offerTopology } from '../support/offer-topology.ts'

/* A world whose customers are known: what any policy earns in it can be worked out, and be compared with its estimate. */

const leads = 3_000
const offers = offerTopology(0.4)
const buys = (warmth: number, action: string) => (action === 'call' ? warmth : 0.3 * warmth)
let folder = ''
let data = ''
let wiring: Wiring
const warmthOf = (index: number) => ((index * 7919) % 1000) / 1000

/** Runs a shop that acts on the answers; what customers do depends on what was done to them. */
async function serve(into: string, shop: typeof offers): Promise<string[]> {
  const random = SeededGenerator.of(5)
  const engine = await Engine.open({ topology: shop, data: into, now: () => 1_800_000_000_000 })
  engine.run()
  const actions: string[] = []
  for (let from = 0; from < leads; from += 250) {
    const some = Array.from({ length: 250 }, (_, index) => from + index)
    const at = (index: number) => 1_700_000_000_000 + index * 1_000
    await engine.append(
      'lead',
      some.map((index) => ({ leadId: `l${index}`, warmth: warmthOf(index), at: at(index) })),
    )
    await engine.caughtUp()
    const results = []
    for (const index of some) {
      const { variant } = (await engine.prediction('offer', `l${index}`))!
      actions.push(variant)
      const bought = random.uniform() < buys(warmthOf(index), variant)
      results.push({ leadId: `l${index}`, bought, at: at(index) + 900 })
    }
    await engine.append('result', results)
    await engine.caughtUp()
  }
  await engine.close()
  return actions
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-policy-'))
  data = join(folder, 'offers')
  await serve(data, offers)
  wiring = await wire({ data, now: Date.now, readOnly: true })
}, 60_000)
afterAll(async () => {
  await wiring.close()
  rmSync(folder, { recursive: true, force: true })
})

const estimate = (target: PolicyTarget, options: Partial<PolicyOptions> = {}) =>
  policy({ declaration: offers, log: wiring.log, registry: wiring.registry, target, ...options })

/** What a policy earns a customer in this world, on the average of its chance. */
const truth = (shareOfCalls: (warmth: number) => number): number => {
  let sum = 0
  for (let index = 0; index < leads; index++) {
    const warmth = warmthOf(index)
    const calls = shareOfCalls(warmth)
    const of = (action: string) => {
      const bought = buys(warmth, action)
      return bought * earned(1, action) + (1 - bought) * earned(0, action)
    }
    sum += calls * of('call') + (1 - calls) * of('wait')
  }
  return sum / leads
}

describe('a model that decides', () => {
  test('logs real propensities, and decides the same again when the log is folded', async () => {
    const report = await audit({ declaration: offers, ...wiring, database: await wiring.scratch() })
    expect(report).toEqual({ predictions: leads, mismatches: 0, unpaired: 0, examples: [] })
    const { actions } = await estimate({ kind: 'uniform' })
    expect(actions.map(({ choices }) => choices).reduce((sum, choices) => sum + choices)).toBe(leads)
    for (const { choices, meanPropensity } of actions) {
      expect(choices).toBeGreaterThan(300)
      expect(meanPropensity).toBeGreaterThan(0.2)
      expect(meanPropensity).toBeLessThan(0.8 + 1e-9)
    }
  })

  for (const [what, target, calls] of [
    ['that always calls', { kind: 'always', action: 'call' }, () => 1],
    ['that always waits', { kind: 'always', action: 'wait' }, () => 0],
    ['that draws', { kind: 'uniform' }, () => 0.5],
  ] as const) {
    test(`lets the log tell what a policy would have earned ${what}`, async () => {
      const { estimates, choices } = await estimate(target)
      expect(choices).toBe(leads)
      const expected = truth(calls)
      expect(Math.abs(estimates.ips - expected)).toBeLessThan(4 * estimates.ipsError)
      expect(Math.abs(estimates.snips - expected)).toBeLessThan(4 * estimates.ipsError)
      expect(Math.abs(estimates.doublyRobust! - expected)).toBeLessThan(4 * estimates.ipsError)
      expect(estimates.meanWeight).toBeCloseTo(1, 1)
      expect(estimates.effectiveSampleSize).toBeGreaterThan(300)
    })
  }

  test('is estimated under the decisions of another model, replayed over the same log', async () => {
    const candidate = offerTopology(0)
    const outputs = await candidatePredictions({
      declaration: candidate,
      ...wiring,
      database: await wiring.scratch(),
    })
    const { decision } = candidate.models[0]!
    const greedy = await estimate({ kind: 'greedy' })
    // The same learner over the same log values the actions as the one that served, and so would do as it does at its best.
    expect({
      ...(await estimate({ kind: 'candidate', decision: decision!, outputs })),
      target: 'greedy',
    }).toEqual(greedy)
    expect(
      await estimate({ kind: 'candidate', decision: decision!, outputs: new Map() }).catch(String),
    ).toMatch('the log holds no choice with a label')
  })

  test('is refused an estimate of few choices, and an action that is none of its own, with the number and the names', async () => {
    await expect(estimate({ kind: 'always', action: 'call' }, { leastEffective: 2_999 })).rejects.toThrow(
      /the 3000 logged choices are worth \d+\.\d of the policy in question, at least 2999 are needed/,
    )
    await expect(estimate({ kind: 'always', action: 'visit' })).rejects.toThrow(
      'action "visit" was never among those that the model decides between: wait, call',
    )
  })
})

test('a log of certain choices supports nothing but itself, and says how far the question is from it', async () => {
  const decisions: Decided[] = Array.from({ length: 400 }, (_, index) => ({
    atMs: 1_700_000_000_000 + index * 1_000,
    features: [0],
    output: 0.5,
    label: index % 2,
    variant: index % 4 === 0 ? 'call' : 'wait',
    propensity: 1,
  }))
  const certain = await decisionLog('offers', 'offer', decisions)
  const of = (target: PolicyTarget, declaration = offers) => policy({ declaration, ...certain, target })
  await expect(of({ kind: 'always', action: 'call' })).rejects.toThrow(
    '400 of the 400 logged choices were made with propensity 1, and the policy in question would do otherwise there with probability 0.750',
  )
  // A model that decides nothing has logged none.
  await expect(of({ kind: 'uniform' }, offerTopology(undefined))).rejects.toThrow(
    '400 of the 400 logged choices were made with propensity 1',
  )
})

describe('expected off-policy values of a real bandit', () => {
  const golden = fileURLToPath(new URL('../golden/online-learning', import.meta.url))
  const rows = gunzipSync(readFileSync(join(golden, 'bts_men.csv.gz')))
    .toString('utf8')
    .trim()
    .split(/\r?\n/)
  const header = rows[0]!.split(',')
  const [item, click, propensity] = ['item_id', 'click', 'propensity_score'].map((name) =>
    header.indexOf(name),
  )
  const items = Array.from({ length: 34 }, (_, index) => String(index))
  const shown = event('shown', { id: 'string', x: 'double', at: 'timestamp' }, { key: 'id', time: 'at' })
  const clicked = event(
    'clicked',
    { id: 'string', click: 'double', at: 'timestamp' },
    { key: 'id', time: 'at' },
  )
  const declaration = topology('bandit', {
    events: [shown, clicked],
    models: [
      model('items', {
        on: shown,
        features: [request(shown, { x: ({ x }) => x })],
        label: { from: clicked, join: 'id', value: (of) => of.click, within: hours(10_000) },
        learner: hashedLogistic({ bits: 4 }),
        decide: { actions: items, value: () => 0, explore: epsilonGreedy(1) },
      }),
    ],
  })

  test('are met from a log of the engine', async () => {
    const decisions = rows.slice(1).map((line, index): Decided => {
      const cells = line.split(',')
      return {
        atMs: 1_700_000_000_000 + index,
        features: [0],
        output: 0.5,
        label: Number(cells[click!]),
        variant: cells[item!]!,
        propensity: Number(cells[propensity!]),
      }
    })
    const log = await decisionLog('bandit', 'items', decisions)
    const cases = (
      JSON.parse(readFileSync(join(golden, 'online-learning.json'), 'utf8')) as {
        ope_bandits: { metric: string; expected: Record<string, number> }[]
      }
    ).ope_bandits
    const expectedOf = (metric: string) => cases.find((each) => each.metric.startsWith(metric))!.expected
    const of = (clip: number) => policy({ declaration, ...log, target: { kind: 'uniform' }, clip })
    const { choices, estimates } = await of(5)
    expect(choices).toBe(10_000)
    const { IPS, SNIPS, IPS_se, ESS, w_mean, w_max } = expectedOf('IPS / SNIPS')
    const near = (value: number, expected: number) =>
      expect(Math.abs(value - expected)).toBeLessThan(1e-11 * Math.abs(expected))
    near(estimates.ips, IPS!)
    near(estimates.snips, SNIPS!)
    near(estimates.ipsError, IPS_se!)
    near(estimates.effectiveSampleSize, ESS!)
    near(estimates.meanWeight, w_mean!)
    near(estimates.maxWeight, w_max!)
    for (const [clip, metric] of [
      [5, 'clipped IPS lambda=5.0'],
      [10, 'clipped IPS lambda=10.0'],
    ] as const) {
      const { clipped, clippedCount } = (await of(clip)).estimates
      near(clipped, expectedOf(metric)['value']!)
      expect(clippedCount).toBe(expectedOf(metric)['clipped'])
    }
  })
})

test('is a command, with a table for people and JSON for programs; a certain log is told so by exit code 3', async () => {
  const module = join(folder, 'offers.ts')
  const support = fileURLToPath(new URL('../support/offer-topology.ts', import.meta.url))
  const write = (path: string, explore: string) =>
    writeFileSync(
      path,
      `import { offerTopology } from ${JSON.stringify(support)}\nexport default offerTopology(${explore})\n`,
    )
  write(module, '0.4')
  const plain = join(folder, 'plain.ts')
  write(plain, 'undefined')
  const where = ['replay', 'policy', '--data', data, '--topology', module]
  const [told, json, none, certain] = await Promise.all([
    headwater([...where, '--greedy']),
    headwater([...where, '--candidate', `${module}#offer`, '--json']),
    headwater(where),
    headwater(['replay', 'policy', '--data', data, '--topology', plain, '--uniform']),
  ])
  expect(told).toMatchObject({ code: 0 })
  expect(told.out).toContain('the action valued most, by 3,000 choices of offer')
  for (const name of ['IPS', 'SNIPS', 'clipped IPS', 'DM', 'DR', 'SWITCH']) {
    expect(told.out).toMatch(new RegExp(`^ *${name} `, 'm'))
  }
  expect(json.code).toBe(0)
  expect(JSON.parse(json.out)).toMatchObject({ model: 'offer', target: 'candidate', choices: leads })
  expect(none).toMatchObject({ code: 2 })
  expect(none.errors).toContain(
    'name one policy to estimate: --always <action>, --greedy, --uniform or --candidate',
  )
  expect(certain).toMatchObject({ code: 3 })
  expect(certain.errors).toContain('supports nothing but the policy that ran')
}, 60_000)
