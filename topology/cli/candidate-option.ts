import { candidatePredictions, modelOf } from '../../replay/candidate.ts'
import type { Wiring } from '../runtime/wire.ts'
import { loadTopology } from './load-topology.ts'
import { Progress } from './progress.ts'

/** The answers of `module#model`, replayed over the log; without #, of the only model that the module has. */
export async function replayCandidate(
  given: string,
  wiring: Wiring,
  json: boolean,
): Promise<{ readonly name: string; readonly predictions: ReadonlyMap<string, number> }> {
  const [module = '', model] = given.split('#')
  const declaration = await loadTopology(module)
  const progress = new Progress('candidate', { unit: 'records', silent: json })
  let records = 0
  const predictions = await candidatePredictions({
    declaration,
    ...(model === undefined ? {} : { model }),
    log: wiring.log,
    writer: wiring.writer,
    registry: wiring.registry,
    database: await wiring.scratch(),
    onProgress: (done) => {
      records = done.records
      progress.update(records)
    },
  })
  progress.end(records)
  return { name: `candidate ${modelOf(declaration, model).name}`, predictions }
}
