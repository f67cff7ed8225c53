import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { estimateOffPolicy, type LoggedChoice } from '../../models/policy/off-policy.ts'
import { type GoldenCase, judge, notApplicable, type Verdict } from './golden-case.ts'

/** One row of a log of the Open Bandit Dataset. */
interface Row {
  readonly item: number
  /** From 1. */
  readonly position: number
  readonly click: number
  readonly propensity: number
}

interface Input {
  readonly campaign?: string
  readonly log?: string
  readonly best_item_per_position?: readonly number[]
}

const tolerance = 1e-12

/** Off-policy values over the logs of a campaign. */
export function runPolicyCase({ body }: GoldenCase, dataFolder: string): Verdict {
  const metric = String(body['metric'])
  const expected = body['expected']
  const { campaign, log, best_item_per_position: best } = (body['input'] ?? {}) as Input
  if (campaign === undefined) return notApplicable(`the engine has no bandit "${metric}"`, expected)
  const random = rowsOf(dataFolder, 'random', campaign)
  const bts = rowsOf(dataFolder, 'bts', campaign)
  if (random === undefined || bts === undefined) {
    return notApplicable(`the logs of campaign "${campaign}" are not in the data folder`, expected)
  }
  const items = new Set([...random, ...bts].map(({ item }) => item)).size
  if (/^on_policy/.test(metric)) return judge(expected, onPolicy(random, bts, items), tolerance)
  if (best !== undefined) return judge(expected, deterministic(random, best), tolerance)
  const clip = Number(/lambda=([\d.]+)/.exec(metric)?.[1] ?? 10)
  const estimates = estimateOffPolicy(uniformOver(log === 'random' ? random : bts, items), { clip })
  if (/^clipped/.test(metric)) {
    return judge(expected, { value: estimates.clipped, clipped: estimates.clippedCount }, tolerance)
  }
  if (!/IPS/.test(metric)) return notApplicable(`the engine has no estimate "${metric}"`, expected)
  const truth = meanClick(random)
  const got = {
    IPS: estimates.ips,
    SNIPS: estimates.snips,
    IPS_se: estimates.ipsError,
    ESS: estimates.effectiveSampleSize,
    w_mean: estimates.meanWeight,
    w_max: estimates.maxWeight,
    ground_truth_random_log: truth,
    relative_error_SNIPS: Math.abs(estimates.snips - truth) / truth,
  }
  return judge(expected, got, tolerance)
}

const uniformOver = (rows: readonly Row[], items: number): LoggedChoice[] =>
  rows.map(({ click, propensity }) => ({ reward: click, propensity, targetProbability: 1 / items }))

/** A policy of one item a position: what it takes it takes for sure. */
function deterministic(rows: readonly Row[], best: readonly number[]): unknown {
  const { matched, replay, ips, snips } = estimateOffPolicy(
    rows.map(({ item, position, click, propensity }) => ({
      reward: click,
      propensity,
      targetProbability: item === best[position - 1] ? 1 : 0,
    })),
  )
  return { matched, replay_mean: replay, IPS: ips, SNIPS: snips }
}

/** A policy judged by its own log: every weight is 1. */
function meanClick(rows: readonly Row[]): number {
  const own = rows.map(({ click, propensity }) => ({
    reward: click,
    propensity,
    targetProbability: propensity,
  }))
  return estimateOffPolicy(own).replay
}

function onPolicy(random: readonly Row[], bts: readonly Row[], items: number): unknown {
  const propensities = bts.map(({ propensity }) => propensity)
  return {
    random_mean_click: meanClick(random),
    bts_mean_click: meanClick(bts),
    n_random: random.length,
    n_bts: bts.length,
    n_items: items,
    random_pscore: 1 / items,
    bts_pscore_min: Math.min(...propensities),
    bts_pscore_max: Math.max(...propensities),
    bts_pscore_sum: propensities.reduce((sum, propensity) => sum + propensity, 0),
  }
}

function rowsOf(folder: string, policy: string, campaign: string): readonly Row[] | undefined {
  const path = join(folder, `${policy}_${campaign}.csv.gz`)
  if (!existsSync(path)) return undefined
  const [header = '', ...lines] = gunzipSync(readFileSync(path)).toString('utf8').trim().split(/\r?\n/)
  const columns = header.split(',')
  const at = (name: string): number => columns.indexOf(name)
  const [item, position, click, propensity] = ['item_id', 'position', 'click', 'propensity_score'].map(at)
  return lines.map((line) => {
    const cells = line.split(',')
    return {
      item: Number(cells[item!]),
      position: Number(cells[position!]),
      click: Number(cells[click!]),
      propensity: Number(cells[propensity!]),
    }
  })
}
