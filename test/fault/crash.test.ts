import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { audit } from '../../replay/audit.ts'
import { commitSteps } from '../../state/commit/commit-protocol.ts'
import { AnyDecoder } from '../../state/contracts/any-decoder.ts'
import { verifyLog } from '../../state/log/embedded/verify.ts'
import { wire } from '../../topology/runtime/wire.ts'
import { seeded, shop } from '../support/shop-topology.ts'

/** Kills in a run; `CRASH_KILLS=1000 npx vitest run test/fault/crash.test.ts` for a long one. */
const kills = Number(process.env['CRASH_KILLS'] ?? 100)
const seed = Number(process.env['CRASH_SEED'] ?? 20_261_123)
/** An embedded log has no changelog beside it. */
const steps = commitSteps.filter((step) => step !== 'changelogged')
const eventCount = 600

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-crash-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

interface Ending {
  readonly killed: boolean
  readonly output: string
}

function child(data: string, step: string, count: number): Promise<Ending> {
  const script = new URL('../support/crash-child.ts', import.meta.url).pathname
  const args = ['--import', 'tsx', script, data, String(eventCount), step, String(count)]
  const started = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  started.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  started.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
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

/** What the log holds by topic, decoded. Positions are left out: they say how batches were cut, which a kill changes. */
async function contents(data: string): Promise<Record<string, readonly string[]>> {
  const wiring = await wire({ data, now: () => 0, readOnly: true })
  const decoder = new AnyDecoder(wiring.registry)
  try {
    const found: Record<string, readonly string[]> = {}
    for (const { name, partitions } of await wiring.log.topics()) {
      if (name === '_schemas' || name.endsWith('-commits') || name.endsWith('-imports')) continue
      const records: string[] = []
      for (let partition = 0; partition < partitions; partition++) {
        const batch = await wiring.log.read({ topic: name, partition, offset: 0n, maxBytes: 1 << 26 })
        expect(batch.nextOffset).toBe((await wiring.log.offsets(name, partition)).end)
        for (let index = 0; index < batch.count; index++) {
          const [start, end] = [batch.valueStart[index]!, batch.valueEnd[index]!]
          const value = (await decoder.decode(name, batch.bytes, start, end)) as Record<string, unknown>
          records.push(`${partition} ${JSON.stringify({ ...value, position: undefined })}`)
        }
      }
      found[name] = records
    }
    return found
  } finally {
    await wiring.close()
  }
}

test(`${kills} kills at every step of the commit lose nothing, double nothing and keep the state`, {
  timeout: 20 * 60_000,
}, async () => {
  const random = seeded(seed)
  let done = 0
  let reachedEnd = 0
  while (done < kills) {
    const data = join(root, `run-${reachedEnd}`)
    for (;;) {
      const step = steps[Math.floor(random() * steps.length)]!
      const count = 1 + Math.floor(random() * 4)
      const ending = await child(data, done < kills ? step : 'none', count)
      if (!ending.killed) break
      done++
      // A copy at any moment has to be whole too: nothing of the kill is mended by luck of the next start.
      if (done % 25 === 0) {
        const copy = join(root, 'copy')
        cpSync(data, copy, { recursive: true })
        expect((await verifyLog({ path: join(copy, 'log') })).damage).toBeUndefined()
        rmSync(copy, { recursive: true })
      }
    }
    const survivor = JSON.parse((await child(data, 'none', 0)).output) as { tally: object; digest: string }
    const interrupted = await contents(data)
    expect(interrupted['visit']!.length + interrupted['outcome']!.length + interrupted['price']!.length).toBe(
      eventCount,
    )
    const ids = interrupted['shop-predictions']!
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.length).toBe(interrupted['visit']!.length)
    // A process that was never interrupted, given the same interleaving, comes to the same state.
    const wiring = await wire({ data, now: () => 0 })
    const report = await audit({ declaration: shop, ...wiring, database: await wiring.scratch() })
    await wiring.close()
    expect(report).toMatchObject({ predictions: ids.length, mismatches: 0, unpaired: 0 })
    const again = JSON.parse((await child(data, 'none', 0)).output) as object
    expect(again).toEqual(survivor)
    rmSync(data, { recursive: true })
    reachedEnd++
  }
  expect(done).toBeGreaterThanOrEqual(kills)
})

test('an interrupted run ends with the same records as one that was never interrupted', {
  timeout: 120_000,
}, async () => {
  const whole = join(root, 'whole')
  const cut = join(root, 'cut')
  await child(whole, 'none', 0)
  for (const [step, count] of [
    ['processed', 3],
    ['appended', 2],
    ['durable', 4],
    ['collected', 1],
    ['checkpointed', 1],
    ['none', 0],
  ] as const) {
    await child(cut, step, count)
  }
  expect(await contents(cut)).toEqual(await contents(whole))
})
