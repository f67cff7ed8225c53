import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { audit } from '../../replay/audit.ts'
import { candidatePredictions } from '../../replay/candidate.ts'
import { counterfactual } from '../../replay/counterfactual.ts'
import { evaluate } from '../../replay/evaluate.ts'
import { findRange, PositionFilter, type ReplayRange, timesOfRange } from '../../replay/replay-range.ts'
import {
  type CommitEvent,
  engineContracts,
  type PredictionEvent,
} from '../../state/contracts/engine-contracts.ts'
import { LogReader } from '../../topology/cli/log-reader.ts'
import { trainingSet } from '../../topology/index.ts'
import { type Wiring, wire } from '../../topology/runtime/wire.ts'
import { fillTrainingShop, trainingShop } from '../support/training-shop.ts'

/* 24 steps of five orders and their payments each: many commits, and orders out of their order. */

let folder = ''
let data = ''
let wiring: Wiring
let commits: (Pick<CommitEvent, 'sequence' | 'at'> & { offsets: number[]; layout: string })[] = []
let predictions: (Pick<PredictionEvent, 'requestId' | 'triggerTopic'> & {
  predictedAt: number
  triggerPartition: number
  triggerOffset: number
  position: { offsets: number[] }
})[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-range-'))
  data = join(folder, 'data')
  await fillTrainingShop(data)
  wiring = await wire({ data, now: Date.now, readOnly: true })
  const reader = new LogReader(wiring.log, wiring.registry)
  const topics = await wiring.log.topics()
  const contracts = engineContracts('training-shop')
  const valuesOf = async <Value>(wanted: string): Promise<Value[]> => {
    const topic = topics.find(({ name }) => name === wanted)!
    const found: Value[] = []
    for (let partition = 0; partition < topic.partitions; partition++) {
      for await (const { value } of reader.read(topic.name, partition, 0n)) found.push(value as Value)
    }
    return found
  }
  commits = await valuesOf(contracts.commit.topic)
  predictions = await valuesOf(contracts.prediction.topic)
})
afterAll(async () => {
  await wiring.close()
  rmSync(folder, { recursive: true, force: true })
})

const source = () => ({ app: 'training-shop', log: wiring.log, registry: wiring.registry })
const orderTopic = () => predictions[0]!.triggerTopic
const ids = (of: readonly { readonly requestId: string }[]) => of.map(({ requestId }) => requestId).sort()

async function inRange(range: ReplayRange): Promise<string[]> {
  const { fromMs = -Infinity, toMs = Infinity, positions = {} } = await findRange(range, source())
  const filter = await PositionFilter.open(positions, source())
  return ids(
    predictions.filter(
      ({ predictedAt, position }) =>
        predictedAt >= fromMs && predictedAt < toMs && filter.includes(position.offsets),
    ),
  )
}

