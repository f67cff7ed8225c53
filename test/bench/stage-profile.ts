import { Session } from 'node:inspector/promises'

/** Where the time of a run goes, as functions and files belong to stages; the first that fits, from the inside out. */
const stages: readonly (readonly [stage: string, fits: RegExp])[] = [
  ['waiting', /^\(idle\)/],
  ['garbage collection', /^\(garbage collector\)/],
  ['fdatasync', /^fdatasync/],
  ['checkpoint: encode', /^(collectCheckpoint|#?collect|#?collectSome|#collectEarly) /],
  ['checkpoint: RocksDB', /rocksdb/],
  ['state: read', /^(readOne|read|values) processors\/feature|state\/store\/tile-slots\.ts#readWindows/],
  ['state: update', /^update processors\/feature/],
  ['model: score', /^(score|predict) models/],
  ['model: learn', /^#?learn models/],
  ['outputs: encode', /processors\/outputs|value-writer|section-sink|byte-writer|contracts\/codec/],
  ['commit: frame', /state\/log\/embedded\/(journal|embedded-log|frame|sync-loop)|crc32c|^writeBuffer/],
  ['log: read', /state\/log\//],
  ['decode', /processors\/task-input/],
  ['task: merge', /^(#take|#choose|comesBefore) /],
  ['graph and RxJS', /processors\/(graph|stream)|node_modules\/rxjs|processors\/feature\/(enrich|view-part)/],
  ['model: rest', /^.* models\//],
  ['task: rest', /processors\/task/],
  ['declared functions', /test\/bench|topology\/examples/],
]

export interface StageTime {
  readonly stage: string
  readonly ms: number
}

/**
 * Runs `work` under the sampling profiler of V8 and says how long each stage
 * took on the main thread, greatest first. The engine itself is not measured
 * by clocks of its own: they would be a stage too.
 */
export async function stageTimes(work: () => Promise<void>): Promise<readonly StageTime[]> {
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.setSamplingInterval', { interval: 500 })
    await session.post('Profiler.start')
    await work()
    const { profile } = await session.post('Profiler.stop')
    const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
    const parents = new Map(
      profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])),
    )
    const known = new Map<number, string>()
    const stageOf = (id: number): string => {
      const found = known.get(id)
      if (found !== undefined) return found
      const { functionName, url } = nodes.get(id)!.callFrame
      const frame = `${functionName} ${url.replace(/^.*\/(?=(?:state|processors|models|replay|topology|test|node_modules)\/)/, '')}`
      const parent = parents.get(id)
      const stage =
        stages.find(([, fits]) => fits.test(frame))?.[0] ?? (parent === undefined ? 'rest' : stageOf(parent))
      known.set(id, stage)
      return stage
    }
    const micros = new Map<string, number>()
    for (const [index, id] of (profile.samples ?? []).entries()) {
      const stage = stageOf(id)
      micros.set(stage, (micros.get(stage) ?? 0) + (profile.timeDeltas?.[index] ?? 0))
    }
    return [...micros].map(([stage, spent]) => ({ stage, ms: spent / 1000 })).sort((a, b) => b.ms - a.ms)
  } finally {
    session.disconnect()
  }
}
