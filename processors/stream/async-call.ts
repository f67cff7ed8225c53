import type { Contract } from '../../state/contracts/contract.ts'
import type { DurationMs } from '../../state/contracts/units.ts'
import { requireCount, requireDuration } from './declaration-checks.ts'

/**
 * Asks something outside about a batch of events: one answer for each, in
 * their order. The signal aborts when nobody waits for the answers any more.
 */
export type CallFunction<Ask = never, Answer = unknown> = (
  asks: readonly Ask[],
  signal: AbortSignal,
) => Promise<readonly Answer[]> | readonly Answer[]

export interface EnrichAsyncOptions<Ask, Answer, Enriched extends object> {
  /** Unique among the calls of a topology; where the calls stand is kept on the log under it. */
  readonly name: string
  /** The event that holds what was asked about and its answer. */
  readonly into: Contract<Enriched>
  readonly call: CallFunction<Ask, Answer>
  /**
   * The event of an answer, at the event time of what was asked about; null as
   * the answer where every attempt failed and `onFailure` is `null`. null as
   * the result writes nothing.
   */
  readonly event: (ask: Ask, answer: Answer | null) => Enriched | null
  /** Most events in one call; 100 unless given. What is there is asked about at once, however little it is. */
  readonly batch?: number
  /** Calls in flight for each partition; their answers are written in the order of the events. 1 unless given. */
  readonly concurrency?: number
  /** Calls for one batch, the first included; 3 unless given. */
  readonly attempts?: number
  /** After so long a call has failed; 10 s unless given. */
  readonly timeoutMs?: DurationMs
  /** Pause before the second attempt, doubled before each further one, at most a minute; 100 ms unless given. */
  readonly retryMs?: DurationMs
  /**
   * What becomes of a batch whose last attempt failed: an answer of `null`
   * each, a dead letter each, or the application stops and asks again when it
   * is started.
   */
  readonly onFailure: 'null' | 'dead-letter' | 'stop'
  /** How long operators behind the answers wait for them where they read other events too: see `stream`. */
  readonly idleMs?: DurationMs
}

/** A call as the engine makes it, outside of every fold. */
export interface AsyncCall {
  readonly name: string
  readonly asks: Contract
  readonly answers: Contract
  readonly call: CallFunction<object>
  event(ask: object, answer: unknown): object | null
  readonly batch: number
  readonly concurrency: number
  readonly attempts: number
  readonly timeoutMs: DurationMs
  readonly retryMs: DurationMs
  readonly onFailure: 'null' | 'dead-letter' | 'stop'
}

const outcomes: readonly string[] = ['null', 'dead-letter', 'stop']

/** @throws RangeError that names the call and what is wrong in its declaration */
export function asyncCall<Ask, Answer, Enriched extends object>(
  asks: Contract | undefined,
  options: EnrichAsyncOptions<Ask, Answer, Enriched>,
): AsyncCall {
  const { name, into, onFailure } = options
  if (!/^[a-z][a-z0-9-]*$/.test(name)) {
    throw new RangeError(`a call's name is lower-case words joined by "-", got "${name}"`)
  }
  const its = (setting: string) => `${setting} of call "${name}"`
  if (asks === undefined) {
    throw new RangeError(
      `call "${name}" asks about a stream that steps have changed; end it in an event with to(…), and ask about stream(thatEvent)`,
    )
  }
  if (asks.topic === into.topic) {
    throw new RangeError(`call "${name}" writes its answers to "${into.topic}", which it asks about`)
  }
  if (!outcomes.includes(onFailure)) {
    throw new RangeError(`${its('onFailure')} is "${onFailure}", expected one of ${outcomes.join(', ')}`)
  }
  return {
    name,
    asks,
    answers: into as unknown as Contract,
    call: options.call as unknown as CallFunction<object>,
    event: options.event as unknown as AsyncCall['event'],
    batch: requireCount(its('batch'), options.batch ?? 100),
    concurrency: requireCount(its('concurrency'), options.concurrency ?? 1),
    attempts: requireCount(its('attempts'), options.attempts ?? 3),
    timeoutMs: requireDuration(its('timeoutMs'), options.timeoutMs ?? 10_000, {
      least: 1,
      most: 2 ** 31 - 1,
    }),
    retryMs: requireDuration(its('retryMs'), options.retryMs ?? 100, { most: 60_000 }),
    onFailure,
  }
}