describe('a range of the log', () => {
  test('by commits holds the predictions of their batches: those of a part of them and of the rest are all', async () => {
    expect(commits.length).toBeGreaterThan(10)
    const middle = Math.floor(commits.length / 2)
    // Oracle: a prediction belongs to the first commit whose offsets are behind its position in any input.
    const commitOf = ({ position: { offsets } }: (typeof predictions)[number]) =>
      commits.find((commit) => commit.offsets.some((end, input) => end > offsets[input]!))!.sequence
    const whole = { kind: 'commit', sequence: middle } as const
    const before = predictions.filter((prediction) => commitOf(prediction) < middle)
    const after = predictions.filter((prediction) => commitOf(prediction) >= middle)
    expect(before.length).toBeGreaterThan(0)
    expect(after.length).toBeGreaterThan(0)
    expect(await inRange({ to: whole })).toEqual(ids(before))
    expect(await inRange({ from: whole })).toEqual(ids(after))
    const one = { kind: 'commit', sequence: middle + 1 } as const
    expect(await inRange({ from: whole, to: one })).toEqual(
      ids(predictions.filter((prediction) => commitOf(prediction) === middle)),
    )
    expect(await inRange({ from: { kind: 'commit', sequence: 0 } })).toEqual(ids(predictions))
    expect(await inRange({ to: { kind: 'commit', sequence: commits.length } })).toEqual(ids(predictions))
  })

  test('by records goes by where the fold stood, not by the time', async () => {
    const edge = { kind: 'record', topic: orderTopic(), partition: 0, offset: 20 } as const
    const of0 = predictions.filter(({ triggerPartition }) => triggerPartition === 0)
    const from = await inRange({ from: edge })
    const to = await inRange({ to: edge })
    expect([...from, ...to].sort()).toEqual(ids(predictions))
    const isFrom = new Set(from)
    for (const { requestId, triggerOffset } of of0) {
      expect(isFrom.has(requestId)).toBe(triggerOffset >= 20)
    }
  })

  test('as event times: a record stands for its own, its end for just behind the last, a commit for the time before it', async () => {
    const topic = orderTopic()
    const fifth = predictions.find(
      ({ triggerPartition, triggerOffset }) => triggerPartition === 0 && triggerOffset === 5,
    )!
    const { end } = await wiring.log.offsets(topic, 0)
    const last = predictions.find(
      ({ triggerPartition, triggerOffset }) => triggerPartition === 0 && triggerOffset === Number(end) - 1,
    )!
    const record = { kind: 'record', topic, partition: 0 } as const
    expect(
      await timesOfRange(
        { from: { ...record, offset: 5 }, to: { ...record, offset: Number(end) } },
        source(),
      ),
    ).toEqual({ fromMs: fifth.predictedAt, toMs: last.predictedAt + 1 })
    expect(
      await timesOfRange({ from: { kind: 'commit', sequence: 4 }, to: { kind: 'time', atMs: 5 } }, source()),
    ).toEqual({ fromMs: Number(commits[3]!.at), toMs: 5 })
  })

  test('that is not on the log is refused with what is', async () => {
    const unknown = (range: ReplayRange) => expect(findRange(range, source())).rejects
    await unknown({ from: { kind: 'commit', sequence: 9_999 } }).toThrow(
      `#9999 is no position of this log: the log holds the commits #0 to #${commits.length - 1}; write #0 to #${commits.length}`,
    )
    await unknown({ to: { kind: 'record', topic: 'nothing', partition: 0, offset: 1 } }).toThrow(
      'the engine has read ',
    )
    await unknown({ to: { kind: 'record', topic: orderTopic(), partition: 0, offset: 999 } }).toThrow(
      `write ${orderTopic()}[0]:0 to ${orderTopic()}[0]:`,
    )
  })
})

describe('of a range by commits', () => {
  const range: ReplayRange = { from: { kind: 'commit', sequence: 5 }, to: { kind: 'commit', sequence: 12 } }

  test('the audit compares exactly the predictions in it', async () => {
    const of = async (between: ReplayRange) =>
      audit({
        declaration: trainingShop,
        ...wiring,
        database: await wiring.scratch(),
        ...(await findRange(between, source())),
      })
    const expected = (await inRange(range)).length
    expect(expected).toBeGreaterThan(0)
    expect(await of(range)).toEqual({ predictions: expected, mismatches: 0, unpaired: 0, examples: [] })
    expect((await of({})).predictions).toBe(predictions.length)
  })

  test('a training set, an evaluation and a counterfactual hold exactly those in it', async () => {
    const expected = await inRange(range)
    const out = join(folder, 'part.csv')
    const { rows, dropped, provenance } = await trainingSet({
      topology: trainingShop,
      data,
      out,
      between: range,
      withUnlabelled: true,
    })
    expect(rows).toBe(expected.length)
    expect(dropped.outsideRange).toBe(predictions.length - expected.length)
    const found = await findRange(range, source())
    expect(provenance.options).toMatchObject({ positions: found.positions })
    const common = { declaration: trainingShop, log: wiring.log, registry: wiring.registry, ...found }
    const evaluation = await evaluate({ ...common, bootstrap: { resamples: 0 } })
    expect(evaluation.rows + evaluation.unlabelled).toBe(expected.length)
    const candidate = await candidatePredictions({
      declaration: trainingShop,
      ...wiring,
      database: await wiring.scratch(),
    })
    expect(await counterfactual({ ...common, candidate })).toMatchObject({
      answered: expected.length,
      equal: expected.length,
    })
  })
})
