import { describe, expect, test } from 'vitest'
import type { GroupMember } from '../../../state/log/member-group.ts'
import { type Assignment, joinMembership, type TaskClaim } from '../../../topology/cluster/membership.ts'
import { MemoryGroup } from '../../support/memory-group.ts'

interface Joined {
  readonly member: GroupMember
  readonly assignments: readonly Assignment[]
  readonly notices: readonly string[]
  claims: readonly TaskClaim[]
}

async function join(group: MemoryGroup, id: string, claims: readonly TaskClaim[] = []): Promise<Joined> {
  const assignments: Assignment[] = []
  const notices: string[] = []
  const joined: { claims: readonly TaskClaim[] } = { claims }
  const member = await joinMembership({
    self: { id, url: `http://${id}:7070` },
    door: `door-${id}`,
    capacity: 1,
    tasks: ['app-0'],
    standbys: 1,
    sessionTimeoutMs: 10_000,
    claims: () => joined.claims,
    onAssignment: (assignment) => assignments.push(assignment),
    onLost: () => {},
    onNotice: (text) => notices.push(text),
    join: group.join,
  })
  return Object.assign(joined, { member, assignments, notices })
}

const rolesOf = ({ assignments }: Joined) => {
  const { active, standby } = assignments.at(-1)!
  return { active, standby }
}
const runs = (position: number, activeSince: number): TaskClaim => ({ task: 'app-0', position, activeSince })

describe('membership', () => {
  test('tells everybody who is there and who runs what', async () => {
    const group = new MemoryGroup()
    const two = await join(group, 'two')
    two.claims = [runs(10, 1)]
    const one = await join(group, 'one')
    const instances = ['one', 'two'].map((id) => ({ id, url: `http://${id}:7070` }))
    const owners = new Map([['app-0', instances[1]]])
    expect(two.assignments.at(-1)).toEqual({
      generation: 2,
      active: ['app-0'],
      standby: [],
      owners,
      instances,
      doors: ['door-two', 'door-one'],
    })
    expect(one.assignments.at(-1)).toEqual({
      generation: 2,
      active: [],
      standby: ['app-0'],
      owners,
      instances,
      doors: ['door-two', 'door-one'],
    })
  })

  test('gives the task of a member that left to the one that followed it', async () => {
    const group = new MemoryGroup()
    const first = await join(group, 'first')
    first.claims = [runs(5_000, 1)]
    const cold = await join(group, 'a-cold')
    const warm = await join(group, 'warm', [{ task: 'app-0', position: 4_990 }])
    expect(rolesOf(first)).toEqual({ active: ['app-0'], standby: [] })
    expect(rolesOf(warm)).toEqual({ active: [], standby: ['app-0'] })
    expect(rolesOf(cold)).toEqual({ active: [], standby: [] })
    await first.member.close()
    group.settle()
    expect(rolesOf(warm)).toEqual({ active: ['app-0'], standby: [] })
    expect(rolesOf(cold)).toEqual({ active: [], standby: ['app-0'] })
  })

  test('leaves a task where it was taken over, though the one before comes back and thinks that it runs it', async () => {
    const group = new MemoryGroup()
    const heir = await join(group, 'z-heir')
    heir.claims = [runs(8_000, 7)]
    const before = await join(group, 'a-before', [runs(8_000, 3)])
    expect(rolesOf(heir)).toEqual({ active: ['app-0'], standby: [] })
    expect(rolesOf(before)).toEqual({ active: [], standby: ['app-0'] })
  })

  test('says so when two instances have one id, and still gives the task to one of them', async () => {
    const group = new MemoryGroup()
    const one = await join(group, 'same')
    const other = await join(group, 'same')
    expect(one.notices).toEqual(['two instances have the id "same"; give each its own with --instance-id'])
    expect([one, other].map((each) => rolesOf(each).active.length).sort()).toEqual([0, 1])
  })
})
