import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { expect as declare } from '../../models/quality/expectation.ts'
import type { FeatureView } from '../../processors/feature/feature-view.ts'
import { type BackfillReport, backfill, estimateBackfill } from '../../replay/backfill.ts'
import { mergeViews } from '../../replay/backfill-merge.ts'
import { makeLive, markReady, readyBackfill, shadowFolder, unmarkReady } from '../../replay/backfill-swap.ts'
import { rebuild } from '../../replay/rebuild.ts'
import type { Database } from '../../state/store/database.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'
import { openRocksdbDatabase } from '../../state/store/rocksdb/rocksdb-database.ts'
import { Engine } from '../../topology/index.ts'
import { cancelBackfill } from '../../topology/runtime/folder-replay.ts'
import { wire } from '../../topology/runtime/wire.ts'
import { headwater, start } from '../support/command-line.ts'
import { outcome, type ShopEvent, shop, shopEvents } from '../support/shop-topology.ts'
import { shopWithHabits, widerShop } from '../support/wider-shop.ts'

let root = ''
let folders = 0
const folder = () => join(root, String(folders++))
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-backfill-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const now = () => 1_800_000_000_000
const elapsedMs = () => performance.now()

async function append(engine: Engine, events: readonly ShopEvent[]): Promise<void> {
  for (let from = 0; from < events.length; ) {
    let to = from
    while (to < events.length && to - from < 50 && events[to]![0] === events[from]![0]) to++
    await engine.append(
      events[from]![0],
      events.slice(from, to).map(([, value]) => value),
    )
    from = to
  }
}

async function started(data: string, events: readonly ShopEvent[], declaration = shop): Promise<Engine> {
  const engine = await Engine.open({ topology: declaration, data, now, task: { batchRecords: 40 } })
  engine.run()
  await append(engine, events)
  await engine.caughtUp()
  return engine
}

async function backfilled(
  data: string,
  options: Partial<Parameters<typeof backfill>[0]> = {},
): Promise<BackfillReport> {
  unmarkReady(data)
  const wiring = await wire({ data, now, readOnly: true })
  const database = await openRocksdbDatabase({ path: shadowFolder(data) })
  try {
    const { log, registry } = wiring
    const report = await backfill({ declaration: widerShop, log, registry, database, elapsedMs, ...options })
    if (report.outcome === 'ready') markReady(data, report)
    return report
  } finally {
    await database.close()
    await wiring.close()
  }
}

async function isSound(data: string, declaration = widerShop): Promise<boolean> {
  const wiring = await wire({ data, now })
  try {
    return (await rebuild({ declaration, ...wiring, fresh: await wiring.scratch() })).equal
  } finally {
    await wiring.close()
  }
}

async function reopened(
  data: string,
  declaration = widerShop,
): Promise<{ engine: Engine; notices: string[]; folded: number }> {
  const notices: string[] = []
  const onNotice = (text: string) => notices.push(text)
  const engine = await Engine.open({ topology: declaration, data, now, onNotice })
  return { engine, notices, folded: engine.recovered.records }
}

