import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  assignTasks,
  type ClusterMember,
  type HeldTask,
  type MemberTasks,
} from '../../../topology/cluster/assign-tasks.ts'

const taskIds = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `app-${String(index).padStart(2, '0')}`)

const member = (id: string, held: readonly HeldTask[] = [], capacity = 1): ClusterMember => ({
  id,
  capacity,
  held,
})
const active = (task: string): HeldTask => ({ task, behindRecords: 0, isActive: true })
const standby = (task: string, behindRecords = 0): HeldTask => ({ task, behindRecords, isActive: false })

/** The members as they are once they have done what they were told: all state is fresh. */
const settled = (assignment: ReadonlyMap<string, MemberTasks>): ClusterMember[] =>
  [...assignment].map(([id, tasks]) =>
    member(id, [...tasks.active.map(active), ...tasks.standby.map((task) => standby(task))]),
  )

/** Which member each task is active at. */
const ownersOf = (assignment: ReadonlyMap<string, MemberTasks>): Map<string, string> =>
  new Map([...assignment].flatMap(([id, tasks]) => tasks.active.map((task) => [task, id])))

const movedBetween = (
  before: ReadonlyMap<string, MemberTasks>,
  after: ReadonlyMap<string, MemberTasks>,
): string[] => {
  const owners = ownersOf(before)
  return [...ownersOf(after)].filter(([task, id]) => owners.get(task) !== id).map(([task]) => task)
}

const held = fc.uniqueArray(
  fc.record({
    task: fc.constantFrom(...taskIds(12)),
    behindRecords: fc.oneof(fc.constant(0), fc.nat(50_000)),
    isActive: fc.boolean(),
  }),
  { selector: ({ task }) => task, maxLength: 12 },
)
const membersWith = (capacity: fc.Arbitrary<number>) =>
  fc.uniqueArray(fc.record({ id: fc.string({ minLength: 1, maxLength: 3 }), capacity, held }), {
    selector: ({ id }) => id,
    minLength: 1,
    maxLength: 6,
  })
const members = membersWith(fc.constant(1))
const taskCount = fc.integer({ min: 0, max: 12 })
const copies = fc.integer({ min: 0, max: 3 })

describe('whatever the members hold and claim', () => {
  test('every task is active at exactly one member, and its standbys are at others', () => {
    fc.assert(
      fc.property(
        membersWith(fc.integer({ min: 1, max: 8 })),
        taskCount,
        copies,
        (given, count, standbys) => {
          const tasks = taskIds(count)
          const assignment = [...assignTasks(given, tasks, { standbys })]
          expect(assignment.map(([id]) => id).sort()).toEqual(given.map(({ id }) => id).sort())
          for (const task of tasks) {
            const owners = assignment.filter(([, each]) => each.active.includes(task)).map(([id]) => id)
            const others = assignment.filter(([, each]) => each.standby.includes(task)).map(([id]) => id)
            expect(owners).toHaveLength(1)
            expect(others).toHaveLength(Math.min(standbys, given.length - 1))
            expect(others).not.toContain(owners[0])
          }
          expect(assignment.flatMap(([, each]) => each.active).sort()).toEqual(tasks)
        },
      ),
    )
  })

  test('equal members have the same number of active tasks, or one more', () => {
    fc.assert(
      fc.property(members, taskCount, (given, count) => {
        const sizes = [...assignTasks(given, taskIds(count), { standbys: 0 }).values()].map(
          (each) => each.active.length,
        )
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('the order of members, tasks and held state does not matter', () => {
    fc.assert(
      fc.property(
        members.chain((given) =>
          fc.tuple(
            fc.constant(given),
            fc.shuffledSubarray(
              given.map((each) => ({ ...each, held: [...each.held].reverse() })),
              { minLength: given.length },
            ),
          ),
        ),
        taskCount,
        copies,
        ([given, shuffled], count, standbys) => {
          const tasks = taskIds(count)
          const one = assignTasks(given, tasks, { standbys })
          const other = assignTasks(shuffled, tasks.reverse(), { standbys })
          expect([...other]).toEqual([...one])
        },
      ),
    )
  })
})

describe('as members come and go', () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 6 })

  test('nothing moves while nobody does', () => {
    fc.assert(
      fc.property(names, taskCount, copies, (ids, count, standbys) => {
        const tasks = taskIds(count)
        const first = assignTasks(
          ids.map((id) => member(id)),
          tasks,
          { standbys },
        )
        const again = assignTasks(settled(first), tasks, { standbys })
        expect([...again]).toEqual([...first])
      }),
    )
  })

  test('a member that leaves moves its own tasks, each to a member that has its state', () => {
    fc.assert(
      fc.property(names, taskCount, (ids, count) => {
        const tasks = taskIds(count)
        const before = assignTasks(
          ids.map((id) => member(id)),
          tasks,
          { standbys: ids.length - 1 },
        )
        const [gone, ...rest] = settled(before)
        const after = assignTasks(rest, tasks, { standbys: 1 })
        expect(movedBetween(before, after).sort()).toEqual(before.get(gone!.id)!.active)
      }),
    )
  })

  test('a member that joins takes its share, and moves nothing else', () => {
    fc.assert(
      fc.property(names, taskCount, copies, ([joining, ...ids], count, standbys) => {
        const tasks = taskIds(count)
        const before = assignTasks(
          ids.map((id) => member(id)),
          tasks,
          { standbys },
        )
        const after = assignTasks([...settled(before), member(joining!)], tasks, { standbys })
        expect(movedBetween(before, after).sort()).toEqual(after.get(joining!)!.active)
        expect(after.get(joining!)!.active.length).toBeLessThanOrEqual(Math.ceil(count / (ids.length + 1)))
      }),
    )
  })

  test('what became of the tasks of a member that died goes to the standby, also after many changes', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(4), { minLength: 1, maxLength: 20 }), (changes) => {
        const tasks = taskIds(7)
        let now = assignTasks([member('m0'), member('m1')], tasks, { standbys: 1 })
        for (const change of changes) {
          const present = settled(now)
          const id = `m${change}`
          const without = present.filter((each) => each.id !== id)
          if (without.length === 0) continue
          const isLeaving = without.length < present.length
          const next = assignTasks(isLeaving ? without : [...present, member(id)], tasks, { standbys: 1 })
          if (isLeaving) {
            const heirs = ownersOf(next)
            for (const task of now.get(id)!.active) {
              const copy = [...now].find(([, each]) => each.standby.includes(task))?.[0]
              // With shares that are even the standby may have its full share of others already.
              if (without.length === 1) expect(heirs.get(task)).toBe(copy)
            }
            expect(movedBetween(now, next).sort()).toEqual(now.get(id)!.active)
          }
          now = next
        }
      }),
    )
  })
})

