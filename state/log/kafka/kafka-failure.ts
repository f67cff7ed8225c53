import { setTimeout as sleep } from 'node:timers/promises'
import { EngineError } from '../../contracts/engine-error.ts'

/**
 * The error codes of Kafka's protocol that are told apart here.
 *
 * Source: Apache Kafka protocol guide, "Error Codes".
 */
export const kafkaCodes = {
  offsetOutOfRange: 1,
  unknownTopic: 3,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidProducerEpoch: 47,
  invalidTransactionState: 48,
  invalidProducerIdMapping: 49,
  concurrentTransactions: 51,
  unknownProducerId: 59,
  producerFenced: 90,
} as const

const codeNames: Readonly<Record<number, string>> = {
  [-1]: 'UNKNOWN_SERVER_ERROR',
  1: 'OFFSET_OUT_OF_RANGE',
  2: 'CORRUPT_MESSAGE',
  3: 'UNKNOWN_TOPIC_OR_PARTITION',
  5: 'LEADER_NOT_AVAILABLE',
  6: 'NOT_LEADER_OR_FOLLOWER',
  7: 'REQUEST_TIMED_OUT',
  9: 'REPLICA_NOT_AVAILABLE',
  10: 'MESSAGE_TOO_LARGE',
  13: 'NETWORK_EXCEPTION',
  14: 'COORDINATOR_LOAD_IN_PROGRESS',
  15: 'COORDINATOR_NOT_AVAILABLE',
  16: 'NOT_COORDINATOR',
  17: 'INVALID_TOPIC_EXCEPTION',
  18: 'RECORD_LIST_TOO_LARGE',
  19: 'NOT_ENOUGH_REPLICAS',
  20: 'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  22: 'ILLEGAL_GENERATION',
  23: 'INCONSISTENT_GROUP_PROTOCOL',
  24: 'INVALID_GROUP_ID',
  25: 'UNKNOWN_MEMBER_ID',
  26: 'INVALID_SESSION_TIMEOUT',
  27: 'REBALANCE_IN_PROGRESS',
  29: 'TOPIC_AUTHORIZATION_FAILED',
  30: 'GROUP_AUTHORIZATION_FAILED',
  31: 'CLUSTER_AUTHORIZATION_FAILED',
  32: 'INVALID_TIMESTAMP',
  35: 'UNSUPPORTED_VERSION',
  40: 'INVALID_CONFIG',
  42: 'INVALID_REQUEST',
  44: 'POLICY_VIOLATION',
  45: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
  47: 'INVALID_PRODUCER_EPOCH',
  48: 'INVALID_TXN_STATE',
  49: 'INVALID_PRODUCER_ID_MAPPING',
  50: 'INVALID_TRANSACTION_TIMEOUT',
  51: 'CONCURRENT_TRANSACTIONS',
  53: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  56: 'KAFKA_STORAGE_ERROR',
  59: 'UNKNOWN_PRODUCER_ID',
  74: 'FENCED_LEADER_EPOCH',
  75: 'UNKNOWN_LEADER_EPOCH',
  78: 'OFFSET_NOT_AVAILABLE',
  81: 'GROUP_MAX_SIZE_REACHED',
  87: 'INVALID_RECORD',
  90: 'PRODUCER_FENCED',
  100: 'UNKNOWN_TOPIC_ID',
}

/** Those that go away without anyone's doing: a leader moves, a coordinator loads, a transaction's markers are written. */
const passing: ReadonlySet<number> = new Set([3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 51, 56, 74, 75, 78, 100])

/** An answer of the broker that says no. */
export class KafkaFailure extends Error {
  override readonly name = 'KafkaFailure'
  readonly code: number

  constructor(code: number, detail?: string | null) {
    const name = codeNames[code] ?? `error ${code}`
    super(detail ? `${name}: ${detail}` : name)
    this.code = code
  }
}

/** @throws KafkaFailure unless the code is 0 */
export function checkCode(code: number, detail?: string | null): void {
  if (code !== 0) throw new KafkaFailure(code, detail)
}

const fatalNames: ReadonlySet<string> = new Set([
  'KafkaJSSASLAuthenticationError',
  'KafkaJSNotImplemented',
  'KafkaJSUnsupportedMagicByteInMessageSet',
])

/** Whether the same request may succeed when it is sent again. */
export function isPassing(error: unknown): boolean {
  if (error instanceof EngineError || error instanceof TypeError || error instanceof RangeError) return false
  if (error instanceof KafkaFailure) return passing.has(error.code)
  if (!(error instanceof Error) || !error.name.startsWith('KafkaJS')) return false
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  if (fatalNames.has(error.name)) return false
  if (cause instanceof Error && fatalNames.has(cause.name)) return false
  // The client's own protocol errors carry the broker's code; all others are about the connection.
  return error.name !== 'KafkaJSProtocolError' || (typeof code === 'number' && passing.has(code))
}

/** A deadline by the clock that never goes back. */
export const deadlineAfter = (durationMs: number): number => performance.now() + durationMs

/** A topic that was just created may not be known to every broker; one that stays unknown for longer is gone. */
const unknownTopicPassesWithinMs = 3_000

/**
 * Does `work` again while it fails for a passing reason, with growing pauses,
 * until the deadline.
 *
 * @throws EngineError `kafka-unavailable` at the deadline, `kafka-refused` for a failure that does not pass;
 *   EngineErrors and mistakes of the program as they are
 */
export async function persistently<Result>(
  operation: string,
  deadline: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const goneAfter = deadlineAfter(unknownTopicPassesWithinMs)
  for (let pauseMs = 4; ; pauseMs = Math.min(pauseMs * 2, 250)) {
    try {
      return await work()
    } catch (error) {
      const isGone = brokerCodeOf(error) === kafkaCodes.unknownTopic && performance.now() > goneAfter
      if (isGone || !isPassing(error)) throw asEngineError(operation, error)
      if (performance.now() + pauseMs > deadline) {
        throw new EngineError('kafka-unavailable', { operation, detail: messageOf(error) }, { cause: error })
      }
      await sleep(pauseMs)
    }
  }
}

/** The broker's code behind an answer that says no, also where an EngineError carries it. */
export function brokerCodeOf(error: unknown): number | undefined {
  if (error instanceof KafkaFailure) return error.code
  const isRefusal = error instanceof EngineError && error.code === 'kafka-refused'
  return isRefusal && error.cause instanceof KafkaFailure ? error.cause.code : undefined
}

export function asEngineError(operation: string, error: unknown): unknown {
  if (error instanceof KafkaFailure || (error instanceof Error && error.name.startsWith('KafkaJS'))) {
    return new EngineError('kafka-refused', { operation, detail: messageOf(error) }, { cause: error })
  }
  return error
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
