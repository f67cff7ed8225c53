import { candidatePredictions, modelOf } from '../../replay/candidate.ts'
import { type PolicyReport, type PolicyTarget, policy } from '../../replay/policy.ts'
import { findRange } from '../../replay/replay-range.ts'
import type { Wiring } from '../runtime/wire.ts'
import { CliError } from './cli-error.ts'
import { loadTopology } from './load-topology.ts'
import { count, Progress } from './progress.ts'
import { rangeOption } from './range-option.ts'
import { openSource, placesOfModel, type ReplaySourceOptions } from './replay-source.ts'
import { table } from './table.ts'

export interface PolicyCommandOptions extends ReplaySourceOptions {
  readonly model?: string
  /** Times, records or commits. */
  readonly from?: string
  readonly to?: string
  readonly always?: string
  readonly greedy?: boolean
  readonly uniform?: boolean
  /** Path of a module, and behind # the name of a model. */
  readonly candidate?: string
  readonly clip?: number
  readonly switchAt?: number
  readonly least: number
}

/** `replay policy`: what other decisions would have earned. */
export async function policyCommand(options: PolicyCommandOptions): Promise<number> {
  const { json = false, model, clip, switchAt } = options
  const range = rangeOption(options)
  const asked = [options.always, options.greedy, options.uniform, options.candidate]
  if (asked.filter((each) => each !== undefined).length !== 1) {
    throw new CliError(
      'name one policy to estimate: --always <action>, --greedy, --uniform or --candidate <module#model>',
    )
  }
  const { declaration, wiring } = await openSource(options)
  try {
    const target = await targetOf(options, wiring)
    const progress = new Progress('weighing', { unit: 'events', silent: json })
    let events = 0
    const report = await policy({
      declaration,
      log: wiring.log,
      registry: wiring.registry,
      target,
      leastEffective: options.least,
      ...(model === undefined ? {} : { model }),
      ...(clip === undefined ? {} : { clip }),
      ...(switchAt === undefined ? {} : { switchAt }),
      ...(await findRange(range, await placesOfModel(range, declaration, wiring, model))),
      onProgress: (done) => {
        events = done
        progress.update(done)
      },
    })
    progress.end(events)
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : textOf(report, nameOf(options)))
    return 0
  } finally {
    await wiring.close()
  }
}

async function targetOf(options: PolicyCommandOptions, wiring: Wiring): Promise<PolicyTarget> {
  const { always, uniform, candidate, json = false } = options
  if (always !== undefined) return { kind: 'always', action: always }
  if (uniform) return { kind: 'uniform' }
  if (candidate === undefined) return { kind: 'greedy' }
  const [module = '', name] = candidate.split('#')
  const declaration = await loadTopology(module)
  const { decision, name: model } = modelOf(declaration, name)
  if (decision === undefined) {
    throw new CliError(`model "${model}" of ${module} decides nothing; give it "decide" with its actions`)
  }
  const progress = new Progress('candidate', { unit: 'records', silent: json })
  let records = 0
  const outputs = await candidatePredictions({
    declaration,
    model,
    log: wiring.log,
    writer: wiring.writer,
    registry: wiring.registry,
    database: await wiring.scratch(),
    onProgress: (done) => {
      records = done.records
      progress.update(records)
    },
  })
  progress.end(records)
  return { kind: 'candidate', decision, outputs }
}

const nameOf = ({ always, uniform, candidate }: PolicyCommandOptions): string => {
  if (always !== undefined) return `always "${always}"`
  if (uniform) return 'each action alike'
  return candidate === undefined ? 'the action valued most' : `candidate ${candidate}`
}

const figure = (value: number | undefined): string =>
  value === undefined || Number.isNaN(value) ? '-' : String(Number(value.toPrecision(5)))

function textOf(report: PolicyReport, target: string): string {
  const { model, choices, unlabelled, undecided, unanswered, logged, actions, estimates } = report
  const { ips, ipsError, snips, clipped, clippedCount, direct, doublyRobust, switched } = estimates
  const { effectiveSampleSize, meanWeight, maxWeight, matched } = estimates
  const half = 1.96 * ipsError
  const left = [
    [unlabelled, 'without a label'],
    [undecided, 'of before these actions were declared'],
    [unanswered, 'without an answer of the candidate'],
  ] as const
  const rows: readonly (readonly [string, number | undefined, string])[] = [
    ['IPS', ips, `${figure(ips - half)} to ${figure(ips + half)}, 95 %`],
    ['SNIPS', snips, 'weights made to add up: less variance, slightly biased'],
    ['clipped IPS', clipped, `${count(clippedCount)} weights cut`],
    ['DM', direct, "by the model's expected rewards alone"],
    ['DR', doublyRobust, 'expected rewards, corrected by what came'],
    ['SWITCH', switched, 'DR where weights are moderate, else DM'],
  ]
  return [
    `${target}, by ${count(choices)} choices of ${model}`,
    ...left.filter(([number]) => number > 0).map(([number, why]) => `${count(number)} left out: ${why}`),
    `the policy that ran earned ${figure(logged)} a choice`,
    '',
    table(
      ['estimate', 'a choice', ''],
      rows
        .filter(([, value]) => value !== undefined)
        .map(([name, value, note]) => [name, figure(value), note]),
    ),
    '',
    `worth ${figure(effectiveSampleSize)} choices; ${count(matched)} could be its own; mean weight ${figure(meanWeight)} (1 where the log supports it), largest ${figure(maxWeight)}`,
    '',
    table(
      ['action that ran', 'choices', 'mean propensity', 'mean reward'],
      actions.map(({ action, choices: taken, meanPropensity, meanReward }) => [
        action,
        count(taken),
        figure(meanPropensity),
        figure(meanReward),
      ]),
    ),
    '',
  ].join('\n')
}
