import type { InputGate, TaskOptions } from '../../processors/task.ts'
import { assemble, type BoundEngineContracts, type RecoveryProgress } from '../../replay/assembly.ts'
import type { ChangelogOptions } from '../../replay/task-changelog.ts'
import type { CommitStep } from '../../state/commit/commit-protocol.ts'
import type { Log } from '../../state/log/log.ts'
import { CommitTimes } from './commit-times.ts'
import { PendingRequests } from './pending-requests.ts'
import type { SwapHost } from './swap.ts'
import type { Wiring } from './wire.ts'
import type { KafkaWiring } from './wire-kafka.ts'

/** How an engine works, whatever it runs. */
export interface ServingOptions {
  /** Keeps its task in step with the others. */
  readonly gate?: (log: Log, engine: BoundEngineContracts) => InputGate
  /** A Kafka cluster in place of the embedded log. */
  readonly kafka?: KafkaWiring
  readonly task?: TaskOptions
  /** Told what an operator should know and need not act on at once. */
  readonly onNotice?: (text: string) => void
  readonly onRecovery?: (progress: RecoveryProgress) => void
  readonly onStep?: (step: CommitStep, sequence: number) => void
  /** Follows the engine of another process until this one is to take over. */
  readonly standby?: unknown
}

/** What stays the same in an engine, whatever it runs. */
export interface Serving {
  readonly requests: PendingRequests
  readonly commitTimes: CommitTimes
  readonly assemble: SwapHost['assemble']
}

export function servingOf(
  options: ServingOptions,
  { log, writer, registry }: Wiring,
  now: () => number,
): Serving {
  const requests = new PendingRequests()
  const commitTimes = new CommitTimes()
  return {
    requests,
    commitTimes,
    assemble: (declaration, database, isServing, reads) =>
      assemble({
        declaration,
        ...(options.gate === undefined ? {} : { gate: (own) => options.gate!(log, own) }),
        log,
        writer,
        registry,
        database,
        ...(reads === undefined ? {} : { reads }),
        onPrediction(prediction) {
          if (isServing()) requests.made(prediction)
        },
        onRefused(record, detail) {
          if (isServing()) requests.refused(record, detail)
        },
        task: { elapsedMs: () => performance.now(), ...options.task },
        ...(options.kafka === undefined ? {} : { changelog: changelogOf(options, now) }),
        onStep(step, sequence) {
          if (!isServing()) return
          commitTimes.step(step, sequence)
          options.onStep?.(step, sequence)
        },
      }),
  }
}

function changelogOf({ standby, onRecovery, onNotice }: ServingOptions, now: () => number): ChangelogOptions {
  return {
    standby: standby !== undefined,
    now,
    ...(onNotice === undefined ? {} : { onNotice }),
    onRestore: (restore) => onRecovery?.({ commits: 0, of: 0, records: 0, restore }),
  }
}
