import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { endAll, headwater, start } from '../../support/command-line.ts'

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-swap-command-'))
})
afterAll(() => {
  endAll()
  rmSync(root, { recursive: true, force: true })
})

const topologyText = `
import { event, hashedLogistic, hours, model, topology } from 'headwater'
import { clicks } from './features.ts'
import { click, sale } from './events.ts'

export default topology('clicks', {
  events: [click, sale],
  models: [
    model('sells', {
      on: click,
      features: [clicks],
      label: { from: sale, join: 'id', value: ({ sum }) => sum > 0, within: hours(1) },
      learner: hashedLogistic({ bits: 6 }),
    }),
  ],
  partitions: 2,
})
`
const nextText = topologyText
  .replace('./features.ts', './wider.ts')
  .replace('import { click, sale }', 'import { click, refund, sale }')
  .replace('[click, sale]', '[click, sale, refund]')
const eventsText = `
import { event } from 'headwater'
export const click = event('click', { id: 'string', user: 'string', at: 'timestamp' }, { key: 'user', time: 'at' })
export const sale = event('sale', { id: 'string', user: 'string', sum: 'double', at: 'timestamp' }, { key: 'user', time: 'at' })
export const refund = event('refund', { id: 'string', user: 'string', at: 'timestamp' }, { key: 'user', time: 'at' })
`
const featuresText = (version: number, features: string) => `
import { count, days, featureView, hours, max } from 'headwater'
import { click, sale } from './events.ts'
export const clicks = featureView('clicks', {
  entity: 'user',
  owner: 'test',
  description: 'What a user clicks',
  version: ${version},
  features: { ${features} },
})
`
const first = 'perHour: count(click, { over: hours(1) })'
const second = `${first}, perDay: count(click, { over: days(1) }), most: max(sale, 'sum', { over: days(1) })`

const baseMs = 1_750_000_000_000

