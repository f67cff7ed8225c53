import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { audit } from '../../../replay/audit.ts'
import { rebuild } from '../../../replay/rebuild.ts'
import { Engine } from '../../../topology/index.ts'
import { wire } from '../../../topology/runtime/wire.ts'
import { shop, shopEvents } from '../../support/shop-topology.ts'

/*
 * A request that is put to an engine while it works off a backlog: it is
 * answered between two batches, at the position where the engine stands, and
 * every replay meets it there.
 */

let data = ''
beforeAll(() => {
  data = mkdtempSync(join(tmpdir(), 'headwater-urgent-'))
})
afterAll(() => rmSync(data, { recursive: true, force: true }))

const now = () => 1_800_000_000_000
const open = () => Engine.open({ topology: shop, data, now, task: { batchRecords: 20 } })
const total = (offsets: Readonly<Record<string, number>>) =>
  Object.values(offsets).reduce((sum, offset) => sum + offset, 0)

/** A visit of somebody who has a past, at a time that the backlog has not reached. */
const visit = (visitId: string) => ({ visitId, visitor: 'visitor-1', page: '/hats', at: now() - 1000 })

test('a request is answered ahead of a backlog, once, and every replay meets it where it was answered', async () => {
  const events = shopEvents(3_000)
  const first = await open()
  for (const [name, value] of events) await first.append(name, [value])
  first.run()
  const answers = await Promise.all([first.predict('buys', visit('u1')), first.predict('buys', visit('u2'))])
  const answered = answers.map(({ position }) => total(position.offsets))
  await first.caughtUp()
  const inputs = (await first.inputs()).reduce((sum, { position }) => sum + position, 0)
  for (const at of answered) expect(at).toBeLessThan(inputs / 2)
  for (const { trigger, position } of answers) {
    const turn = position.offsets[`${trigger.topic}[${trigger.partition}]`]!
    expect(trigger.offset).toBeGreaterThan(turn)
  }

  // When their turn came they were events like any other, and asked for nothing more.
  const { predictions } = first.model('buys').tally()
  const visits = events.filter(([name]) => name === 'visit').length
  expect(predictions).toBe(visits + 2)
  expect((await first.features('visitor', ['visitor-1'], now()))['visits1h']).toBe(2)

  // Their labels find them.
  const { joined } = first.model('buys').tally()
  await first.append('outcome', [{ ...visit('u1'), spent: 3, at: now() - 500 }])
  await first.caughtUp()
  expect(first.model('buys').tally().joined).toBe(joined + 1)
  const digest = await first.digest()
  await first.abort()

  const second = await open()
  expect(await second.digest()).toBe(digest)
  expect(await second.prediction('buys', 'u2')).toEqual(answers[1])
  await second.close()

  const wiring = await wire({ data, now })
  const audited = await audit({ declaration: shop, ...wiring, database: await wiring.scratch() })
  expect(audited).toMatchObject({ predictions: visits + 2, mismatches: 0 })
  const rebuilt = await rebuild({ declaration: shop, ...wiring, fresh: await wiring.scratch() })
  expect(rebuilt).toMatchObject({ before: digest, after: digest, equal: true })
  await wiring.close()
})

test('state that was lost is folded again with the request where it was answered', async () => {
  const before = await open()
  const digest = await before.digest()
  await before.close()
  rmSync(join(data, 'state'), { recursive: true })
  const after = await open()
  expect(await after.digest()).toBe(digest)
  await after.close()
})