describe('a backfill', () => {
  test('folds a new view beside the live engine, and the next start goes on from it without gap or overlap', async () => {
    const data = folder()
    const events = shopEvents(1_500)
    const live = await started(data, events.slice(0, 900))
    const stopped = new AbortController()
    let folded = 0
    const running = backfilled(data, {
      follow: true,
      signal: stopped.signal,
      onProgress: ({ records }) => {
        folded = records
      },
    })
    await append(live, events.slice(900, 1_300))
    await live.caughtUp()
    const positions = () => live.assembly.task.position.offsets.reduce((sum, each) => sum + each, 0)
    while (folded < positions()) await new Promise((resolve) => setTimeout(resolve, 5))
    stopped.abort()
    const report = await running
    expect(report).toMatchObject({ outcome: 'ready', records: positions(), total: positions(), unread: 0 })
    // The live engine goes on: what it commits now is behind the shadow.
    await append(live, events.slice(1_300))
    await live.caughtUp()
    const behind = positions() - report.records
    const liveDigest = await live.digest()
    await live.close()

    const { engine, notices, folded: atStart } = await reopened(data)
    expect(notices).toEqual(['the state is that of the backfill now'])
    expect(atStart).toBe(behind)
    expect(existsSync(join(data, 'backfill'))).toBe(false)
    const visitor = 'visitor-7'
    const at = 1_700_000_000_000 + 7 * 86_400_000
    const visits = events.filter(
      ([name, value]) => name === 'visit' && (value as { visitor: string }).visitor === visitor,
    )
    expect(await engine.features('habits', [visitor], at)).toMatchObject({ visits7d: visits.length })
    expect(await engine.digest()).not.toBe(liveDigest)
    await engine.close()
    expect(await isSound(data)).toBe(true)
  })

  test('killed with SIGKILL again and again goes on from its checkpoint to the same state', async () => {
    const data = folder()
    const live = await started(data, shopEvents(1_200, 4))
    await live.close()
    const child = fileURLToPath(new URL('../support/backfill-child.ts', import.meta.url))
    for (let round = 0; round < 2; round++) {
      const process_ = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), child, data, '500'])
      const [, signal] = (await once(process_, 'exit')) as [number | null, string | null]
      expect(signal).toBe('SIGKILL')
    }
    let first: number | undefined
    const report = await backfilled(data, {
      onProgress: ({ records }) => {
        first ??= records
      },
    })
    expect(report.outcome).toBe('ready')
    expect(first).toBeGreaterThan(600)
    const { engine, folded } = await reopened(data)
    expect(folded).toBe(0)
    engine.run()
    await append(engine, shopEvents(10))
    await engine.caughtUp()
    await engine.close()
    expect(await isSound(data)).toBe(true)
  })

  test.each([
    'before the state is another one',
    'before the old state is removed',
    'before it is told as done',
  ])('swap that was cut off %s is completed by the next start', async (when) => {
    const data = folder()
    await (await started(data, shopEvents(200))).close()
    const { records } = await backfilled(data)
    expect(records).toBeGreaterThan(150)
    if (when !== 'before the state is another one') makeLive(data, readyBackfill(data)!)
    if (when === 'before it is told as done') rmSync(join(data, 'state'), { recursive: true })
    const { engine, folded } = await reopened(data)
    expect(folded).toBe(0)
    await engine.close()
    expect(readdirSync(data).sort()).toEqual(['live.json', 'log', 'state-b'])
    expect(await isSound(data)).toBe(true)
    const again = await backfilled(data, { declaration: shop })
    expect(again.outcome).toBe('ready')
    const back = await reopened(data, shop)
    expect(back.folded).toBe(0)
    await back.engine.close()
    expect(readdirSync(data).sort()).toEqual(['live.json', 'log', 'state'])
  })

  test('is not taken by a start with another topology, nor before it is ready', async () => {
    const data = folder()
    await (await started(data, shopEvents(300))).close()
    const stopped = new AbortController()
    const report = await backfilled(data, { signal: stopped.signal, onProgress: () => stopped.abort() })
    expect(report.outcome).toBe('interrupted')
    const again = await Engine.open({ topology: shop, data, now })
    expect(again.recovered.records).toBe(0)
    await again.close()
    await backfilled(data)
    const old = await Engine.open({ topology: shop, data, now })
    expect(old.recovered.records).toBe(0)
    await old.close()
    const { engine, notices } = await reopened(data)
    expect(notices).toHaveLength(1)
    await engine.close()
  })

  test('of what runs already is refused as nothing to do, and a dry run tells how much there is', async () => {
    const data = folder()
    await (await started(data, shopEvents(400))).close()
    expect(await backfilled(data, { declaration: shop })).toMatchObject({ outcome: 'unchanged', records: 0 })
    const { log, registry, close } = await wire({ data, now, readOnly: true })
    const options = { log, registry, elapsedMs }
    const estimate = await estimateBackfill({
      ...options,
      declaration: widerShop,
      database: memoryDatabase(),
    })
    const { commits, records } = estimate
    expect(estimate).toMatchObject({ isNeeded: true, sampled: records, unread: 0 })
    expect([records > 400, commits > 5]).toEqual([true, true])
    await close()
  })
})

