import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest'
import type { EventRecord } from '../../../processors/stream/stream.ts'
import { audit } from '../../../replay/audit.ts'
import { rebuild } from '../../../replay/rebuild.ts'
import { Metrics } from '../../../topology/http/metrics.ts'
import {
  count,
  Engine,
  type EnrichAsyncOptions,
  type EventOf,
  event,
  featureView,
  hours,
  nullable,
  type Stream,
  stream,
  topology,
  tumbling,
  windowAggregate,
} from '../../../topology/index.ts'
import type { CallStandIns } from '../../../topology/runtime/callers.ts'
import { wire } from '../../../topology/runtime/wire.ts'
import { TopologyDriver } from '../../../topology/testing/index.ts'

let root = ''
let folders = 0
const folder = () => join(root, String(folders++))
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-caller-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const now = () => 1_800_000_000_000
const payment = event(
  'payment',
  { card: 'string', number: 'int', at: 'timestamp' },
  { key: 'card', time: 'at' },
)
const located = event(
  'located-payment',
  { card: 'string', number: 'int', city: nullable('string'), at: 'timestamp' },
  { key: 'card', time: 'at' },
)
const seen = event(
  'seen-city',
  { card: 'string', number: 'int', city: nullable('string'), at: 'timestamp' },
  { key: 'card', time: 'at' },
)
type Payment = EventOf<typeof payment>
type Located = EventOf<typeof located>

const cityOf = ({ number }: Payment): string => `city-${number % 7}`
const cities = async (payments: readonly Payment[]): Promise<readonly string[]> => payments.map(cityOf)
type Options = EnrichAsyncOptions<Payment, string, Located>

/** Payments with the city that is asked for, through a stream behind the answers. */
function placesOf(options: Partial<Options> = {}, partitions = 2) {
  const answers = stream(payment).enrichAsync({
    name: 'geo',
    into: located,
    call: cities,
    event: ({ card, number, at }, city) => ({ card, number, city, at }),
    onFailure: 'null',
    retryMs: 1,
    batch: 4,
    ...options,
  })
  const visits = featureView('visits', {
    entity: 'card',
    owner: 'payments',
    description: 'Where a card was',
    features: { visits: count(located, { over: hours(1) }) },
  })
  return topology('places', {
    events: [payment, located, seen],
    features: [visits],
    streams: [answers.to(seen, ({ value }) => value)],
    partitions,
  })
}

const payments = (many: number, cards = 3): Payment[] =>
  Array.from({ length: many }, (_, number) => ({
    card: `card-${number % cards}`,
    number,
    at: 1_700_000_000_000 + number * 1_000,
  }))

/** What a list says: each payment once with its city, those of a card in their order. */
function expectOnce(found: readonly Located[], asked: readonly Payment[]): void {
  for (const card of new Set(asked.map((each) => each.card))) {
    expect(found.filter((each) => each.card === card)).toEqual(
      asked.filter((each) => each.card === card).map((each) => ({ ...each, city: cityOf(each) })),
    )
  }
  expect(found).toHaveLength(asked.length)
}

async function eventsOn(engine: Engine, name: string): Promise<readonly Located[]> {
  const bound = engine.assembly.events.get(name)!
  const found: Located[] = []
  for (let partition = 0; partition < engine.declaration.partitions; partition++) {
    const { topic } = bound.contract
    const { end } = await engine.log.offsets(topic, partition)
    for (let offset = 0n; offset < end; ) {
      const batch = await engine.log.read({ topic, partition, offset, maxBytes: 1 << 24 })
      for (let index = 0; index < batch.count; index++) {
        found.push(bound.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!) as Located)
      }
      offset = batch.nextOffset
    }
  }
  return found
}

