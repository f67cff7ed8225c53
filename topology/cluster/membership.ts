import type { GroupMember, GroupOptions, GroupPeer, GroupRound } from '../../state/log/member-group.ts'
import { assignTasks, type ClusterMember } from './assign-tasks.ts'

/** A process of an application, and where it answers. */
export interface InstanceAddress {
  /** The same for every start on the same data folder. */
  readonly id: string
  /** Such as `http://10.0.0.7:7070`; other instances hand requests on to it. */
  readonly url: string
}

/** What an instance says of a task's state that it holds. */
export interface TaskClaim {
  readonly task: string
  /** Records folded into it: the sum of the positions in the task's inputs. */
  readonly position: number
  /** The round in which this instance was told to run the task, if it runs it now. */
  readonly activeSince?: number
}

/** What one round gave an instance, and how all of them stand. */
export interface Assignment {
  readonly generation: number
  readonly active: readonly string[]
  readonly standby: readonly string[]
  /** Task id to the instance that it is active at. */
  readonly owners: ReadonlyMap<string, InstanceAddress>
  /** Everybody who took part. */
  readonly instances: readonly InstanceAddress[]
  /** The doors of all of them. */
  readonly doors: readonly string[]
}

export interface MembershipOptions {
  readonly self: InstanceAddress
  /** Id of the writer that events come in through at this process; another process of the same instance has another. */
  readonly door: string
  /** Tasks that this instance can work on at the same time. */
  readonly capacity: number
  /** Every task of the application. */
  readonly tasks: readonly string[]
  /** Copies of each task's state beside the active one. */
  readonly standbys: number
  readonly sessionTimeoutMs: number
  readonly formerMemberId?: string
  /** What this instance holds; asked for in each round. */
  readonly claims: () => readonly TaskClaim[]
  /** Called with each assignment; `memberId` is for a restart to give back as `formerMemberId`. */
  readonly onAssignment: (assignment: Assignment, memberId: string) => void
  /** Told when the others may have gone on without this instance; another assignment follows. */
  readonly onLost: (reason: string) => void
  readonly onNotice: (text: string) => void
  readonly join: (options: Omit<GroupOptions, 'group'>) => Promise<GroupMember>
}

/** As the instances tell each other; the version is part of the group's protocol. */
interface Description extends InstanceAddress {
  readonly door: string
  readonly capacity: number
  readonly claims: readonly TaskClaim[]
}

interface Share {
  readonly active: readonly string[]
  readonly standby: readonly string[]
  readonly owners: Readonly<Record<string, InstanceAddress>>
  readonly instances: readonly InstanceAddress[]
  readonly doors: readonly string[]
}

/**
 * Takes part in the sharing out of an application's tasks: says what this
 * instance holds, shares out when it leads the group, and passes on what it is
 * given. Resolves after the first assignment.
 */
export function joinMembership(options: MembershipOptions): Promise<GroupMember> {
  const { self, door, capacity, claims, sessionTimeoutMs, formerMemberId, onLost } = options
  return options.join({
    sessionTimeoutMs,
    ...(formerMemberId === undefined ? {} : { formerMemberId }),
    describe: () => encode({ ...self, door, capacity, claims: claims() } satisfies Description),
    assign: (peers) => sharesOf(peers, options),
    onRound: (round) => options.onAssignment(assignmentOf(round), round.memberId),
    onLost,
  })
}

/** What each member gets, by the group's member ids. */
function sharesOf(
  peers: readonly GroupPeer[],
  { tasks, standbys, onNotice }: MembershipOptions,
): ReadonlyMap<string, Uint8Array> {
  const described = peers.map(({ memberId, description }) => ({
    memberId,
    ...(decode(description) as Description),
  }))
  const ids = described.map(({ id }) => id)
  const twice = ids.find((id, index) => ids.indexOf(id) !== index)
  if (twice !== undefined) {
    onNotice(`two instances have the id "${twice}"; give each its own with --instance-id`)
  }
  const given = assignTasks(membersOf(described), tasks, { standbys })
  const addressOf = new Map(described.map(({ memberId, id, url }) => [memberId, { id, url }]))
  const owners: Record<string, InstanceAddress> = {}
  for (const [key, { active }] of given) {
    for (const task of active) owners[task] = addressOf.get(memberIdOf(key))!
  }
  const instances = [...addressOf.values()].sort((left, right) => (left.id < right.id ? -1 : 1))
  const doors = described.map(({ door }) => door)
  return new Map(
    [...given].map(([key, { active, standby }]) => [
      memberIdOf(key),
      encode({ active, standby, owners, instances, doors } satisfies Share),
    ]),
  )
}

/**
 * The members by names that put instances in the order of their ids. The group's own ids differ at each start.
 * Of two that say they run a task, the one that was told later does.
 */
function membersOf(
  described: readonly (Description & { readonly memberId: string })[],
): readonly ClusterMember[] {
  const furthest = new Map<string, number>()
  const latest = new Map<string, number>()
  for (const { task, position, activeSince = -1 } of described.flatMap(({ claims }) => claims)) {
    furthest.set(task, Math.max(position, furthest.get(task) ?? 0))
    latest.set(task, Math.max(activeSince, latest.get(task) ?? 0))
  }
  return described.map(({ memberId, id, capacity, claims }) => ({
    id: `${id}\0${memberId}`,
    capacity,
    held: claims.map(({ task, position, activeSince }) => ({
      task,
      behindRecords: furthest.get(task)! - position,
      isActive: activeSince !== undefined && activeSince === latest.get(task),
    })),
  }))
}

const memberIdOf = (key: string): string => key.slice(key.indexOf('\0') + 1)

function assignmentOf({ generation, assignment }: GroupRound): Assignment {
  // A member that the leader knew nothing of gets nothing; the next round makes up for it.
  if (assignment.length === 0) {
    return { generation, active: [], standby: [], owners: new Map(), instances: [], doors: [] }
  }
  const { owners, ...rest } = decode(assignment) as Share
  return { generation, ...rest, owners: new Map(Object.entries(owners)) }
}

const encode = (value: object): Uint8Array => Buffer.from(JSON.stringify(value))
const decode = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString('utf8'))
