/** One member of a group, as the leader sees it. */
export interface GroupPeer {
  readonly memberId: string
  /** What the member said of itself when it joined. */
  readonly description: Uint8Array
}

/** What one round of a group came to, for one member. */
export interface GroupRound {
  /** Grows with every round; of two members that claim the same, the one with the later round is right. */
  readonly generation: number
  readonly memberId: string
  /** What the leader has given this member. */
  readonly assignment: Uint8Array
}

export interface GroupOptions {
  /** Names the group at the cluster. */
  readonly group: string
  /** A member that is not heard of for so long is out: the others share out what it had. */
  readonly sessionTimeoutMs: number
  /** The id that this member had before it was killed: without it the group would wait for that one. */
  readonly formerMemberId?: string
  /** What the others are to know of this member; asked for at the begin of each round. */
  readonly describe: () => Uint8Array
  /** Asked of the one member that leads a round: what each gets. Members that are left out get nothing. */
  readonly assign: (peers: readonly GroupPeer[]) => ReadonlyMap<string, Uint8Array>
  readonly onRound: (round: GroupRound) => void
  /** Told when this member may be out of the group, and may not know it: the others may have gone on. */
  readonly onLost: (reason: string) => void
}

/**
 * A member of a group of processes: the group knows who is there, and one of
 * them, the leader, shares out the work. Everybody is asked again whenever a
 * member comes, goes, falls silent or asks for it.
 *
 * Membership tells who is to do something; it does not stop anybody. A member
 * that was cut off may work on until it finds out: what must not be done twice
 * has to be fenced where it is done.
 */
export interface GroupMember {
  /** Asks for another round, as this member has something new to say of itself. */
  rejoin(): void
  /** Leaves the group, which need not wait for this member then. */
  close(): Promise<void>
}
