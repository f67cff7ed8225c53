import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  count,
  Engine,
  event,
  minutes,
  seconds,
  stream,
  streamStreamJoin,
  topology,
  tumbling,
  windowAggregate,
  windowFold,
} from '../../../topology/index.ts'

const phone = event('phone', { user: 'int', at: 'timestamp' }, { key: 'user', time: 'at' })
const web = event('web', { user: 'int', at: 'timestamp' }, { key: 'user', time: 'at' })
const perMinute = event(
  'per-minute',
  { user: 'int', start: 'timestamp', events: 'double', at: 'timestamp' },
  { key: 'user', time: 'at' },
)

/** Events of both, counted; `idleMs` is how long a silent or slow phone is waited for. */
const countedBoth = (idleMs: number) =>
  topology('both', {
    partitions: 1,
    events: [phone, web, perMinute],
    streams: [
      stream(phone, { idleMs })
        .merge(stream(web))
        .pipe(
          windowAggregate({
            name: 'per-minute',
            windows: tumbling({ sizeMs: minutes(1), graceMs: 0 }),
            aggregate: windowFold(count()),
            input: () => 1,
            emit: 'close',
          }),
        )
        .to(perMinute, ({ key, value, timestampMs }) => ({
          user: Number(key.key),
          start: key.startMs,
          events: value ?? 0,
          at: timestampMs,
        })),
    ],
  })

const startMs = 1_700_000_040_000
let data = ''
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'headwater-idle-inputs-'))
})
afterEach(() => rmSync(data, { recursive: true, force: true }))

interface Given {
  readonly results: readonly string[]
  readonly late: number
}

/** Takes each event as it arrives, with a stop in between where one is asked for; results as `minute: count`. */
async function given(
  idleMs: number,
  arrivals: readonly (readonly [topic: 'phone' | 'web', second: number])[],
  restartAt = -1,
): Promise<Given> {
  const options = { topology: countedBoth(idleMs), data, now: () => 1_800_000_000_000 }
  let engine = await Engine.open(options)
  let late = 0
  const lateSoFar = (): number =>
    engine.assembly.graph.drops.counts().reduce((sum, drop) => sum + drop.count, 0)
  for (const [index, [topic, second]] of arrivals.entries()) {
    if (index === restartAt) {
      // With a checkpoint, or without: then the log is folded again, and what is late is counted anew.
      if (index % 2 === 0) {
        late += lateSoFar()
        await engine.close()
      } else await engine.abort()
      engine = await Engine.open(options)
    }
    await engine.append(topic, [{ user: 1, at: startMs + seconds(second) }])
    await engine.assembly.task.step()
  }
  late += lateSoFar()
  const bound = engine.assembly.events.get('per-minute')!
  const results: string[] = []
  const { start, end } = await engine.log.offsets('per-minute', 0)
  for (let offset = start; offset < end; ) {
    const batch = await engine.log.read({ topic: 'per-minute', partition: 0, offset, maxBytes: 1 << 20 })
    for (let index = 0; index < batch.count; index++) {
      const row = bound.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!) as {
        start: number
        events: number
      }
      results.push(`${(row.start - startMs) / minutes(1)}: ${row.events}`)
    }
    offset = batch.nextOffset
  }
  await engine.close()
  return { results, late }
}

/** The phone's events arrive behind those of the web by up to a minute and a half. */
const slowPhone = [
  ['phone', 0],
  ['web', 10],
  ['web', 70],
  ['phone', 20],
  ['web', 95],
  ['phone', 50],
  ['phone', 65],
  ['web', 130],
] as const

test('what lags behind the other inputs of windows is late where nothing is declared to wait for it', async () => {
  expect(await given(0, slowPhone)).toEqual({ results: ['0: 2', '1: 3'], late: 2 })
})

test('windows of several inputs wait for one that lags, and lose nothing where it lags by less', async () => {
  expect(await given(minutes(2), slowPhone)).toEqual({ results: ['0: 4'], late: 0 })
})

