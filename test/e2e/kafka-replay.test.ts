import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { foldAnew } from '../../replay/rebuild.ts'
import { openKafkaLog } from '../../state/log/kafka/kafka-log.ts'
import { Engine } from '../../topology/index.ts'
import { wire } from '../../topology/runtime/wire.ts'
import { endAll, headwater } from '../support/command-line.ts'
import { type KafkaBroker, startKafkaBroker } from '../support/kafka-broker.ts'
import { allPaid, orderCount, orders, startMs } from '../support/training-shop.ts'
import { judgedShop } from '../support/training-shop-judged.ts'

/* Replays of the log of a real Kafka cluster, beside the engine that runs on it, against those of an embedded log of the same events. */

const now = () => startMs + 86_400_000
const topicPrefix = `replay-${process.pid}-`
let broker: KafkaBroker | { readonly missing: string }
let folder = ''

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-kafka-replay-'))
  broker = await startKafkaBroker()
}, 900_000)
afterAll(async () => {
  endAll()
  rmSync(folder, { recursive: true, force: true })
  if ('stop' in broker) await broker.stop()
})

/** All events are there before any is read: the order in which they are taken is that of their times, on any log. */
async function bring(engine: Engine): Promise<void> {
  await engine.append(
    'visit',
    orders.map(({ buyer, at }) => ({ buyer, at: at - 1 })),
  )
  await engine.append('order', orders)
  await engine.append('paid', allPaid)
  engine.run()
  await engine.caughtUp()
}

/** Where each partition of the cluster ends: any record, and the marker of any transaction, moves it. */
async function ends(brokers: readonly string[]): Promise<Record<string, string>> {
  const log = await openKafkaLog({ brokers, topicPrefix, clientId: 'onlooker', now })
  try {
    const found: Record<string, string> = {}
    for (const { name, partitions } of await log.topics()) {
      for (let partition = 0; partition < partitions; partition++) {
        found[`${name}[${partition}]`] = String((await log.offsets(name, partition)).end)
      }
    }
    return found
  } finally {
    await log.close()
  }
}

/** Rows of a CSV file without what says where on a log they lie: there markers take offsets too. */
function rowsOf(path: string): string[] {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
  const places = ['position', 'triggerOffset'].map((name) => lines[0]!.split(',').indexOf(name))
  expect(places).not.toContain(-1)
  return lines.map((line) =>
    line
      .split(',')
      .filter((_, index) => !places.includes(index))
      .join(','),
  )
}

