import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { afterAll, describe, expect, it } from 'vitest'
import { trainingSet } from '../../replay/training-set.ts'
import { Engine, topology } from '../../topology/index.ts'
import { wire } from '../../topology/runtime/wire.ts'
import type { Row } from './point-in-time-case.ts'
import { pointInTimeCases, runPointInTimeCase } from './point-in-time-cases.ts'
import type { ViewFeed } from './point-in-time-feeds.ts'

const folder = mkdtempSync(join(tmpdir(), 'headwater-golden-training-'))
let runs = 0

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const middle = 'asks in the middle of the log: a position, not a time'

/** These say what was known when; a row of a file says only when. */
const asKnownThen = [
  'chronon.mutations.simplest',
  'chronon.mutations.update_value',
  'chronon.mutations.inconsistent_ds_ts',
  'chronon.mutations.decayed_window_4d',
  'chronon.mutations.no_snapshot_only_mutations',
  'chronon.fetcher.mutation_int64_keys',
  'feast.created.filtered',
  'feast.created.all_future_row_kept',
  'metarank.rate.normalised',
]
/** These are about something else than a view's numbers: joins of streams, sessions, lists, sketches. */
const withoutView = [
  'chronon.row_aggregator.update_merge_delete',
  'chronon.tile_codec.finalize',
  'chronon.two_stack.topk2',
  'chronon.bounded_unique_k5.happy',
  'chronon.bounded_unique_k5.merge',
  'chronon.approx_histogram_k3.exact',
  'chronon.approx_histogram_k3.merge_sketches',
  'chronon.approx_histogram_k3.merge_hist',
  'chronon.approx_histogram_k3.merge_sketch_and_hist',
  'chronon.variance_moments',
  'chronon.psi_kll',
  'chronon.label_window.offsets',
  'fennel.quantile_median_1w',
  'fennel.stream_join_equal_ts_inner',
  'fennel.session_15m',
  'metarank.diversity.numeric',
  'metarank.diversity.strings',
]

/** The feed's events on a log, its questions in a file: the rows of the training set are its answers. */
async function runAsTrainingSet({ view, steps, result }: ViewFeed): Promise<unknown> {
  const firstQuery = steps.findIndex(({ kind }) => kind === 'query')
  if (steps.slice(firstQuery).some(({ kind }) => kind === 'event')) return middle
  const data = join(folder, `${runs++}`)
  const declaration = topology('golden', {
    events: [...view.sources],
    features: [view],
    models: [],
    partitions: 1,
  })
  const engine = await Engine.open({ topology: declaration, data, now: () => 4e12 })
  engine.run()
  const questions: { readonly asked: object; readonly shown: Row }[] = []
  for (const step of steps) {
    if (step.kind === 'query') {
      questions.push({ asked: { ...step.entity, asOf: step.atMs }, shown: step.shown })
      continue
    }
    const { name } = view.sources.find(({ topic }) => topic === step.topic)!
    await engine.append(name, [step.event])
  }
  await engine.caughtUp()
  await engine.close()
  const path = join(data, 'questions.ndjson')
  writeFileSync(path, questions.map(({ asked }) => JSON.stringify(asked)).join('\n'))
  const out = join(data, 'answers.parquet')
  const wiring = await wire({ data, now: () => 4e12, readOnly: true })
  try {
    const database = await wiring.scratch()
    await trainingSet({
      declaration,
      ...wiring,
      database,
      out,
      labels: { path, time: 'asOf', timeUnit: 'ms' },
    })
  } finally {
    await wiring.close()
  }
  const bytes = readFileSync(out)
  const rows = await parquetReadObjects({
    file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
  })
  return result(
    rows.map((row, index) => ({
      ...questions[index]!.shown,
      ...Object.fromEntries([...view.features.keys()].map((name) => [name, row[name]])),
    })),
  )
}

describe('golden reads at a point in time, as a training set', () => {
  for (const each of pointInTimeCases()) {
    if (withoutView.includes(each.id)) continue
    it(`${each.id} ${asKnownThen.includes(each.id) ? 'asks for a position' : 'gives the same rows'}`, async () => {
      let answer: unknown
      const got = await runPointInTimeCase(each, undefined, async (feed) => {
        answer = await runAsTrainingSet(feed)
        return answer
      })
      if (asKnownThen.includes(each.id)) expect(answer).toBe(middle)
      else expect(got).toMatchObject({ status: 'passed' })
    })
  }
})
