import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type CommitStep, commitSteps } from '../../state/commit/commit-protocol.ts'
import { AnyDecoder } from '../../state/contracts/any-decoder.ts'
import { Engine } from '../../topology/index.ts'
import { type WireOptions, wire } from '../../topology/runtime/wire.ts'
import { endAll, headwater } from '../support/command-line.ts'
import { startKafkaBroker } from '../support/kafka-broker.ts'
import { seeded, shop, shopEvents } from '../support/shop-topology.ts'

/* kill -9 of an engine on Kafka; `KAFKA_KILLS=200 npx vitest run test/e2e/kafka-crash.test.ts` for a long run. */

const kills = Number(process.env['KAFKA_KILLS'] ?? 10)
const seed = Number(process.env['KAFKA_SEED'] ?? 20_261_123)
const eventCount = 600
const now = () => 1_800_000_000_000

const broker = await startKafkaBroker()
const script = fileURLToPath(new URL('../support/kafka-crash-child.ts', import.meta.url))
const module = fileURLToPath(new URL('../support/shop-topology.ts', import.meta.url))

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-kafka-crash-'))
})
afterAll(async () => {
  endAll()
  rmSync(root, { recursive: true, force: true })
  if ('stop' in broker) await broker.stop()
})

interface Ending {
  readonly killed: boolean
  readonly output: string
}

/** Runs the engine until it is done, ends itself at a step, or is killed some time after it is open. */
function child(
  args: readonly string[],
  step: CommitStep | 'none',
  count: number,
  killAfterMs?: number,
): Promise<Ending> {
  const started = spawn(
    process.execPath,
    ['--import', import.meta.resolve('tsx'), script, ...args, `${eventCount}`, step, `${count}`],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let output = ''
  let errors = ''
  started.stdout.on('data', (chunk: Buffer) => {
    output += chunk
    if (killAfterMs === undefined || !output.startsWith('open')) return
    void sleep(killAfterMs).then(() => started.kill('SIGKILL'))
  })
  started.stderr.on('data', (chunk: Buffer) => {
    errors += chunk
  })
  return new Promise((resolve, reject) => {
    started.on('error', reject)
    started.on('close', (code, signal) => {
      if (signal === 'SIGKILL') resolve({ killed: true, output })
      else if (code === 0) resolve({ killed: false, output })
      else reject(new Error(`the child ended with ${code ?? signal}: ${errors}`))
    })
  })
}

/** Where a record lies: markers and what was rolled back take offsets too, and batches are cut otherwise. */
const places: ReadonlySet<string> = new Set(['position', 'triggerOffset', 'offset', 'offsets'])

/** The committed records of the events and of the engine's decisions, by topic and partition, decoded. */
async function contents(options: WireOptions): Promise<Record<string, readonly string[]>> {
  const { log, registry, close } = await wire({ ...options, readOnly: true })
  const decoder = new AnyDecoder(registry)
  const found: Record<string, readonly string[]> = {}
  try {
    for (const { name, partitions } of await log.topics()) {
      if (/schemas$|-commits$|-imports$|-task-layouts$|-changelog$/.test(name)) continue
      for (let partition = 0; partition < partitions; partition++) {
        const records: string[] = []
        const { start, end } = await log.offsets(name, partition)
        for (let offset = start; offset < end; ) {
          const batch = await log.read({ topic: name, partition, offset, maxBytes: 1 << 22 })
          for (let index = 0; index < batch.count; index++) {
            const value = await decoder.decode(
              name,
              batch.bytes,
              batch.valueStart[index]!,
              batch.valueEnd[index]!,
            )
            records.push(JSON.stringify(value, (key, part) => (places.has(key) ? undefined : part)))
          }
          offset = batch.nextOffset
        }
        found[`${name}[${partition}]`] = records
      }
    }
    return found
  } finally {
    await close()
  }
}

test(`${kills} kills of an engine on Kafka lose nothing and double nothing`, {
  timeout: 60_000 + kills * 20_000,
}, async (context) => {
  if (!('brokers' in broker)) return context.skip(broker.missing)
  const brokers = broker.brokers
  const whole = join(root, 'whole')
  const oracle = await Engine.open({ topology: shop, data: whole, now, task: { batchRecords: 40 } })
  await oracle.importer.run(
    'shop-events',
    shopEvents(eventCount).map((event) => [event]),
  )
  oracle.run()
  await oracle.caughtUp()
  const tally = oracle.model('buys').tally()
  await oracle.close()
  const expected = await contents({ data: whole, now })
  expect(expected['shop-predictions[0]']!.length).toBeGreaterThan(50)

  const random = seeded(seed)
  let done = 0
  for (let run = 0; done < kills; run++) {
    const topicPrefix = `crash-${process.pid}-${run}-`
    const data = join(root, `state-${run}`)
    const args = [data, brokers.join(','), topicPrefix]
    let ending: Ending
    do {
      const step = commitSteps[Math.floor(random() * commitSteps.length)]!
      const count = 1 + Math.floor(random() * 4)
      const afterMs = random() < 0.4 && done < kills ? Math.floor(random() * 500) : undefined
      const wanted = done < kills && afterMs === undefined ? step : 'none'
      ending = await child(args, wanted, count, afterMs)
      if (ending.killed) done++
      // Some lose their disk with it: the state is that of the changelog then.
      if (ending.killed && random() < 0.4) rmSync(data, { recursive: true })
    } while (ending.killed)
    const last = (output: string) => JSON.parse(output.trim().split('\n').at(-1)!) as { digest: string }
    const survivor = last(ending.output)
    expect(survivor).toMatchObject({ tally })
    const kafka = { brokers, topicPrefix }
    expect(await contents({ kafka, app: 'shop', now })).toEqual(expected)

    // The state that the crashes left is the one that is restored from the changelog, and folded anew from the inputs.
    const topology = join(root, 'shop.ts')
    const config = join(root, 'kafka.json')
    writeFileSync(topology, `import { shop } from ${JSON.stringify(module)}\nexport default shop\n`)
    writeFileSync(config, JSON.stringify({ topicPrefix }))
    const cluster = ['--kafka', brokers.join(','), '--kafka-config', config]
    const anew = ['run', topology, '--data', join(root, `anew-${run}`), '--once', '--json', ...cluster]
    const { out, errors } = await headwater(anew)
    expect(errors).toBe('')
    expect(JSON.parse(out)).toMatchObject({ digest: survivor.digest, predictions: tally.predictions })
    const rebuilt = await headwater(['replay', 'rebuild', '--topology', topology, '--json', ...cluster])
    expect(JSON.parse(rebuilt.out)).toMatchObject({ after: survivor.digest })
    // What was kept needs no more than the gap behind its checkpoint.
    expect(last((await child(args, 'none', 0)).output)).toEqual({ ...survivor, recovered: 0 })
  }
  expect(done).toBeGreaterThanOrEqual(kills)
})
