import type { GroupMember, GroupOptions } from '../../state/log/member-group.ts'

interface Joined {
  readonly memberId: string
  readonly options: Omit<GroupOptions, 'group'>
}

/** A group within one process. A round is held when it is asked for: `settle` holds those that are due. */
export class MemoryGroup {
  readonly #members: Joined[] = []
  #generation = 0
  #joined = 0
  #isDue = false

  readonly join = async (options: Omit<GroupOptions, 'group'>): Promise<GroupMember> => {
    const member = { memberId: `member-${this.#joined++}`, options }
    this.#members.push(member)
    this.#isDue = true
    this.settle()
    return {
      rejoin: () => {
        this.#isDue = true
      },
      close: async () => {
        this.#members.splice(this.#members.indexOf(member), 1)
        this.#isDue = true
      },
    }
  }

  /** The first member leads. */
  settle(): void {
    if (!this.#isDue || this.#members.length === 0) return
    this.#isDue = false
    const generation = ++this.#generation
    const peers = this.#members.map(({ memberId, options }) => ({
      memberId,
      description: options.describe(),
    }))
    const given = this.#members[0]!.options.assign(peers)
    for (const { memberId, options } of [...this.#members]) {
      options.onRound({ generation, memberId, assignment: given.get(memberId) ?? new Uint8Array() })
    }
  }
}