describe('a backfill of a declaration that has views more and nothing else', () => {
  const declaration = shopWithHabits
  const visitor = 'visitor-1'
  const later = 1_700_000_000_000 + 7 * 86_400_000
  const visitsOf = (events: readonly ShopEvent[]) =>
    events.filter(([name, value]) => name === 'visit' && (value as { visitor: string }).visitor === visitor)
      .length

  test('folds them alone and puts them beside the state, which goes on at the position of the log', async () => {
    const data = folder()
    const events = shopEvents(1_200, 8)
    const live = await started(data, events.slice(0, 800))
    const report = await backfilled(data, { declaration })
    expect(report).toMatchObject({ outcome: 'ready', views: ['habits'], unread: 0 })
    expect(report.records).toBe(report.total)
    await append(live, events.slice(800))
    await live.caughtUp()
    const learnt = live.model('buys').tally()
    // A death without a last checkpoint: the state is behind the shadow.
    await live.abort()
    const { engine, notices, folded } = await reopened(data, declaration)
    expect(notices).toEqual(['the state has the views of the backfill now'])
    expect(folded).toBe(0)
    expect(await engine.features('habits', [visitor], later)).toMatchObject({ visits7d: visitsOf(events) })
    expect(engine.model('buys').tally()).toEqual(learnt)
    engine.run()
    await engine.predict('buys', { visitId: 'new', visitor, page: '/hats', at: later - 1 })
    expect(await engine.features('habits', [visitor], later)).toMatchObject({
      visits7d: visitsOf(events) + 1,
    })
    await engine.close()
    expect(readdirSync(data).sort()).toEqual(['live.json', 'log', 'state'])
    expect(await isSound(data, declaration)).toBe(true)
  })

  test.each([1, 2, 3])(
    'cut off at write %i of the merge leaves the state as it was, and the next start merges',
    async (cut) => {
      const data = folder()
      const events = shopEvents(300)
      await (await started(data, events)).close()
      await backfilled(data, { declaration })
      const wiring = await wire({ data, now })
      const shadow = await openRocksdbDatabase({ path: shadowFolder(data) })
      let writes = 0
      const database: Database = {
        getMany: (...args) => wiring.database.getMany(...args),
        scan: (...args) => wiring.database.scan(...args),
        clear: (space) => wiring.database.clear(space),
        close: () => wiring.database.close(),
        write: (batch) =>
          ++writes === cut ? Promise.reject(new Error('cut off')) : wiring.database.write(batch),
      }
      const { log, registry } = wiring
      const merging = mergeViews({
        declaration,
        added: ['habits'],
        log,
        registry,
        database,
        shadows: [shadow],
      })
      await expect(merging).rejects.toThrow('cut off')
      await shadow.close()
      await wiring.close()
      const old = await Engine.open({ topology: shop, data, now })
      expect(old.recovered.records).toBe(0)
      await old.close()
      const { engine, folded } = await reopened(data, declaration)
      expect(folded).toBe(0)
      expect(await engine.features('habits', [visitor], later)).toMatchObject({ visits7d: visitsOf(events) })
      await engine.close()
      expect(await isSound(data, declaration)).toBe(true)
    },
  )

  test('is given up where the state is gone: the log is folded anew', async () => {
    const data = folder()
    const events = shopEvents(300)
    await (await started(data, events)).close()
    await backfilled(data, { declaration })
    rmSync(join(data, 'state'), { recursive: true })
    const { engine, notices } = await reopened(data, declaration)
    expect([notices, engine.recovered.records > 300]).toEqual([[], true])
    expect(await engine.features('habits', [visitor], later)).toMatchObject({ visits7d: visitsOf(events) })
    await engine.close()
    expect(await isSound(data, declaration)).toBe(true)
  })

  test('folds the whole where somebody reads them, or records are quarantined', async () => {
    const data = folder()
    await (await started(data, shopEvents(100))).close()
    const [habits] = declaration.views.filter(({ name }) => name === 'habits')
    const rule = { field: 'spent', range: { min: 0 } } as const
    for (const [expectations, views] of [
      [[declare(outcome, [rule])], undefined],
      [[declare(outcome, [{ ...rule, severity: 'quarantine' }])], undefined],
      [[declare(habits as FeatureView<string, 'most'>, [{ field: 'most', range: { min: 0 } }])], undefined],
      [[], ['habits']],
    ] as const) {
      const report = await backfilled(data, { declaration: { ...declaration, expectations } })
      expect(report.views).toEqual(views)
    }
  })
})

describe('headwater replay backfill', () => {
  test('backfills, tells so, and can be given up', async () => {
    const data = folder()
    await (await started(data, shopEvents(300))).close()
    const module = join(root, 'wider.ts')
    const support = new URL('../support/wider-shop.ts', import.meta.url)
    writeFileSync(module, `export { widerShop as default } from '${support.href}'\n`)
    const command = ['replay', 'backfill', '--data', data, '--topology', module]
    const done = await headwater(command)
    expect([done.code, done.out]).toEqual([
      0,
      expect.stringContaining('ready: the engine takes it when it starts next'),
    ])
    const cancelled = await headwater([...command, '--cancel', '--json'])
    expect([cancelled.code, cancelled.out]).toEqual([0, '{"cancelled":true}\n'])
    expect(existsSync(join(data, 'backfill'))).toBe(false)
  })
})

