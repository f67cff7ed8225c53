import type { GroupMember, GroupOptions, GroupPeer } from '../member-group.ts'
import { type KafkaApi, KafkaClient, type KafkaConnections } from './kafka-cluster.ts'
import {
  asEngineError,
  brokerCodeOf,
  checkCode,
  isPassing,
  KafkaFailure,
  messageOf,
} from './kafka-failure.ts'
import { checkedKafkaOptions, type KafkaLogOptions } from './kafka-options.ts'
import { type WireReader, WireWriter } from './wire.ts'

const joinApi: KafkaApi = { key: 11, name: 'JoinGroup', version: 4, throttleAt: 0 }
const heartbeatApi: KafkaApi = { key: 12, name: 'Heartbeat', version: 2, throttleAt: 0 }
const leaveApi: KafkaApi = { key: 13, name: 'LeaveGroup', version: 2, throttleAt: 0 }
const syncApi: KafkaApi = { key: 14, name: 'SyncGroup', version: 2, throttleAt: 0 }

/** Told apart here only. Source: Apache Kafka protocol guide, "Error Codes". */
const illegalGeneration = 22
const unknownMember = 25
const invalidSessionTimeout = 26
const rebalanceInProgress = 27
const memberIdRequired = 79

/** Groups of one protocol type have nothing to do with those of consumers. */
const protocolType = 'headwater'
const protocol = 'tasks-1'

/** Of these in a session time, so that a lost one is no loss of the session. */
const heartbeatsPerSession = 6
const longestHeartbeatMs = 1_000
const pauseAfterFailureMs = 200
/** Beyond the time that the broker may take to answer. */
const answerRoomMs = 5_000

/** The group of an application's instances: those who work on other topics have nothing to do with these. */
export const instancesGroup = (topicPrefix: string, clientId: string): string =>
  `${topicPrefix}${clientId}-instances`

/**
 * Joins a group of a Kafka cluster and stays in it until it is closed. The
 * group coordinator of the cluster keeps the members; nothing is consumed.
 *
 * The library's own consumer is of no use for it: it sends heartbeats only
 * from its loop of reading and processing, and has to read a topic.
 *
 * @throws EngineError `kafka-unavailable`, `kafka-refused` where the first round is not possible
 */
export async function joinKafkaGroup(options: KafkaLogOptions, group: GroupOptions): Promise<GroupMember> {
  const connections = new KafkaClient(checkedKafkaOptions(options)).connections()
  try {
    await connections.connect()
    const member = new KafkaGroupMember(connections, group)
    await member.start()
    return member
  } catch (error) {
    await connections.close().catch(() => {})
    throw asEngineError(`joining group "${group.group}"`, error)
  }
}

class KafkaGroupMember implements GroupMember {
  readonly #connections: KafkaConnections
  readonly #options: GroupOptions
  #memberId = ''
  #generation = -1
  #isClosed = false
  #wantsRound = false
  #lastHeardAtMs = 0
  #isLost = false
  #wake: () => void = () => {}
  #running: Promise<void> | undefined

  constructor(connections: KafkaConnections, options: GroupOptions) {
    this.#connections = connections
    this.#options = options
  }

  /** Resolves after the first round. */
  async start(): Promise<void> {
    const { formerMemberId } = this.#options
    if (formerMemberId !== undefined) await this.#leave(formerMemberId).catch(() => {})
    for (let failures = 0; ; ) {
      try {
        await this.#round()
        break
      } catch (error) {
        this.#noteFailure(error)
        if (!isRoundLost(error) && (!isPassing(error) || ++failures > 50)) throw error
        await this.#pause(pauseAfterFailureMs)
      }
    }
    this.#running = this.#run()
  }

