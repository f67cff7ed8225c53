import { type AdwinOptions, adwin } from '../../models/drift/adwin.ts'
import { ddm } from '../../models/drift/ddm.ts'
import type { DriftDetector } from '../../models/drift/drift-detector.ts'
import { eddm } from '../../models/drift/eddm.ts'
import { hddmA } from '../../models/drift/hddm-a.ts'
import { hddmW } from '../../models/drift/hddm-w.ts'
import { kswin } from '../../models/drift/kswin.ts'
import { pageHinkley } from '../../models/drift/page-hinkley.ts'
import { driftStream } from './drift-streams.ts'
import { type CaseOptions, type GoldenCase, judge, notApplicable, type Verdict } from './golden-case.ts'

interface DriftBody {
  readonly detector: string
  readonly hyperparams?: Readonly<Record<string, unknown>>
  readonly stream?: string
  readonly input?: readonly number[]
  readonly expected_drift_indices?: readonly number[] | null
  readonly expected_warning_onsets?: readonly number[] | null
  readonly probe_after_update?: Readonly<Record<string, Readonly<Record<string, number>>>>
}

type Settings = Record<string, number | boolean | string>

/** What the file calls a setting, where it is not the same word in camel case. */
const settingNames: Readonly<Record<string, string>> = {
  two_sided_test: 'twoSided',
  two_side_option: 'twoSided',
  lambda_val: 'lambda',
  lambda_option: 'lambda',
  warning_level: 'warningThreshold',
  out_control_level: 'driftThreshold',
}

/** Settings that say how, in words; and those that say nothing. */
const words = new Set(['defaults', 'cuts'])

const builders: Readonly<Record<string, (settings: Settings) => DriftDetector>> = {
  adwin,
  ddm,
  eddm,
  hddma: hddmA,
  hddmw: hddmW,
  kswin,
  pagehinkley: pageHinkley,
}

/** A detector over a stream: where it tells a drift, and the first warning before each; sums over its window where they are given. */
export function runDriftCase(
  { body: given, streams = {} }: GoldenCase,
  _dataFolder: string,
  { restart = false }: CaseOptions = {},
): Verdict {
  const body = given as unknown as DriftBody
  // What a case does not say, or says to be null, is not asked.
  const expected = {
    ...(body.expected_drift_indices ? { drifts: body.expected_drift_indices } : {}),
    ...(body.expected_warning_onsets ? { warnings: body.expected_warning_onsets } : {}),
    ...(body.probe_after_update ? { windows: body.probe_after_update } : {}),
  }
  const build = builderOf(body)
  if (build === undefined) return notApplicable(`the engine has no detector "${body.detector}"`, expected)
  const values = body.input ? Float64Array.from(body.input) : driftStream(body.stream ?? '', streams)
  if (values === undefined) {
    return notApplicable(`the file does not say what the stream "${body.stream}" is`, expected)
  }
  const got = watch(build, values, { restart, probes: body.probe_after_update ?? {} })
  const counted = ({ drifts, warnings }: Partial<Record<'drifts' | 'warnings', readonly number[]>>) => ({
    ...(drifts ? { drifts: drifts.length } : {}),
    ...(warnings ? { warnings: warnings.length } : {}),
  })
  return judge({ ...expected, counts: counted(expected) }, { ...got, counts: counted(got) }, 1e-9)
}

function builderOf({ detector, hyperparams = {} }: DriftBody): (() => DriftDetector) | undefined {
  const [kind = ''] = detector.split(/[ (]/)
  const build = builders[kind.toLowerCase().replaceAll(/[^a-z]/g, '')]
  const settings: Settings = {}
  for (const [name, value] of Object.entries(hyperparams)) {
    if (words.has(name) || value === null) continue
    const camel = name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
    settings[settingNames[name] ?? camel] = value as number
  }
  if (/legacy/.test(detector) || /off-by-one/.test(String(hyperparams['cuts']))) {
    settings['cuts'] = 'inner' satisfies AdwinOptions['cuts']
  }
  return build && (() => build(settings))
}

/** Sees every value once. With `restart` the detector is built anew twice, from what it saved. */
function watch(
  build: () => DriftDetector,
  values: Float64Array,
  { restart, probes }: { restart: boolean; probes: Readonly<Record<string, object>> },
) {
  const drifts: number[] = []
  const warnings: number[] = []
  const windows: Record<string, object> = {}
  let detector = build()
  let isWarned = false
  for (const [index, value] of values.entries()) {
    if (restart && index > 0 && index % Math.ceil(values.length / 3) === 0) {
      const saved = detector.save()
      detector = build()
      detector.restore(saved)
    }
    const state = detector.update(value)
    if (state === 'warning' && !isWarned) warnings.push(index)
    if (state === 'drift') drifts.push(index)
    isWarned = state === 'drift' ? false : isWarned || state === 'warning'
    if (probes[index] !== undefined) {
      const { width, total, varianceSum, mean } = (detector as ReturnType<typeof adwin>).window
      windows[index] = { width, total, variance_sum: varianceSum, estimation: mean }
    }
  }
  return { drifts, warnings, windows }
}