test('a restart between any two records changes nothing of what inputs are waited for', async () => {
  for (const idleMs of [seconds(30), minutes(2)]) {
    rmSync(data, { recursive: true, force: true })
    const whole = await given(idleMs, slowPhone)
    for (let restartAt = 1; restartAt < slowPhone.length; restartAt++) {
      rmSync(data, { recursive: true, force: true })
      expect(await given(idleMs, slowPhone, restartAt)).toEqual(whole)
    }
  }
})

test('an input that falls silent holds windows back for the declared time, and no longer', async () => {
  const silentPhone = [['phone', 0], ...[10, 70, 90, 91].map((at) => ['web', at] as const)] as const
  expect((await given(seconds(90), silentPhone.slice(0, -1))).results).toEqual([])
  rmSync(data, { recursive: true, force: true })
  expect((await given(seconds(90), silentPhone)).results).toEqual(['0: 2'])
})

test('an input without any record is waited for from the first record of the others', async () => {
  const noPhone = [5, 70, 95, 96].map((at) => ['web', at] as const)
  expect((await given(seconds(90), noPhone.slice(0, -1))).results).toEqual([])
  rmSync(data, { recursive: true, force: true })
  expect((await given(seconds(90), noPhone)).results).toEqual(['0: 1'])
})

const answered = event(
  'answered',
  { user: 'int', answeredAt: 'timestamp', at: 'timestamp' },
  { key: 'user', time: 'at' },
)

/** Web events and the phone's of up to ten seconds later; 0 for none. */
const joinedBoth = (idleMs: number) =>
  topology('both', {
    partitions: 1,
    events: [phone, web, answered],
    streams: [
      stream(web)
        .join(
          stream(phone, { idleMs }),
          streamStreamJoin({
            name: 'answers',
            how: 'left',
            beforeMs: 0,
            afterMs: seconds(10),
            graceMs: 0,
            value: (asked, answer) => ({ asked, answer }),
          }),
        )
        .to(answered, ({ value: { asked, answer } }) => ({
          user: asked!.user,
          answeredAt: answer?.at ?? 0,
          at: asked!.at,
        })),
    ],
  })

test('a left join gives up a record that lacks its partner only when the input that it waits for is past it, or idle', async () => {
  const arrivals = [
    ['web', 0],
    ['web', 30],
    ['phone', 5],
    ['phone', 41],
    ['web', 140],
  ] as const
  const pairsOf = async (idleMs: number): Promise<string[]> => {
    rmSync(data, { recursive: true, force: true })
    const engine = await Engine.open({ topology: joinedBoth(idleMs), data, now: () => 1_800_000_000_000 })
    for (const [topic, second] of arrivals) {
      await engine.append(topic, [{ user: 1, at: startMs + seconds(second) }])
      await engine.assembly.task.step()
    }
    const bound = engine.assembly.events.get('answered')!
    const batch = await engine.log.read({ topic: 'answered', partition: 0, offset: 0n, maxBytes: 1 << 20 })
    const pairs = Array.from({ length: batch.count }, (_, index) => {
      const { at, answeredAt } = bound.readValue(
        batch.bytes,
        batch.valueStart[index]!,
        batch.valueEnd[index]!,
      ) as { at: number; answeredAt: number }
      return `${(at - startMs) / 1_000}: ${answeredAt === 0 ? 'none' : (answeredAt - startMs) / 1_000}`
    })
    await engine.close()
    return pairs
  }
  // The first web event is given up when the second comes, before its answer.
  expect(await pairsOf(0)).toEqual(['0: none', '30: none'])
  expect(await pairsOf(minutes(1))).toEqual(['0: 5', '30: none'])
})

test('a time that is none is refused where the stream is declared', () => {
  expect(() => stream(phone, { idleMs: -1 })).toThrow(
    'idleMs of stream "phone" is -1, expected a whole number of milliseconds of at least 0',
  )
})
