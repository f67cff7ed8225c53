import { featureView } from '../../processors/feature/feature-view.ts'
import { ViewState } from '../../processors/feature/view-state.ts'
import { packKey } from '../../state/store/packed-key.ts'
import { days, event, forever, hours, mean, topK } from '../../topology/index.ts'
import { mixedDraws } from './mixed-draws.ts'

/*
 * Job P7, Chronon's shape: 100,000 questions about 10,000 events of one key,
 * at times of their own, about exact windows of an hour, a day, 30 days and
 * all time: the mean of the values and the 300 largest. The view's state is
 * fed and asked in order of time, as a training set with times of its own
 * does it; sorting both is part of the job. Every answer is held until the
 * end, and held against the checksum that numpy and DuckDB agree on.
 */

const eventCount = 10_000
const questionCount = Number(process.env['QC'] ?? 100_000)
const spanMs = days(180)
const largest = 300
const windows = { '1h': hours(1), '1d': days(1), '30d': days(30), all: forever } as const
type WindowName = keyof typeof windows
const names = Object.keys(windows) as WindowName[]

/** Values, their sum, and their sums weighted by the question's place and, for lists, by rank. */
type Checksum = readonly [count: number, sum: number, weighted: number, ranked?: number]

const expectedMeans: Readonly<Record<WindowName, Checksum>> = {
  '1h': [88_607, 44_475_171.57, 2_179_593_743.7],
  '1d': [100_000, 49_574_962.17, 2_428_565_551.3],
  '30d': [100_000, 50_514_278.26, 2_475_037_700.9],
  all: [100_000, 50_131_494.85, 2_456_281_143],
}
const expectedLists: Readonly<Record<WindowName, Checksum>> = {
  '1h': [224_523, 111_311_972, 5_458_154_402, 192_767_082],
  '1d': [5_389_426, 2_669_334_600, 130_703_192_720, 50_159_656_507],
  '30d': [30_000_000, 27_504_940_339, 1_347_646_224_884, 4_017_250_132_465],
  all: [30_000_000, 29_561_298_771, 1_448_408_828_051, 4_428_018_830_458],
}

const reading = event(
  'reading',
  { sensor: 'int', value: 'double', at: 'timestamp' },
  { key: 'sensor', time: 'at' },
)
const sensor = featureView('sensor', {
  entity: 'sensor',
  owner: 'bench',
  description: 'What a sensor read',
  features: Object.fromEntries([
    ...names.map(
      (name) => [`mean ${name}`, mean(reading, 'value', { over: windows[name], hop: 0 })] as const,
    ),
    ...names.map(
      (name) => [`top ${name}`, topK(reading, 'value', { over: windows[name], hop: 0, k: largest })] as const,
    ),
  ]),
})

interface Asked {
  /** Of the questions in their order, window by window; NaN for none. */
  readonly means: readonly Float64Array[]
  readonly lists: readonly (readonly number[] | null)[][]
}

export interface WindowQueries {
  readonly cpuSeconds: number
  readonly seconds: number
  /** Columns that are not what the checksums say. */
  readonly differing: readonly string[]
}

/** Does the job once. */
export function windowQueries(): WindowQueries {
  const draws = mixedDraws(11)
  const eventMs = new Float64Array(eventCount)
  const values = new Float64Array(eventCount)
  for (let index = 0; index < eventCount; index++) {
    eventMs[index] = Math.floor(draws() * spanMs)
    values[index] = Math.floor(draws() * 1000)
  }
  const askedMs = Float64Array.from(
    { length: questionCount },
    () => spanMs - days(30) + Math.floor(draws() * days(30)),
  )
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  const asked = ask(eventMs, values, askedMs)
  const seconds = (performance.now() - startedMs) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  return { cpuSeconds: (user + system) / 1e6, seconds, differing: differing(asked) }
}

function ask(eventMs: Float64Array, values: Float64Array, askedMs: Float64Array): Asked {
  const state = new ViewState(sensor)
  const key = packKey([1])
  const means = names.map(() => new Float64Array(askedMs.length))
  const lists = names.map(() => new Array<readonly number[] | null>(askedMs.length).fill(null))
  const numbers = new Float64Array(state.featureNames.length)
  const answers: unknown[] = []
  const eventOrder = inOrderOfTime(eventMs)
  let fed = 0
  for (const question of inOrderOfTime(askedMs)) {
    const queryMs = askedMs[question]!
    for (; fed < eventOrder.length && eventMs[eventOrder[fed]!]! < queryMs; fed++) {
      const index = eventOrder[fed]!
      const at = eventMs[index]!
      state.update(reading.topic, at, { sensor: 1, value: values[index]!, at })
    }
    state.readOne(key, queryMs, numbers, 0)
    state.readAnswers(key, queryMs, answers)
    for (let window = 0; window < names.length; window++) {
      means[window]![question] = numbers[window]!
      lists[window]![question] = answers[names.length + window] as readonly number[] | null
    }
  }
  return { means, lists }
}

/** Places of the times, earliest first; of equal ones, in their order. */
function inOrderOfTime(timesMs: Float64Array): Uint32Array {
  const places = 2 ** 17
  const packed = timesMs.map((atMs, place) => atMs * places + place).sort()
  return Uint32Array.from(packed, (each) => each % places)
}

const weightOf = (question: number): number => (question % 97) + 1

function differing({ means, lists }: Asked): readonly string[] {
  return names.flatMap((name, window) => {
    const mean = [0, 0, 0]
    for (const [question, value] of means[window]!.entries()) {
      if (Number.isNaN(value)) continue
      mean[0]! += 1
      mean[1]! += value
      mean[2]! += value * weightOf(question)
    }
    const list = [0, 0, 0, 0]
    for (const [question, values] of lists[window]!.entries()) {
      if (values === null) continue
      let sum = 0
      for (let rank = 0; rank < values.length; rank++) {
        sum += values[rank]!
        list[3]! += values[rank]! * (rank + 1)
      }
      list[0]! += values.length
      list[1]! += sum
      list[2]! += sum * weightOf(question)
    }
    return [
      ...(isClose(mean, expectedMeans[name], [0, 0.006, 0.06]) ? [] : [`mean ${name}: ${mean.join(' ')}`]),
      ...(isClose(list, expectedLists[name], [0, 0, 0, 0]) ? [] : [`top ${name}: ${list.join(' ')}`]),
    ]
  })
}

/** The checksums are given to so many digits. */
const isClose = (found: readonly number[], expected: Checksum, slack: readonly number[]): boolean =>
  found.every((value, index) => Math.abs(value - expected[index]!) <= slack[index]!)