async function post(url: string, path: string, body: object): Promise<Record<string, unknown>> {
  const answer = await fetch(new URL(path, url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as Record<string, unknown>
}

const get = async (url: string, path: string): Promise<unknown> => (await fetch(new URL(path, url))).json()

/** Asks and sells without an end; gives how often until it is told to stop. */
function load(url: string, from: number): { stop(): Promise<number> } {
  let isStopped = false
  let number = from
  const running = (async () => {
    while (!isStopped) {
      const at = baseMs + number * 1_000
      const id = `c${number}`
      await post(url, '/v1/models/sells/predict', { id, user: `u${number % 5}`, at })
      await post(url, '/v1/events/sale', { id, user: `u${number % 5}`, sum: number % 3, at: at + 500 })
      number++
    }
    return number
  })()
  return {
    stop() {
      isStopped = true
      return running
    },
  }
}

describe('headwater replay backfill --swap', () => {
  test('has the running engine go on with the module as it is now, under load, and starts that follow', async () => {
    const app = join(root, 'app')
    mkdirSync(app)
    const module = join(app, 'topology.ts')
    writeFileSync(module, topologyText)
    writeFileSync(join(app, 'events.ts'), eventsText)
    writeFileSync(join(app, 'features.ts'), featuresText(1, first))
    const data = join(root, 'data')
    const engine = start(['run', module, '--data', data, '--port', '0'])
    const url = (await engine.seen(/answering on/)).split('answering on ')[1]!.trim()
    await engine.seen(/serving on/)
    const before = load(url, 0)
    await pause(400)
    const at = await before.stop()
    const asking = load(url, at)

    // A module of another name, so that a start that names the old one has to be led to it.
    const next = join(app, 'next.ts')
    writeFileSync(next, nextText)
    writeFileSync(join(app, 'wider.ts'), featuresText(2, second))
    const swapped = await headwater(['replay', 'backfill', '--data', data, '--topology', next, '--swap'])
    expect([swapped.code, swapped.out, swapped.errors]).toEqual([
      0,
      expect.stringMatching(/swapped: the running engine goes on with it from commit \d+/),
      expect.any(String),
    ])
    await pause(100)
    const sent = await asking.stop()
    const { features } = (await get(url, `/v1/features/clicks/u1?at=${baseMs + sent * 1_000}`)) as {
      features: Record<string, number>
    }
    const ofUser = Array.from({ length: sent }, (_, number) => number).filter((number) => number % 5 === 1)
    expect(features['perDay']).toBe(ofUser.length)
    expect((await get(url, '/v1/features')) as object[]).toMatchObject([{ name: 'clicks', version: 2 }])
    const described = JSON.stringify(await get(url, '/openapi.json'))
    expect(described.includes('/v1/events/refund')).toBe(true)
    await post(url, '/v1/events/refund', { id: 'c1', user: 'u1', at: baseMs })

    // The same module, edited in place: what it imports is read again too.
    writeFileSync(
      join(app, 'wider.ts'),
      featuresText(3, `${second}, perWeek: count(click, { over: days(7) })`),
    )
    const edited = await headwater(['replay', 'backfill', '--data', data, '--swap', '--json'])
    expect([edited.code, JSON.parse(edited.out)]).toMatchObject([0, { swap: { outcome: 'swapped' } }])
    expect((await get(url, '/v1/features')) as object[]).toMatchObject([{ name: 'clicks', version: 3 }])

    engine.child.kill('SIGKILL')
    await engine.ended
    const again = start(['run', module, '--data', data, '--port', '0'])
    expect(await again.seen(/was swapped from/)).toContain(next)
    const newUrl = (await again.seen(/answering on/)).split('answering on ')[1]!.trim()
    await again.seen(/serving on/)
    const answer = await post(newUrl, '/v1/models/sells/predict', {
      id: 'last',
      user: 'u1',
      at: baseMs + sent * 1_000,
    })
    expect(answer).toMatchObject({ features: { perWeek: ofUser.length } })
    again.child.kill('SIGTERM')
    expect((await again.ended).code).toBe(0)
    const audit = await headwater(['replay', 'audit', '--data', data, '--json'])
    expect([audit.code, JSON.parse(audit.out)]).toMatchObject([
      0,
      { predictions: 1, mismatches: 0, ofOthers: sent },
    ])
    const older = await headwater(['replay', 'audit', '--data', data, '--topology', module, '--json'])
    expect([older.code, JSON.parse(older.out)]).toMatchObject([0, { mismatches: 0 }])
    expect(JSON.parse(older.out).predictions).toBeGreaterThanOrEqual(at)
  }, 60_000)

  test('of a folder that no engine runs on is taken by the next start, whichever module it names', async () => {
    const app = join(root, 'stopped')
    mkdirSync(app)
    const [module, next] = [join(app, 'topology.ts'), join(app, 'next.ts')]
    writeFileSync(module, topologyText)
    writeFileSync(next, nextText)
    writeFileSync(join(app, 'events.ts'), eventsText)
    writeFileSync(join(app, 'features.ts'), featuresText(1, first))
    writeFileSync(join(app, 'wider.ts'), featuresText(2, second))
    const data = join(root, 'stopped-data')
    const engine = start(['run', module, '--data', data, '--port', '0'])
    const url = (await engine.seen(/answering on/)).split('answering on ')[1]!.trim()
    const asking = load(url, 0)
    await pause(300)
    await asking.stop()
    engine.child.kill('SIGTERM')
    await engine.ended
    const asked = await headwater(['replay', 'backfill', '--data', data, '--topology', next, '--swap'])
    expect([asked.code, asked.out]).toEqual([
      0,
      expect.stringContaining('no engine runs on this folder, the next start takes it'),
    ])
    const once = await headwater(['run', module, '--data', data, '--once'])
    expect([once.code, once.errors]).toEqual([
      0,
      expect.stringContaining('the state is that of the backfill now'),
    ])
    const back = await headwater(['run', module, '--data', data, '--once'])
    expect([back.code, back.errors]).toEqual([0, expect.stringContaining('was swapped from')])
  }, 60_000)
})
