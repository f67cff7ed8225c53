import { describe, expect, test } from 'vitest'
import type { Declaration } from '../../models/declaration.ts'
import { commitPartition, stagesOf, taskIdOf, tasksOf, tasksOnLog } from '../../replay/task-plan.ts'
import { engineContracts } from '../../state/contracts/engine-contracts.ts'
import {
  count,
  event,
  featureView,
  forever,
  hours,
  rekey,
  stream,
  topology,
  tumbling,
  windowAggregate,
  windowFolds,
} from '../../topology/index.ts'
import { split } from '../support/split-topology.ts'

const fields = { user: 'int', item: 'int', at: 'timestamp' } as const
const click = event('click', fields, { key: 'user', time: 'at' })
const seen = event('seen', fields, { key: 'item', time: 'at' })
const sold = event('sold', fields, { key: 'item', time: 'at' })
const named = event('named', { user: 'string', at: 'timestamp' }, { key: 'user', time: 'at' })
const wide = event('wide', fields, { key: 'user', time: 'at', partitions: 8 })

const byItem = stream(click).to(seen, ({ value }) => value)
const clicks = windowAggregate({
  name: 'clicks',
  windows: tumbling({ sizeMs: hours(1), graceMs: 0 }),
  aggregate: windowFolds({ clicks: count() }),
  input: () => 1,
  emit: 'close',
})
const reasons = (declaration: Declaration) =>
  stagesOf(declaration).flatMap(({ wholeBecause }) => wholeBecause)

describe('an application of several processes', () => {
  test('has a task for each partition of each stage, numbered as they are declared', () => {
    const tasks = tasksOf(split)
    expect(tasks.map(taskIdOf)).toEqual(
      [0, 1].flatMap((stage) => [0, 1, 2, 3].map((partition) => `split-${stage}-${partition}`)),
    )
    expect(tasks.map(commitPartition)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect(tasks.map(({ share }) => share?.partition)).toEqual([0, 1, 2, 3, 0, 1, 2, 3])
    expect(tasks.map(({ views }) => views.map(({ name }) => name).join())).toEqual([
      ...Array(4).fill('customer'),
      ...Array(4).fill('shop'),
    ])
  })

  test('says of each task who writes what it reads, and who writes beside it', () => {
    const [first, , , , behind] = tasksOf(split)
    const upstream = [0, 1, 2, 3].map((partition) => `split-0-${partition}`)
    expect(first!.share).toMatchObject({ beside: upstream, writers: new Map() })
    expect(behind!.share).toMatchObject({ beside: [], writers: new Map([['sale', upstream]]) })
  })

  test('takes rows from outside by its first task alone', () => {
    const sources = [{ name: 'rows', rows: () => [] }]
    const tasks = tasksOf(topology('app', { events: [click, seen], streams: [byItem], sources }))
    expect(tasks.map((task) => task.sources.length)).toEqual([1, 0, 0, 0])
  })

  test('is one task where it is declared so, or where nothing of it can be split', () => {
    const whole = topology('app', { events: [click, seen], streams: [byItem], tasks: 'one' })
    expect(tasksOf(whole)).toEqual([whole])
    const items = featureView('item', {
      entity: 'item',
      owner: 'test',
      description: 'of a test',
      features: { clicks: count(click, { over: forever }) },
    })
    const scattered = topology('app', { events: [click], features: [items] })
    expect(tasksOf(scattered)).toEqual([scattered])
    expect(taskIdOf(scattered)).toBe('app-0')
  })

  test('keeps a stage that cannot be split as one task beside those that can', () => {
    const crossing = stream(seen)
      .pipe(rekey('by-user', ({ value }) => value.user as unknown))
      .pipe(clicks)
      .to(sold, ({ key, timestampMs }) => ({ user: key.key as number, item: 0, at: timestampMs }))
    const tasks = tasksOf(topology('app', { events: [click, seen, sold], streams: [byItem, crossing] }))
    expect(tasks.map(taskIdOf)).toEqual(['app-0-0', 'app-0-1', 'app-0-2', 'app-0-3', 'app-1-0'])
    expect(tasks.at(-1)!.share?.partition).toBeUndefined()
  })
})

describe('a stage is one task', () => {
  const items = featureView('item', {
    entity: 'item',
    owner: 'test',
    description: 'of a test',
    features: { clicks: count(click, { over: forever }) },
  })
  const both = featureView('both', {
    entity: 'user',
    owner: 'test',
    description: 'of a test',
    features: { clicks: count(click, { over: forever }), names: count(named, { over: forever }) },
    keys: { named: { user: 'user' } },
  } as never)

  test.each<[string, Declaration, RegExp]>([
    [
      'where an entity is not the key of its events',
      topology('app', { events: [click], features: [items] }),
      /view "item" is about item, and "click" has the key user/,
    ],
    [
      'where keys of one entity are written differently',
      topology('app', { events: [click, named], features: [both] }),
      /view "both" reads "click" and "named", whose keys are not the same/,
    ],
    [
      'where its events have different numbers of partitions',
      topology('app', {
        events: [click, wide],
        features: [
          featureView('wide-user', {
            entity: 'user',
            owner: 'test',
            description: 'of a test',
            features: { clicks: count(click, { over: forever }), more: count(wide, { over: forever }) },
          }),
        ],
      }),
      /"click" has 4 partitions and "wide" has 8/,
    ],
    [
      'where a key is made anew without an internal topic',
      topology('app', {
        events: [click, sold],
        streams: [
          stream(click)
            .pipe(rekey('by-item', ({ value }) => value.item as unknown))
            .pipe(clicks)
            .to(sold, ({ key, timestampMs }) => ({ user: 0, item: key.key as number, at: timestampMs })),
        ],
      }),
      /by-item/,
    ],
    [
      'where streams go round in a circle',
      topology('app', {
        events: [click, seen, sold],
        streams: [
          byItem,
          stream(seen).to(sold, ({ value }) => value),
          stream(sold).to(click, ({ value }) => value),
        ],
      }),
      /circle: click -> seen -> sold -> click/,
    ],
  ])('%s', (_, declaration, reason) => {
    expect(reasons(declaration).join('\n')).toMatch(reason)
    expect(tasksOf(declaration)).toHaveLength(1)
  })

  test('except where a new key stays on the partition', () => {
    const declaration = topology('app', {
      events: [click, sold],
      streams: [
        stream(click)
          .pipe(rekey('pair', ({ value }) => [value.user, value.item] as const, { samePartition: true }))
          .pipe(clicks)
          .to(sold, ({ key, timestampMs }) => ({
            user: (key.key as readonly number[])[0]!,
            item: (key.key as readonly number[])[1]!,
            at: timestampMs,
          })),
      ],
    })
    expect(reasons(declaration)).toEqual([])
    expect(tasksOf(declaration)).toHaveLength(4)
  })
})

describe('the tasks that an application has on a log', () => {
  const { topic } = engineContracts('split').commit
  const found = (partitions: number) => [{ name: topic, partitions }]

  test('are those of the declaration where there is nothing yet, or where it began so', () => {
    expect(tasksOnLog(split, [])).toEqual(tasksOf(split))
    expect(tasksOnLog(split, found(8))).toEqual(tasksOf(split))
  })

  test('are the one that it began with', () => {
    expect(tasksOnLog(split, found(1))).toEqual([split])
  })

  test('cannot be another number than it began with', () => {
    expect(() => tasksOnLog(split, found(5))).toThrow(expect.objectContaining({ code: 'task-plan-changed' }))
  })
})
