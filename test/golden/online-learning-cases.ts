import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runAggregateCase } from './aggregate-cases.ts'
import type { CaseResult } from './case-result.ts'
import { runDocumentedCase, runVowpalCase } from './documented-learner-cases.ts'
import { runDriftCase } from './drift-cases.ts'
import { runDriftStatisticCase } from './drift-statistic-cases.ts'
import { runExactLearnerCase } from './exact-learner-cases.ts'
import { type CaseOptions, type CaseRunner, type GoldenCase, notApplicable } from './golden-case.ts'
import { runLearnerCase } from './learner-cases.ts'
import { runDelayedCase, runExplainCase, runScalerCase } from './learning-order-cases.ts'
import { runMetricCase } from './metric-cases.ts'
import { runPolicyCase } from './policy-cases.ts'

/** Who runs what: one entry a family. A family without one does not apply. */
const runners: Readonly<Record<string, CaseRunner>> = {
  learner: runLearnerCase,
  learner_exact: runExactLearnerCase,
  learner_documented: runDocumentedCase,
  vw: runVowpalCase,
  delayed: runDelayedCase,
  explain: runExplainCase,
  scaler: runScalerCase,
  stat: runAggregateCase,
  metric: runMetricCase,
  ope: runPolicyCase,
  drift: runDriftCase,
  drift_stat: runDriftStatisticCase,
}

/** Sections that hold facts about the data, not results to be met. */
const notCases = new Set(['meta', 'datasets', 'streams'])

/** Every case of a file in the format of `online-learning.json`, that of the folder unless another is named, in its order. */
export function onlineLearningCases(
  dataFolder: string,
  path: string = join(dataFolder, 'online-learning.json'),
): GoldenCase[] {
  const text = readFileSync(path, 'utf8')
  const sections = JSON.parse(text) as Record<string, Record<string, unknown>[]>
  const streams = (sections['streams'] ?? {}) as unknown as Readonly<Record<string, unknown>>
  return Object.entries(sections)
    .filter(([section]) => !notCases.has(section))
    .flatMap(([section, entries]) =>
      entries.map((body, index) => ({
        id: `${section}/${index}`,
        family: typeof body['kind'] === 'string' ? body['kind'] : section,
        title: titleOf(body),
        body,
        streams,
      })),
    )
}

export function runOnlineLearningCase(
  goldenCase: GoldenCase,
  dataFolder: string,
  options: CaseOptions = {},
): CaseResult {
  const { id, family } = goldenCase
  const runner = runners[family]
  if (runner === undefined) {
    return { id, ...notApplicable(`nothing here runs cases of the family "${family}"`) }
  }
  return { id, ...runner(goldenCase, dataFolder, options) }
}

function titleOf(body: Readonly<Record<string, unknown>>): string {
  const names = ['model', 'detector', 'stat', 'scaler', 'metric', 'name', 'what']
  const found = names.map((name) => body[name]).find((value) => typeof value === 'string')
  const hyperparams = body['hyperparams'] as Readonly<Record<string, unknown>> | undefined
  const detail = [hyperparams?.['optimizer'], body['dataset'] ?? body['stream']]
  return [found, ...detail].filter((part) => typeof part === 'string').join(', ')
}
