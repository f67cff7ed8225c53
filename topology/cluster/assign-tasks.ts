/** State of a task that a member has on its disk. */
export interface HeldTask {
  readonly task: string
  /** Records that this state has still to fold until it stands where the freshest one does. */
  readonly behindRecords: number
  /** The member runs this task now. */
  readonly isActive: boolean
}

/** One process of an application, as the assignment sees it. */
export interface ClusterMember {
  readonly id: string
  /** Tasks that it can work on at the same time, from 1: its share is in proportion to it. */
  readonly capacity: number
  readonly held: readonly HeldTask[]
}

export interface AssignOptions {
  /** Copies of each task's state beside the active one, as far as there are members for them. */
  readonly standbys: number
  /** State that is no further behind than this is as good as the freshest. 10,000 unless given. */
  readonly acceptableBehindRecords?: number
}

/** What one member does: task ids, each list in ascending order. */
export interface MemberTasks {
  readonly active: readonly string[]
  readonly standby: readonly string[]
}

const defaultBehindRecords = 10_000

/** The state of one task at one member, as a place for the task. */
interface Place {
  readonly task: string
  readonly member: string
  /** 0: fresh enough to go on at once; 1: state that has to catch up; 2: none. */
  readonly grade: 0 | 1 | 2
  readonly behindRecords: number
  readonly isActive: boolean
  /** Somebody else who does not run the task has fresh state of it. */
  readonly hasAnother: boolean
}

/**
 * Shares the tasks of an application out among its members.
 *
 * - Every task is active at exactly one member; its standbys are at others.
 * - Each member's share is in proportion to its capacity; where capacities are
 *   equal, the numbers of active tasks differ by one at most.
 * - Within its share a member keeps the tasks that it runs. A task that has to
 *   move goes to whoever has the freshest state of it: a member that joins or
 *   leaves moves no other tasks than those that make up for it.
 * - The answer depends on the members and the tasks alone, not on their order.
 *
 * State within `acceptableBehindRecords` counts as equally fresh: members tell
 * their positions at different instants, and a lead of a few records is no
 * reason to move a task.
 *
 * @throws RangeError for no members, a member or task that comes twice, or a number out of range
 */
export function assignTasks(
  members: readonly ClusterMember[],
  tasks: readonly string[],
  { standbys, acceptableBehindRecords = defaultBehindRecords }: AssignOptions,
): ReadonlyMap<string, MemberTasks> {
  checkArguments(members, tasks, standbys)
  const sorted = [...members].sort((left, right) => compareText(left.id, right.id))
  const ids = [...tasks].sort(compareText)
  const places = placesOf(sorted, ids, acceptableBehindRecords)
  const active = assignActive(sorted, ids, places)
  const standby = assignStandbys(sorted, ids, places, active, Math.min(standbys, sorted.length - 1))
  return new Map(
    sorted.map(({ id }) => [
      id,
      {
        active: ids.filter((task) => active.get(task) === id),
        standby: ids.filter((task) => standby.get(task)?.has(id) ?? false),
      },
    ]),
  )
}

/** Task id to member id. */
function assignActive(
  members: readonly ClusterMember[],
  tasks: readonly string[],
  places: readonly Place[],
): ReadonlyMap<string, string> {
  const shares = new Shares(members, tasks.length)
  const active = new Map<string, string>()
  for (const { task, member } of [...places].sort(compareForActive)) {
    if (!active.has(task) && shares.take(member)) active.set(task, member)
  }
  return active
}

/** Task id to member ids. */
function assignStandbys(
  members: readonly ClusterMember[],
  tasks: readonly string[],
  places: readonly Place[],
  active: ReadonlyMap<string, string>,
  copies: number,
): ReadonlyMap<string, ReadonlySet<string>> {
  const standby = new Map(tasks.map((task) => [task, new Set<string>()]))
  const shares = new Shares(members, tasks.length * copies)
  const isFree = (task: string, member: string) =>
    active.get(task) !== member && !standby.get(task)!.has(member) && standby.get(task)!.size < copies
  for (const { task, member } of [...places].sort(compareForStandby)) {
    if (isFree(task, member) && shares.take(member)) standby.get(task)!.add(member)
  }
  // The shares may leave a task with nobody but its own active member: then somebody does a little more.
  for (const task of tasks) {
    while (standby.get(task)!.size < copies) {
      const free = members.filter(({ id }) => isFree(task, id))
      const [least] = free.sort((left, right) => shares.taken(left.id) - shares.taken(right.id))
      shares.takeBeyond(least!.id)
      standby.get(task)!.add(least!.id)
    }
  }
  return standby
}

