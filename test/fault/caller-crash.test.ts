import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Engine } from '../../topology/index.ts'
import { located, type Payment, placesAskedOf } from '../support/places-topology.ts'

const now = () => 1_800_000_000_000
const script = new URL('../support/caller-child.ts', import.meta.url).pathname

const payments: readonly Payment[] = Array.from({ length: 600 }, (_, number) => ({
  card: `card-${number % 5}`,
  number,
  at: 1_700_000_000_000 + number,
}))

async function answersOn(engine: Engine): Promise<readonly object[]> {
  const bound = engine.assembly.events.get(located.name)!
  const found: object[] = []
  for (let partition = 0; partition < 2; partition++) {
    const { topic } = located
    const batch = await engine.log.read({ topic, partition, offset: 0n, maxBytes: 1 << 24 })
    for (let index = 0; index < batch.count; index++) {
      found.push(bound.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!))
    }
  }
  return found
}

test('a process that is killed among its calls neither loses nor doubles an answer', async () => {
  const data = mkdtempSync(join(tmpdir(), 'headwater-caller-crash-'))
  try {
    const cities = async (asked: readonly Payment[]) => asked.map(({ number }) => `city-${number}`)
    const loader = await Engine.open({ topology: placesAskedOf(cities), data, now })
    await loader.append('payment', payments)
    await loader.close()
    const signals: (string | null)[] = []
    for (const [count, turns] of [
      [1, 0],
      [4, 1],
      [5, 3],
      [6, 2],
    ] as const) {
      const child = spawn(process.execPath, ['--import', 'tsx', script, data, String(count), String(turns)], {
        stdio: 'ignore',
      })
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
      signals.push(signal)
    }
    expect(signals).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL', 'SIGKILL'])
    const engine = await Engine.open({ topology: placesAskedOf(cities), data, now })
    const before = await answersOn(engine)
    expect(before.length).toBeGreaterThan(0)
    expect(before.length).toBeLessThan(payments.length)
    engine.run()
    await engine.caughtUp()
    const found = await answersOn(engine)
    for (let card = 0; card < 5; card++) {
      const of = (each: object) => (each as Payment).card === `card-${card}`
      expect(found.filter(of)).toEqual(
        payments.filter(of).map((each) => ({ ...each, city: `city-${each.number}` })),
      )
    }
    expect(found).toHaveLength(payments.length)
    await engine.close()
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
})
