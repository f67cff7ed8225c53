import { Outputs } from '../../processors/outputs.ts'
import { bindContract } from '../../state/contracts/codec.ts'
import { embeddedRegistry } from '../../state/contracts/embedded-registry.ts'
import { engineContracts } from '../../state/contracts/engine-contracts.ts'
import type { SchemaEvent, SchemaRegistry } from '../../state/contracts/schema-registry.ts'
import type { Log, LogWriter } from '../../state/log/log.ts'
import { openMemoryLog } from '../../state/log/memory/memory-log.ts'

/** A prediction, with its label where it got one. */
export interface Decided {
  readonly atMs: number
  readonly features: readonly number[]
  readonly output: number
  readonly label?: number
  /** An hour after the prediction unless given. */
  readonly labeledAtMs?: number
  /** The action taken, with what is logged of it; none unless given. */
  readonly variant?: string
  readonly propensity?: number
  readonly scores?: readonly number[]
}

/** A log in memory that holds the predictions and labels of a model, in this order, and nothing else. */
export async function decisionLog(
  app: string,
  model: string,
  decisions: readonly Decided[],
): Promise<{ log: Log; writer: LogWriter; registry: SchemaRegistry }> {
  const log = openMemoryLog({ now: () => 0 })
  const journal: SchemaEvent[] = []
  const registry = await embeddedRegistry({
    async *read() {
      yield* journal
    },
    async append(event) {
      journal.push(event)
    },
  })
  const writer = await log.writer('decisions')
  const outputs = new Outputs(writer.sink)
  const contracts = engineContracts(app)
  const emitters = []
  for (const contract of [contracts.prediction, contracts.label]) {
    await log.createTopic({ name: contract.topic, partitions: 3 })
    emitters.push(outputs.emitter((await bindContract<object>(contract as never, registry)) as never, 3))
  }
  const [predict, label] = emitters
  for (const [index, decided] of decisions.entries()) {
    const requestId = `request-${index}`
    const { atMs, output } = decided
    predict!(
      {
        requestId,
        model,
        modelVersion: 1,
        variant: decided.variant ?? 'champion',
        propensity: decided.propensity ?? 1,
        role: 'champion',
        entityKeys: {},
        features: new Uint8Array(Float64Array.from(decided.features).buffer),
        featureSet: 'test',
        output,
        scores: decided.scores ?? null,
        position: { task: 'test-0', offsets: [index] },
        triggerTopic: 'test',
        triggerPartition: 0,
        triggerOffset: index,
        latencyMicros: null,
        predictedAt: atMs,
      },
      atMs,
    )
    if (decided.label === undefined) continue
    const labeledAt = decided.labeledAtMs ?? atMs + 3_600_000
    label!({ requestId, model, value: decided.label, labeledAt }, labeledAt)
  }
  await (await writer.commit()).durable
  return { log, writer, registry }
}