/**
 * How many each member may take of `count`: in proportion to its capacity,
 * rounded down, and of what the rounding leaves one more for whoever asks
 * first. All of them together may take exactly `count`.
 */
class Shares {
  readonly #sure: ReadonlyMap<string, number>
  readonly #taken = new Map<string, number>()
  #remainder: number

  constructor(members: readonly ClusterMember[], count: number) {
    const capacity = members.reduce((sum, member) => sum + member.capacity, 0)
    this.#sure = new Map(members.map((each) => [each.id, Math.floor((count * each.capacity) / capacity)]))
    this.#remainder = [...this.#sure.values()].reduce((left, share) => left - share, count)
  }

  taken(member: string): number {
    return this.#taken.get(member) ?? 0
  }

  /** False when the member has its share. */
  take(member: string): boolean {
    const over = this.taken(member) - this.#sure.get(member)!
    if (over > 0 || (over === 0 && this.#remainder === 0)) return false
    if (over === 0) this.#remainder--
    this.takeBeyond(member)
    return true
  }

  takeBeyond(member: string): void {
    this.#taken.set(member, this.taken(member) + 1)
  }
}

/** Every task at every member. */
function placesOf(
  members: readonly ClusterMember[],
  tasks: readonly string[],
  acceptable: number,
): readonly Place[] {
  const heldBy = new Map(members.map(({ id, held }) => [id, new Map(held.map((each) => [each.task, each]))]))
  return tasks.flatMap((task) => {
    const fresh = members.filter(({ id }) => {
      const held = heldBy.get(id)!.get(task)
      return held !== undefined && !held.isActive && held.behindRecords <= acceptable
    })
    return members.map(({ id }): Place => {
      const held = heldBy.get(id)!.get(task)
      const behindRecords = held?.behindRecords ?? Number.POSITIVE_INFINITY
      const hasAnother = fresh.some((other) => other.id !== id)
      const grade = held === undefined ? 2 : behindRecords <= acceptable ? 0 : 1
      return { task, member: id, grade, behindRecords, isActive: held?.isActive ?? false, hasAnother }
    })
  })
}

/** A member that has to give up some keeps those that nobody else could go on with at once. */
function compareForActive(left: Place, right: Place): number {
  return (
    left.grade - right.grade ||
    Number(right.isActive) - Number(left.isActive) ||
    Number(left.hasAnother) - Number(right.hasAnother) ||
    comparePlaces(left, right)
  )
}

/** Whoever has state of a task keeps it up to date, whether it was active or standby. */
function compareForStandby(left: Place, right: Place): number {
  return left.grade - right.grade || comparePlaces(left, right)
}

function comparePlaces(left: Place, right: Place): number {
  const bothHeld = left.grade < 2 && right.grade < 2
  return (
    (bothHeld ? left.behindRecords - right.behindRecords : 0) ||
    compareText(left.task, right.task) ||
    compareText(left.member, right.member)
  )
}

const compareText = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0)

function checkArguments(members: readonly ClusterMember[], tasks: readonly string[], standbys: number): void {
  if (members.length === 0) throw new RangeError('assignTasks: there is no member to give tasks to')
  const twice = (names: readonly string[]) => names.find((name, index) => names.indexOf(name) !== index)
  const member = twice(members.map(({ id }) => id))
  if (member !== undefined) throw new RangeError(`assignTasks: member "${member}" comes twice`)
  const task = twice(tasks)
  if (task !== undefined) throw new RangeError(`assignTasks: task "${task}" comes twice`)
  if (!Number.isInteger(standbys) || standbys < 0) {
    throw new RangeError(`assignTasks: standbys must be a whole number from 0, got ${standbys}`)
  }
  for (const { id, capacity } of members) {
    if (Number.isInteger(capacity) && capacity >= 1) continue
    throw new RangeError(
      `assignTasks: the capacity of "${id}" must be a whole number from 1, got ${capacity}`,
    )
  }
}