async function started(
  declaration: ReturnType<typeof placesOf>,
  calls: CallStandIns = {},
  data?: string,
): Promise<Engine> {
  const engine = await Engine.open({
    topology: declaration,
    now,
    calls,
    ...(data === undefined ? {} : { data }),
  })
  engine.run()
  return engine
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('enrichment by calls', () => {
  test('answers come in the order of the events, whatever call ends first', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          delays: fc.array(fc.nat(6), { minLength: 30, maxLength: 30 }),
          failing: fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }),
          batch: fc.integer({ min: 1, max: 7 }),
          concurrency: fc.integer({ min: 1, max: 4 }),
          many: fc.integer({ min: 1, max: 60 }),
        }),
        async ({ delays, failing, batch, concurrency, many }) => {
          let calls = 0
          let most = 0
          const call = async (asked: readonly Payment[]) => {
            const at = calls++ % 30
            most = Math.max(most, asked.length)
            for (let turns = 0; turns < delays[at]!; turns++) await turn()
            if (failing[at] && at < 20) throw new Error('busy')
            return asked.map(cityOf)
          }
          const engine = await started(placesOf({ call, batch, concurrency, attempts: 60, retryMs: 0 }))
          const asked = payments(many)
          await engine.append('payment', asked)
          await engine.caughtUp()
          expectOnce(await eventsOn(engine, 'located-payment'), asked)
          expectOnce(await eventsOn(engine, 'seen-city'), asked)
          expect(most).toBeLessThanOrEqual(batch)
          await engine.close()
        },
      ),
      { numRuns: 25 },
    )
  })

  test('asks about no more events in one call, and with no more calls at once, than declared', async () => {
    const sizes: number[] = []
    let open = 0
    let mostOpen = 0
    const call = async (asked: readonly Payment[]) => {
      sizes.push(asked.length)
      mostOpen = Math.max(mostOpen, ++open)
      await turn()
      open--
      return asked.map(cityOf)
    }
    const engine = await Engine.open({ topology: placesOf({ call, batch: 10, concurrency: 3 }, 1), now })
    await engine.append('payment', payments(95))
    engine.run()
    await engine.caughtUp()
    expect(sizes).toEqual([10, 10, 10, 10, 10, 10, 10, 10, 10, 5])
    expect(mostOpen).toBe(3)
    await engine.close()
  })

  test('a call is tried again so many times, then its answers are null', async () => {
    let calls = 0
    const call = async () => {
      throw new Error(`no route ${++calls}`)
    }
    const engine = await started(placesOf({ call, attempts: 3 }, 1))
    const asked = payments(3)
    await engine.append('payment', asked)
    await engine.caughtUp()
    expect(await eventsOn(engine, 'located-payment')).toEqual(asked.map((each) => ({ ...each, city: null })))
    expect(await engine.calls()).toEqual([
      {
        name: 'geo',
        waiting: 0,
        inFlight: 0,
        calls: 3,
        retries: 2,
        answered: 0,
        failed: 3,
        lastError: 'no route 3',
      },
    ])
    await engine.close()
  })

  test('what failed goes to the dead letters with the last error, and what follows is asked', async () => {
    let calls = 0
    const call = async (asked: readonly Payment[]) => {
      if (asked[0]!.number === 0) throw new Error(`refused ${++calls}`)
      return asked.map(cityOf)
    }
    const driver = await TopologyDriver.start(
      placesOf({ call, attempts: 2, batch: 1, onFailure: 'dead-letter' }, 1),
    )
    const asked = payments(3)
    await driver.append(payment, ...asked)
    expectOnce(await driver.events(located), asked.slice(1))
    expect(await driver.deadLetters()).toEqual([{ reason: 'call-failed', detail: 'call "geo": refused 2' }])
    await driver.close()
  })

  test('or the application stops, and asks again when it is started', async () => {
    const data = folder()
    const broken = async () => {
      throw new Error('no route')
    }
    const first = await started(placesOf({ onFailure: 'stop', attempts: 2 }, 1), { geo: broken }, data)
    const asked = payments(5)
    await first.append('payment', asked)
    await expect(first.caughtUp()).rejects.toMatchObject({
      code: 'call-failed',
      context: { call: 'geo', topic: 'payment', partition: 0, offset: 0, attempts: 2, reason: 'no route' },
    })
    await first.close()
    const second = await started(placesOf({ onFailure: 'stop' }, 1), {}, data)
    await second.caughtUp()
    expectOnce(await eventsOn(second, 'located-payment'), asked)
    await second.close()
  })

  test('a call that does not answer in time has failed, and is told so', async () => {
    let aborted = 0
    const call = (_: readonly Payment[], signal: AbortSignal) =>
      new Promise<string[]>(() => {
        signal.addEventListener('abort', () => aborted++)
      })
    const engine = await started(placesOf({ call, attempts: 2, timeoutMs: 5 }, 1))
    await engine.append('payment', payments(1))
    await engine.caughtUp()
    expect(aborted).toBe(2)
    expect(await engine.calls()).toMatchObject([{ failed: 1, lastError: 'no answer within 5 ms' }])
    await engine.close()
  })

  test('answers that are too few are no answers', async () => {
    const engine = await started(placesOf({ call: async () => ['one'], attempts: 1 }, 1))
    await engine.append('payment', payments(2))
    await engine.caughtUp()
    expect(await engine.calls()).toMatchObject([
      { failed: 2, lastError: 'gave 1 answers for 2 events, expected one for each' },
    ])
    await engine.close()
  })

  test('an answer at another time than its event goes to the dead letters', async () => {
    const driver = await TopologyDriver.start(
      placesOf({ event: ({ card, number, at }, city) => ({ card, number, city, at: at + 1 }) }, 1),
    )
    await driver.append(payment, ...payments(1))
    expect(await driver.events(located)).toEqual([])
    expect(await driver.deadLetters()).toMatchObject([{ reason: 'function-failed' }])
    await driver.close()
  })

  test('a stop between call and answer leaves each answer on the log once', async () => {
    const data = folder()
    const asked = payments(40)
    const loader = await Engine.open({ topology: placesOf(), now, data })
    await loader.append('payment', asked)
    await loader.close()
    let calls = 0
    for (let stops = 0; stops < 4; stops++) {
      let begun!: () => void
      const hanging = new Promise<void>((resolve) => {
        begun = resolve
      })
      let made = 0
      const call = async (batch: readonly Payment[]) => {
        calls += batch.length
        if (++made <= stops) return batch.map(cityOf)
        begun()
        return await new Promise<never>(() => {})
      }
      const engine = await started(placesOf({ concurrency: 2 }), { geo: call }, data)
      await hanging
      // Every other time without a checkpoint, as a kill would leave it.
      await (stops % 2 === 0 ? engine.abort() : engine.close())
    }
    const last = await started(placesOf(), {}, data)
    await last.caughtUp()
    expectOnce(await eventsOn(last, 'located-payment'), asked)
    expectOnce(await eventsOn(last, 'seen-city'), asked)
    expect(calls).toBeGreaterThan(asked.length / 2)
    await last.close()
  })

  test('a replay of the log calls nobody and ends with the same state', async () => {
    const data = folder()
    let calls = 0
    const call = async (asked: readonly Payment[]) => {
      calls++
      return asked.map(cityOf)
    }
    const declaration = placesOf({ call })
    const engine = await started(declaration, {}, data)
    for (let from = 0; from < 60; from += 20) {
      await engine.append('payment', payments(60).slice(from, from + 20))
    }
    await engine.caughtUp()
    const digest = await engine.digest()
    await engine.close()
    const made = calls
    expect(made).toBeGreaterThan(0)
    const again = await started(declaration, {}, data)
    await again.caughtUp()
    expect(await again.digest()).toBe(digest)
    await again.close()
    const wiring = await wire({ data, now, readOnly: true })
    const rebuilt = await rebuild({ declaration, ...wiring, fresh: await wiring.scratch() })
    expect(rebuilt).toMatchObject({ after: digest, equal: true })
    expect(await audit({ declaration, ...wiring, database: await wiring.scratch() })).toMatchObject({
      mismatches: 0,
    })
    await wiring.close()
    expect(calls).toBe(made)
  })

  test('the metrics tell what waits, is in flight, was tried again, answered and given up', async () => {
    let calls = 0
    let hold!: () => void
    const held = new Promise<void>((resolve) => {
      hold = resolve
    })
    const call = async (asked: readonly Payment[]) => {
      calls++
      if (calls === 1) throw new Error('busy')
      if (calls === 2) return asked.map(cityOf)
      hold()
      return await new Promise<never>(() => {})
    }
    const engine = await Engine.open({ topology: placesOf({ call }, 1), now })
    await engine.append('payment', payments(10))
    engine.run()
    await held
    const metrics = new Metrics(engine)
    const lines = (await metrics.text()).split('\n').filter((line) => line.includes('call="geo"'))
    metrics.close()
    await engine.close()
    expect(lines).toEqual([
      'headwater_call_waiting_records{call="geo"} 2',
      'headwater_call_in_flight_records{call="geo"} 4',
      'headwater_calls_total{call="geo"} 3',
      'headwater_call_retries_total{call="geo"} 1',
      'headwater_call_answered_records_total{call="geo"} 4',
      'headwater_call_failed_records_total{call="geo"} 0',
    ])
  })

  test('in a test another function answers at once, or the answers are appended by hand', async () => {
    const asked = payments(3)
    const declared = placesOf({
      call: () => {
        throw new Error('a test called outside')
      },
    })
    const standIn = (batch: readonly Payment[]) => batch.map(cityOf)
    const answering = await TopologyDriver.start(declared, undefined, { calls: { geo: standIn } })
    await answering.append(payment, ...asked)
    expectOnce(await answering.events(seen), asked)
    await answering.close()
    const driver = await TopologyDriver.start(declared, undefined, { calls: { geo: 'by-hand' } })
    await driver.append(payment, ...asked)
    expect(await driver.events(seen)).toEqual([])
    await driver.append(located, { ...asked[1]!, city: 'by hand' })
    expect(await driver.events(seen)).toEqual([{ ...asked[1]!, city: 'by hand' }])
    await driver.close()
  })

  test('windows behind the answers drop nothing of a backlog, without any grace', async () => {
    const total = event(
      'total',
      { card: 'string', visits: 'int', at: 'timestamp' },
      { key: 'card', time: 'at' },
    )
    const perHour = stream(payment)
      .enrichAsync({
        name: 'geo',
        into: located,
        call: cities,
        event: ({ card, number, at }, city) => ({ card, number, city, at }),
        onFailure: 'stop',
        batch: 3,
      })
      .pipe(
        windowAggregate({
          name: 'per-minute',
          windows: tumbling({ sizeMs: 60_000, graceMs: 0 }),
          aggregate: { init: () => 0, add: (seen: number) => seen + 1, finish: (seen) => seen },
          emit: 'close',
        }),
      )
      .to(total, ({ key, value, timestampMs }) => ({
        card: String(key),
        visits: value ?? 0,
        at: timestampMs,
      }))
    const engine = await Engine.open({
      topology: topology('totals', { events: [payment, located, total], streams: [perHour], partitions: 1 }),
      now,
    })
    await engine.append('payment', payments(200, 1))
    engine.run()
    await engine.caughtUp()
    expect(engine.assembly.graph.drops.counts()).toEqual([])
    await engine.close()
  })

  test('a call that cannot be is refused where it is declared', () => {
    const wrong = (options: Partial<Options>) => () => placesOf(options)
    expect(wrong({ batch: 0 })).toThrow('batch of call "geo" is 0, expected a whole number of at least 1')
    expect(wrong({ attempts: 0 })).toThrow('attempts of call "geo" is 0')
    expect(wrong({ concurrency: 1.5 })).toThrow('concurrency of call "geo" is 1.5')
    expect(wrong({ timeoutMs: 0 })).toThrow('timeoutMs of call "geo" is 0')
    expect(wrong({ name: 'Geo!' })).toThrow('a call\'s name is lower-case words joined by "-", got "Geo!"')
    expect(wrong({ onFailure: 'ignore' as 'null' })).toThrow('onFailure of call "geo" is "ignore"')
    const options = { name: 'geo', into: payment, call: cities, event: (ask: Payment) => ask } as const
    expect(() => stream(payment).enrichAsync({ ...options, onFailure: 'null' })).toThrow(
      'call "geo" writes its answers to "payment", which it asks about',
    )
    const changed = stream(payment).merge(stream(payment))
    expect(() =>
      changed.enrichAsync({ ...options, into: located, event: () => null, onFailure: 'null' }),
    ).toThrow('asks about a stream that steps have changed')
    const one = stream(payment).enrichAsync({
      ...options,
      into: located,
      event: () => null,
      onFailure: 'null',
    })
    const other = stream(payment).enrichAsync({
      ...options,
      into: seen,
      event: () => null,
      onFailure: 'null',
    })
    const events = [payment, located, seen]
    expect(() => topology('two', { events, calls: [one, other] })).toThrow('two calls named "geo"')
    expect(() => topology('lacking', { events: [payment], calls: [one] })).toThrow(
      'call "geo" reads event "located-payment"',
    )
  })

  test('the answers have the type that the contract says', () => {
    const answers = stream(payment).enrichAsync({
      name: 'geo',
      into: located,
      call: async (asked) => asked.map(({ number }) => number * 2),
      event(ask, answer) {
        expectTypeOf(ask).toEqualTypeOf<Payment>()
        expectTypeOf(answer).toEqualTypeOf<number | null>()
        return { ...ask, city: String(answer) }
      },
      onFailure: 'null',
    })
    expectTypeOf(answers).toEqualTypeOf<Stream<EventRecord<Located>>>()
  })
})