test('every replay reads a cluster beside its engine, finds what it finds on an own log, and changes nothing', {
  timeout: 240_000,
}, async (context) => {
  if (!('brokers' in broker)) return context.skip(broker.missing)
  const { brokers } = broker
  const module = join(folder, 'shop.ts')
  const support = fileURLToPath(new URL('../support/training-shop-judged.ts', import.meta.url))
  writeFileSync(module, `export { judgedShop as default } from ${JSON.stringify(support)}\n`)
  const config = join(folder, 'kafka.json')
  writeFileSync(config, JSON.stringify({ topicPrefix }))
  const data = join(folder, 'own')
  const first = await Engine.open({ topology: judgedShop, now, data })
  await bring(first)
  await first.close()

  const kafka = { brokers, topicPrefix }
  const state = join(folder, 'state')
  const engine = await Engine.open({ topology: judgedShop, now, kafka, data: state })
  try {
    await bring(engine)
    const digest = await engine.digest()
    const before = await ends(brokers)

    const own = ['--data', data, '--topology', module]
    const cluster = ['--kafka', brokers.join(','), '--kafka-config', config, '--topology', module]
    const run = async (...args: string[]) => {
      const { code, out, errors } = await headwater([...args, '--json'])
      expect({ args, code, errors, isTold: out !== '' }).toMatchObject({ isTold: true })
      expect([0, 1]).toContain(code)
      return JSON.parse(out) as Record<string, unknown>
    }
    const both = async (...args: string[]) =>
      [await run(...args, ...cluster), await run(...args, ...own)] as const

    const [audited, ofOwn] = await both('replay', 'audit')
    expect(audited).toEqual({ predictions: orderCount, mismatches: 0, unpaired: 0, examples: [] })
    expect(ofOwn).toEqual(audited)
    expect(await run('replay', 'audit', '--from', '#0', '--to', '#1', ...cluster)).toMatchObject({
      mismatches: 0,
    })

    const rebuilt = await run('replay', 'rebuild', ...cluster)
    expect(rebuilt['after']).toBe(digest)
    expect(await run('replay', 'rebuild', ...own)).toMatchObject({ equal: true })
    // The same records lie at other offsets there: the entries of the state are the same.
    expect(rebuilt['entries']).toBe(await entriesOfOwn(data))

    for (const args of [
      ['replay', 'evaluate', '--bootstrap', '20'],
      ['replay', 'drift', '--every', '30m'],
      ['replay', 'counterfactual', '--candidate', `${module}#late`],
      ['quality', 'report'],
      ['features', 'show', 'buyer'],
    ]) {
      const [there, here] = await both(...args)
      expect({ args, found: there }).toEqual({ args, found: here })
    }

    const [explained, explainedHere] = await both('replay', 'explain', 'o40')
    expect(explained).toMatchObject({
      requestId: 'o40',
      recomputed: 'equal',
      output: explainedHere['output'],
    })

    const csv = (name: string) => join(folder, `${name}.csv`)
    await run('replay', 'training-set', '--out', csv('there'), '--strict', ...cluster)
    await run('replay', 'training-set', '--out', csv('again'), '--strict', ...cluster)
    await run('replay', 'training-set', '--out', csv('here'), '--strict', ...own)
    expect(readFileSync(csv('again')).equals(readFileSync(csv('there')))).toBe(true)
    expect(rowsOf(csv('there'))).toEqual(rowsOf(csv('here')))

    // Nothing was written, and the engine that ran meanwhile was not ended by anybody.
    expect(await ends(brokers)).toEqual(before)
    await engine.append('visit', [{ buyer: 'b1', at: now() }])
    await engine.append('order', [{ orderId: 'after', buyer: 'b1', amount: 5, at: now() }])
    await engine.caughtUp()
    expect(await engine.prediction('late', 'after')).toMatchObject({ requestId: 'after' })
  } finally {
    await engine.close()
  }

  // The state of the engine that is gone is what its log gives.
  const compared = await headwater([
    ...['replay', 'rebuild', '--json', '--data', state, '--kafka', brokers.join(',')],
    ...['--kafka-config', config, '--topology', module],
  ])
  expect(JSON.parse(compared.out)).toMatchObject({ equal: true })

  // A topology that no engine runs there is told so, and nothing is made for it.
  const strange = join(folder, 'strange.ts')
  const api = fileURLToPath(new URL('../../topology/index.ts', import.meta.url))
  writeFileSync(
    strange,
    `import { event, topology } from ${JSON.stringify(api)}
export default topology('strange', { events: [event('e', { id: 'string', at: 'timestamp' }, { key: 'id', time: 'at' })] })
`,
  )
  const before = await ends(brokers)
  const refused = await headwater([
    ...['replay', 'audit', '--kafka', brokers.join(','), '--kafka-config', config, '--topology', strange],
  ])
  expect(refused.code).toBe(3)
  expect(refused.errors).toContain('strange-schemas')
  expect(await ends(brokers)).toEqual(before)
})

/** Digest of the entries of the state that an own log gives. */
async function entriesOfOwn(data: string): Promise<string> {
  const wiring = await wire({ data, now, readOnly: true })
  try {
    const { entries } = await foldAnew({
      declaration: judgedShop,
      ...wiring,
      database: await wiring.scratch(),
    })
    return entries
  } finally {
    await wiring.close()
  }
}
