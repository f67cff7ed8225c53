import type { Model } from '../../models/model.ts'
import type { Prediction } from '../../models/serving/model-part.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { Appended } from './door.ts'

/** A prediction with its features by name. */
export interface ExplainedPrediction {
  readonly requestId: string
  readonly model: string
  readonly modelVersion: number
  readonly variant: string
  readonly role: string
  readonly propensity: number
  readonly output: number
  /** By name, in column order; null where there was no value. */
  readonly features: Readonly<Record<string, number | null>>
  readonly position: { readonly task: string; readonly offsets: Readonly<Record<string, number>> }
  readonly trigger: Appended
  readonly predictedAt: TimestampMs
}

/** `inputs` are those of the task that made it, in their order. */
export function explained(
  prediction: Prediction,
  { columns }: Model,
  inputs: readonly { readonly name: string }[],
): ExplainedPrediction {
  const bytes = Buffer.from(prediction.features)
  const features = columns.map((name, index): [string, number | null] => {
    const value = bytes.readDoubleLE(index * 8)
    return [name, Number.isNaN(value) ? null : value]
  })
  const { task, offsets } = prediction.position
  return {
    requestId: prediction.requestId,
    model: prediction.model,
    modelVersion: prediction.modelVersion,
    variant: prediction.variant,
    role: prediction.role,
    propensity: prediction.propensity,
    output: prediction.output,
    features: Object.fromEntries(features),
    position: {
      task,
      offsets: Object.fromEntries(inputs.map(({ name }, index) => [name, offsets[index] ?? 0])),
    },
    trigger: {
      topic: prediction.triggerTopic,
      partition: prediction.triggerPartition,
      offset: prediction.triggerOffset,
    },
    predictedAt: prediction.predictedAt,
  }
}