describe('a backfill in several processes', () => {
  const moduleOf = () => {
    const module = join(root, 'habits.ts')
    const support = new URL('../support/wider-shop.ts', import.meta.url)
    writeFileSync(module, `export { shopWithHabits as default } from '${support.href}'\n`)
    return module
  }
  const partsOf = (data: string) => readdirSync(shadowFolder(data)).filter((name) => name.startsWith('part-'))

  test('gives the state that one gives, at the next start', async () => {
    const data = folder()
    const live = await started(data, shopEvents(900, 8))
    const command = ['replay', 'backfill', '--data', data, '--topology', moduleOf(), '--json']
    const done = await headwater([...command, '--threads', '3'])
    const total = live.assembly.task.position.offsets.reduce((sum, each) => sum + each, 0)
    expect([done.code, done.errors]).toEqual([0, ''])
    expect(JSON.parse(done.out)).toMatchObject({ outcome: 'ready', views: ['habits'] })
    expect(JSON.parse(done.out).records).toBeLessThan(total)
    expect(readyBackfill(data)?.parts).toBe(3)
    expect(partsOf(data)).toHaveLength(3)
    await append(live, shopEvents(1_000, 8).slice(900))
    await live.caughtUp()
    await live.close()
    const { engine, notices } = await reopened(data, shopWithHabits)
    expect(notices).toEqual(['the state has the views of the backfill now'])
    await engine.close()
    expect(await isSound(data, shopWithHabits)).toBe(true)
  })

  test('is taken by a running engine', async () => {
    const data = folder()
    const live = await started(data, shopEvents(600, 8))
    const command = ['replay', 'backfill', '--data', data, '--topology', moduleOf(), '--threads', '2']
    const done = await headwater(command)
    expect([done.code, done.errors]).toEqual([0, expect.any(String)])
    await append(live, shopEvents(700, 8).slice(600))
    const { followed, followedHeld } = await live.swap(shopWithHabits)
    expect(followed + followedHeld).toBeGreaterThan(0)
    await append(live, shopEvents(800, 8).slice(700))
    await live.caughtUp()
    await live.close()
    expect(await isSound(data, shopWithHabits)).toBe(true)
  })

  test('killed with SIGKILL ends them all, and goes on where they stood; cancelled it ends them and leaves nothing', async () => {
    const data = folder()
    await (await started(data, shopEvents(1_500, 8))).close()
    const command = ['replay', 'backfill', '--data', data, '--topology', moduleOf(), '--threads', '2']
    const following = start([...command, '--follow'])
    await following.seen(/backfilling/)
    following.child.kill('SIGKILL')
    await following.ended
    // Those that were left behind hold their parts to their end.
    let again = await headwater([...command, '--json'])
    for (let tries = 0; again.code !== 0 && tries < 50; tries++)
      again = await headwater([...command, '--json'])
    expect(JSON.parse(again.out)).toMatchObject({ outcome: 'ready' })
    expect(await cancelBackfill(data)).toBe(true)

    const other = start([...command, '--follow'])
    await other.seen(/backfilling/)
    expect(await cancelBackfill(data)).toBe(true)
    const ended = await other.ended
    expect([ended.code, ended.out]).toEqual([1, expect.stringContaining('cancelled')])
    expect(readdirSync(data).sort()).toEqual(['log', 'state'])
  })
})

describe('a start that folds its log anew', () => {
  test('checkpoints on its way: cut off, it does not begin again', async () => {
    const data = folder()
    await (await started(data, shopEvents(1_200))).close()
    const task = { checkpointEvents: 150 }
    const cut = async (onRecovery?: () => void) => {
      const options = { topology: widerShop, data, now, task }
      return Engine.open({ ...options, ...(onRecovery === undefined ? {} : { onRecovery }) })
    }
    let commits = 0
    const failed = cut(() => {
      if (++commits === 800) throw new Error('cut off')
    })
    await expect(failed).rejects.toThrow('cut off')
    const engine = await cut()
    expect(engine.recovered.of).toBeLessThan(engine.assembly.task.position.sequence - 300)
    await engine.close()
    expect(await isSound(data)).toBe(true)
  })
})