  rejoin(): void {
    this.#wantsRound = true
    this.#wake()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#wake()
    // A round in which the others are waited for does not hold up the end.
    await Promise.race([this.#running, this.#pause(this.#heartbeatMs)])
    if (this.#memberId !== '') await this.#leave(this.#memberId).catch(() => {})
    await this.#connections.close().catch(() => {})
    await this.#running
  }

  async #run(): Promise<void> {
    let needsRound = false
    while (!this.#isClosed) {
      try {
        if (needsRound || this.#wantsRound) await this.#round()
        needsRound = false
        await this.#pause(this.#heartbeatMs)
        if (!this.#isClosed && !this.#wantsRound) await this.#heartbeat()
      } catch (error) {
        if (this.#isClosed) return
        needsRound = this.#noteFailure(error) || needsRound
        if (!isRoundLost(error)) await this.#pause(pauseAfterFailureMs)
      }
    }
  }

  /** Whether another round is needed. */
  #noteFailure(error: unknown): boolean {
    const code = brokerCodeOf(error)
    if (code === rebalanceInProgress) return true
    if (code === unknownMember || code === illegalGeneration) {
      if (code === unknownMember) this.#memberId = ''
      this.#lose('the group went on without this member')
      return true
    }
    if (isPassing(error)) this.#connections.forget()
    const silentMs = performance.now() - this.#lastHeardAtMs
    if (!isPassing(error) || silentMs > this.#options.sessionTimeoutMs) this.#lose(messageOf(error))
    // What does not pass is asked again as a round: somebody may have mended it.
    return !isPassing(error)
  }

  #lose(reason: string): void {
    if (this.#isLost || this.#lastHeardAtMs === 0) return
    this.#isLost = true
    this.#options.onLost(reason)
  }

  async #round(): Promise<void> {
    const { group, sessionTimeoutMs, describe, onRound } = this.#options
    const joined = await this.#join(describe())
    this.#wantsRound = false
    const given =
      joined.peers === undefined ? new Map<string, Uint8Array>() : this.#options.assign(joined.peers)
    const request = new WireWriter().string(group).int32(this.#generation).string(this.#memberId)
    request.array([...given], ([memberId, assignment]) => bytes(request.string(memberId), assignment))
    const answer = await this.#ask(syncApi, request, sessionTimeoutMs + answerRoomMs)
    checkCode(answer.int16(), group)
    const assignment = readBytes(answer)
    this.#heard()
    this.#isLost = false
    if (this.#isClosed) return
    onRound({ generation: this.#generation, memberId: this.#memberId, assignment })
  }

  /** Resolves when all members have joined; `peers` for the leader alone. */
  async #join(description: Uint8Array): Promise<{ readonly peers: readonly GroupPeer[] | undefined }> {
    const { group, sessionTimeoutMs } = this.#options
    for (;;) {
      const request = new WireWriter(256 + description.length).string(group)
      // Members join again as soon as they hear of it, so they need no longer than a session.
      request.int32(sessionTimeoutMs).int32(sessionTimeoutMs).string(this.#memberId).string(protocolType)
      request.array([protocol], (name) => bytes(request.string(name), description))
      const answer = await this.#ask(joinApi, request, sessionTimeoutMs + answerRoomMs)
      const code = answer.int16()
      const generation = answer.int32()
      answer.string()
      const leader = answer.string()
      const memberId = answer.string() ?? ''
      if (code === memberIdRequired) {
        this.#memberId = memberId
        continue
      }
      checkCode(code, code === invalidSessionTimeout ? allowedSessions(sessionTimeoutMs) : group)
      this.#memberId = memberId
      this.#generation = generation
      this.#heard()
      const peers = answer.array(() => ({
        memberId: answer.string() ?? '',
        description: readBytes(answer),
      }))
      return { peers: leader === memberId ? peers : undefined }
    }
  }

  async #heartbeat(): Promise<void> {
    const { group, sessionTimeoutMs } = this.#options
    const request = new WireWriter().string(group).int32(this.#generation).string(this.#memberId)
    const answer = await this.#ask(heartbeatApi, request, sessionTimeoutMs)
    checkCode(answer.int16(), group)
    this.#heard()
  }

  async #leave(memberId: string): Promise<void> {
    const { group, sessionTimeoutMs } = this.#options
    const answer = await this.#ask(
      leaveApi,
      new WireWriter().string(group).string(memberId),
      sessionTimeoutMs,
    )
    checkCode(answer.int16(), group)
  }

  /** Asks the group's coordinator; the answer is read up to its code. */
  async #ask(api: KafkaApi, request: WireWriter, timeoutMs: number): Promise<WireReader> {
    const node = await this.#connections.coordinator('group', this.#options.group)
    const answer = await this.#connections.call(node, api, request, timeoutMs)
    answer.int32()
    return answer
  }

  #heard(): void {
    this.#lastHeardAtMs = performance.now()
  }

  get #heartbeatMs(): number {
    return Math.min(longestHeartbeatMs, this.#options.sessionTimeoutMs / heartbeatsPerSession)
  }

  /** Ends early when there is something to do. */
  async #pause(durationMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, durationMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

const allowedSessions = (askedMs: number): string =>
  `asked for ${askedMs} ms, the brokers take group.min.session.timeout.ms to group.max.session.timeout.ms`

/** The group has moved on: another round at once. */
const isRoundLost = (error: unknown): boolean =>
  error instanceof KafkaFailure &&
  [rebalanceInProgress, unknownMember, illegalGeneration].includes(error.code)

function bytes(request: WireWriter, value: Uint8Array): WireWriter {
  request.int32(value.length).out.raw(value)
  return request
}

function readBytes(answer: WireReader): Uint8Array {
  const size = Math.max(0, answer.int32())
  answer.at += size
  return Uint8Array.from(answer.bytes.subarray(answer.at - size, answer.at))
}
