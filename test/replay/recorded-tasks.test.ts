import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Declaration } from '../../models/declaration.ts'
import { audit } from '../../replay/audit.ts'
import { explain } from '../../replay/explain.ts'
import { rebuildTasks } from '../../replay/rebuild.ts'
import { onlyTask, recordedTasks, shareOfPlaces } from '../../replay/recorded-tasks.ts'
import { findRange, type ReplayRange } from '../../replay/replay-range.ts'
import { taskIdOf } from '../../replay/task-plan.ts'
import { openMemoryLog } from '../../state/log/memory/memory-log.ts'
import { market, marketEvents, seenOf } from '../support/market-topology.ts'
import { seeded } from '../support/shop-topology.ts'
import { TasksOnLog } from '../support/tasks-on-log.ts'

const taskIds = [
  ...[0, 1, 2, 3].map((partition) => `market-0-${partition}`),
  'market-1-0',
  ...[0, 1, 2, 3].map((partition) => `market-2-${partition}`),
]

/** The market after a run of its tasks in an order of chance. */
async function marketAfter(seed: number, { batch = 40, restarts = 0, length = 150 } = {}) {
  const random = seeded(seed)
  const tasks = await TasksOnLog.start(market, () => 1 + Math.floor(random() * batch))
  const events = marketEvents(seed, length)
  const half = (of: readonly { readonly at: number }[], isFirst: boolean) => {
    const middle = events.payment[length >> 1]!.at
    return of.filter(({ at }) => at < middle === isFirst)
  }
  for (const isFirst of [true, false]) {
    const some = Object.entries(events).map(([name, values]) => [name, half(values, isFirst)])
    await tasks.append(Object.fromEntries(some))
    await tasks.work(random, restarts)
  }
  return { tasks, events }
}