describe('who gets a task', () => {
  const given = (...list: ClusterMember[]) =>
    ownersOf(assignTasks(list, ['app-0'], { standbys: 1 })).get('app-0')

  test('whoever has the freshest state of it', () => {
    expect(
      given(member('a'), member('b', [standby('app-0', 30_000)]), member('c', [standby('app-0', 20_000)])),
    ).toBe('c')
    expect(given(member('a', [standby('app-0', 50)]), member('b', [standby('app-0', 20)]))).toBe('b')
  })

  test('whoever runs it, though another seems a little fresher', () => {
    const runs: HeldTask = { task: 'app-0', behindRecords: 40, isActive: true }
    expect(given(member('a', [standby('app-0', 0)]), member('b', [runs]))).toBe('b')
  })

  test('not whoever ran it and has fallen far behind: it was cut off', () => {
    const ran: HeldTask = { task: 'app-0', behindRecords: 10_001, isActive: true }
    expect(given(member('a', [standby('app-0', 0)]), member('b', [ran]))).toBe('a')
  })

  test('a member with twice the capacity gets twice as many', () => {
    const assignment = assignTasks([member('a', [], 2), member('b', [], 4)], taskIds(12), { standbys: 0 })
    expect([...assignment.values()].map((each) => each.active.length)).toEqual([4, 8])
  })

  test('of the tasks that have to move, those that another member can go on with at once', () => {
    const tasks = taskIds(2)
    const after = assignTasks([member('a', tasks.map(active)), member('b', [standby(tasks[0]!)])], tasks, {
      standbys: 0,
    })
    expect([...after]).toEqual([
      ['a', { active: [tasks[1]], standby: [] }],
      ['b', { active: [tasks[0]], standby: [] }],
    ])
  })
})

test('impossible questions are mistakes of the caller', () => {
  expect(() => assignTasks([], ['app-0'], { standbys: 1 })).toThrow(RangeError)
  expect(() => assignTasks([member('a'), member('a')], [], { standbys: 1 })).toThrow('"a" comes twice')
  expect(() => assignTasks([member('a')], ['t', 't'], { standbys: 1 })).toThrow('"t" comes twice')
  expect(() => assignTasks([member('a')], [], { standbys: -1 })).toThrow('standbys')
  expect(() => assignTasks([member('a', [], 0)], [], { standbys: 1 })).toThrow('capacity')
})
