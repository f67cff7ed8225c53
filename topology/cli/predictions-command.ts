import { Engine } from '../runtime/engine.ts'
import type { ExplainedPrediction } from '../runtime/explained-prediction.ts'
import { CliError } from './cli-error.ts'
import { refuseClusterState, runningDoor, topologyOf } from './data-folder.ts'
import { callDoor } from './door-client.ts'
import { table } from './table.ts'

export interface PredictionsShowOptions {
  readonly data: string
  readonly topology?: string
  readonly model?: string
  readonly json?: boolean
}

/** `predictions show`: one past prediction and what is behind it. Exit code 1 if there is none. */
export async function predictionsShowCommand(
  requestId: string,
  options: PredictionsShowOptions,
): Promise<number> {
  const { data, json = false } = options
  const topology = await topologyOf(data, options.topology)
  const model = options.model ?? onlyModel(topology.models.map(({ name }) => name))
  const door = runningDoor(data)
  let found: ExplainedPrediction | undefined
  if (door === undefined) {
    refuseClusterState(data)
    const engine = await Engine.open({ topology, data })
    try {
      found = await engine.prediction(model, requestId)
    } finally {
      await engine.close()
    }
  } else {
    const path = `/v1/models/${encodeURIComponent(model)}/predictions/${encodeURIComponent(requestId)}`
    found = (await callDoor(door, path, undefined, { missing: 'prediction-unknown' })) as
      | ExplainedPrediction
      | undefined
  }
  if (found === undefined) {
    process.stderr.write(`headwater: model "${model}" has no prediction for request "${requestId}"\n`)
    return 1
  }
  process.stdout.write(json ? `${JSON.stringify(found)}\n` : text(found))
  return 0
}

function onlyModel(names: readonly string[]): string {
  const [only] = names
  if (names.length === 1 && only !== undefined) return only
  throw new CliError(`name the model with --model: ${names.join(', ')}`)
}

function text(found: ExplainedPrediction): string {
  const { trigger, position } = found
  const rows = Object.entries(found.features).map(([name, value]) => [
    name,
    value === null ? '-' : String(value),
  ])
  const offsets = Object.entries(position.offsets).map(([input, offset]) => `${input} ${offset}`)
  return `${found.model} version ${found.modelVersion} (${found.role}, variant ${found.variant}) answered ${found.output}
  request    ${found.requestId}
  event time ${new Date(found.predictedAt).toISOString()}
  trigger    ${trigger.topic}[${trigger.partition}] offset ${trigger.offset}
  position   ${offsets.join(', ')}

${table(['feature', 'value'], rows)}
`
}