describe('the tasks of an application of three stages', () => {
  test('are replayed in the interleaving that they recorded, whatever the order in which they ran and how often they started again', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 0, max: 4 }),
        async (seed, batch, restarts) => {
          const { tasks } = await marketAfter(seed, { batch, restarts })
          const source = await tasks.source()
          const served = { predictions: 150, mismatches: 0, unpaired: 0 }
          expect(await audit({ declaration: market, ...source })).toEqual({
            ...served,
            examples: [],
            tasks: [{ task: 'market-1-0', ...served }],
          })
          const recorded = await recordedTasks(market, tasks.log)
          for (const { task } of tasks.running.values()) await task.close()
          const rebuilt = await rebuildTasks(recorded, {
            ...source,
            stateOf: async (task) => tasks.databases.get(task),
          })
          expect(rebuilt.tasks.map(({ task, before, after }) => [task, before === after])).toEqual(
            taskIds.map((task) => [task, true]),
          )
          expect(rebuilt.equal).toBe(true)
        },
      ),
      { numRuns: 4 },
    )
  })

  test('have a digest of all of them, which tells of a state that is not what its log gives', async () => {
    const { tasks } = await marketAfter(1)
    const source = await tasks.source()
    const recorded = await recordedTasks(market, tasks.log)
    const whole = await rebuildTasks(recorded, { ...source, stateOf: async () => undefined })
    const again = await rebuildTasks(recorded, { ...source, stateOf: async () => undefined })
    expect(again).toEqual(whole)
    expect(whole.equal).toBeUndefined()
    expect(whole.records).toBe(whole.tasks.reduce((sum, { records }) => sum + records, 0))

    const [, second] = recorded
    const database = tasks.databases.get('market-0-1')!
    const { task, graph } = tasks.running.get('market-0-1')!
    await task.close()
    for (const { name: space } of graph.stores) {
      for await (const [entry] of database.scan(space)) {
        await database.write([{ space, key: entry!.key }])
        break
      }
    }
    const [part] = onlyTask(recorded, 'market-0-1')
    expect(part).toBe(second)
    const damaged = await rebuildTasks([part!], { ...source, stateOf: async () => database })
    expect(damaged).toMatchObject({ equal: false, tasks: [{ task: 'market-0-1' }] })
    expect(damaged.tasks[0]!.after).toBe(whole.tasks[1]!.after)
  })

  test('tell of a feature that is not what was served', async () => {
    const { tasks } = await marketAfter(2)
    const [fraud] = market.models
    const altered: Declaration = {
      ...market,
      models: [{ ...fraud!, sources: [...fraud!.sources].reverse(), columns: [...fraud!.columns].reverse() }],
    }
    const { mismatches, tasks: audited } = await audit({ declaration: altered, ...(await tasks.source()) })
    expect(mismatches).toBeGreaterThan(75)
    expect(audited).toMatchObject([{ task: 'market-1-0', mismatches }])
    expect(await audit({ declaration: market, ...(await tasks.source()), onlyTask: 'market-0-0' })).toEqual({
      predictions: 0,
      mismatches: 0,
      unpaired: 0,
      examples: [],
      tasks: [],
    })
    await expect(
      audit({ declaration: market, ...(await tasks.source()), onlyTask: 'market-0' }),
    ).rejects.toMatchObject({ code: 'task-unknown', context: { task: 'market-0', known: taskIds } })
  })

  test('explain a prediction by the events that its task had read, whoever wrote them', async () => {
    const { tasks, events } = await marketAfter(3)
    for (const seen of seenOf(events).filter((_, index) => index % 40 === 39)) {
      const { paymentId: requestId, shop: _, at, ...features } = seen
      const found = await explain({
        declaration: market,
        ...(await tasks.source()),
        model: 'fraud',
        requestId,
      })
      expect(found).toMatchObject({ requestId, recomputed: 'equal', predictedAt: at })
      const values = new Map(found.features.map(({ name, value }) => [name, value]))
      expect(Object.fromEntries(values)).toEqual(features)
      const counts = new Map(found.features.map(({ name, eventCount }) => [name, eventCount]))
      expect([counts.get('sales'), counts.get('taken'), counts.get('refunds')]).toEqual([
        features.sales,
        features.sales,
        features.refunds,
      ])
    }
  })

  test('have places of their own: of several the one that is meant has to be clear', async () => {
    const { tasks } = await marketAfter(4)
    const { log } = tasks
    const ofModels = ({ models }: Declaration) => models.length > 0
    const place: ReplayRange = { from: { kind: 'commit', sequence: 1 } }
    const share = await shareOfPlaces(place, market, log, { isMeant: ofModels })
    expect(share).toMatchObject({ task: 'market-1-0', ordinal: 4 })
    expect(await shareOfPlaces({}, market, log, { isMeant: () => true })).toBeUndefined()
    await expect(shareOfPlaces(place, market, log, { isMeant: () => true })).rejects.toMatchObject({
      code: 'position-unknown',
      context: { position: '#1', expected: 'give times' },
    })

    const source = { app: 'market', ...(await tasks.source()), share }
    const auditIn = async (range: ReplayRange) => {
      const found = await findRange(range, source)
      const { predictions, mismatches } = await audit({
        declaration: market,
        ...(await tasks.source()),
        ...found,
      })
      expect(mismatches).toBe(0)
      return predictions
    }
    const sizes = [0, 1, 2, 3].map(async (partition) => Number((await log.offsets('sale', partition)).end))
    const largest = (await Promise.all(sizes)).map((end, partition) => ({ end, partition }))
    const [{ end, partition }] = largest.sort((left, right) => right.end - left.end) as [(typeof largest)[0]]
    for (const edge of [
      { kind: 'commit', sequence: 3 },
      { kind: 'record', topic: 'sale', partition, offset: end >> 1 },
    ] as const) {
      const [before, behind] = [await auditIn({ to: edge }), await auditIn({ from: edge })]
      expect(before).toBeGreaterThan(0)
      expect(behind).toBeGreaterThan(0)
      expect(before + behind).toBe(150)
    }
    const strange = findRange({ from: { kind: 'record', topic: 'visit', partition: 1, offset: 2 } }, source)
    await expect(strange).rejects.toMatchObject({
      code: 'position-unknown',
      context: { found: expect.not.stringContaining('@') },
    })
  })

  test('are one where nobody has run the application', async () => {
    const log = openMemoryLog({ now: () => 0 })
    expect((await recordedTasks(market, log)).map(taskIdOf)).toEqual(['market-0'])
    await log.createTopic({ name: 'market-commits', partitions: 1 })
    expect(await recordedTasks(market, log)).toEqual([market])
    await log.deleteTopic('market-commits')
    await log.createTopic({ name: 'market-commits', partitions: 3 })
    await expect(recordedTasks(market, log)).rejects.toMatchObject({ code: 'task-plan-changed' })
  })
})
