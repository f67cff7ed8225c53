import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Declaration } from '../../models/declaration.ts'
import { modelOf } from '../../replay/candidate.ts'
import { shareOfModelPlaces } from '../../replay/recorded-tasks.ts'
import type { RangeSource, ReplayRange } from '../../replay/replay-range.ts'
import type { LogPlace } from '../runtime/folder-replay.ts'
import { type Wiring, wire } from '../runtime/wire.ts'
import { CliError } from './cli-error.ts'
import { requireData, topologyOf } from './data-folder.ts'
import { wiringOf } from './kafka-options.ts'
import { loadTopology } from './load-topology.ts'

/** Whose log a replay reads: that of a folder, or of an application on a Kafka cluster. */
export interface ReplaySourceOptions {
  readonly data?: string
  readonly topology?: string
  readonly kafka?: string
  readonly kafkaConfig?: string
  readonly registry?: string
  readonly json?: boolean
}

export interface ReplaySource {
  readonly declaration: Declaration
  /** The adapters, for reading alone. */
  readonly wiring: Wiring
}

/** Checks that the options name a log, and loads the topology. */
export async function findSource(
  options: ReplaySourceOptions,
): Promise<{ readonly declaration: Declaration; readonly place: LogPlace }> {
  const { data, topology, kafka, kafkaConfig, registry } = options
  if (kafka === undefined) {
    const stray = kafkaConfig === undefined ? registry && '--registry' : '--kafka-config'
    if (stray !== undefined) throw new CliError(`${stray} goes with --kafka: give both`)
    if (data === undefined) {
      throw new CliError('name the log: --data <dir> for that of a folder, --kafka <brokers> for a cluster')
    }
    requireData(data)
    return { declaration: await topologyOf(data, topology), place: { data } }
  }
  const isRemembered = data !== undefined && existsSync(join(data, 'topology.json'))
  if (topology === undefined && !isRemembered) {
    throw new CliError(
      'name the module that runs on the cluster with --topology, or with --data the folder where it ran last',
    )
  }
  const declaration =
    topology === undefined ? await topologyOf(data ?? '', undefined) : await loadTopology(topology)
  const cluster = wiringOf({
    kafka,
    ...(kafkaConfig === undefined ? {} : { kafkaConfig }),
    ...(registry === undefined ? {} : { registry }),
  })
  return { declaration, place: { kafka: cluster } }
}

/** Opens the log to read it, beside its engine or without one; the caller closes the wiring. */
export async function openSource(options: ReplaySourceOptions): Promise<ReplaySource> {
  const { declaration, place } = await findSource(options)
  const wiring = await wire({ ...place, app: declaration.name, now: Date.now, readOnly: true })
  return { declaration, wiring }
}

/** Where the places of a range are looked for: in the log of the task that has the model. */
export async function placesOfModel(
  range: ReplayRange,
  declaration: Declaration,
  { log, registry }: Wiring,
  model: string | undefined,
): Promise<RangeSource> {
  const asked = modelOf(declaration, model)
  const share = await shareOfModelPlaces(range, declaration, asked, { log, registry })
  return { app: declaration.name, log, registry, share }
}
