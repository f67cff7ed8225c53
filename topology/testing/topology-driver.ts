import type { Declaration } from '../../models/declaration.ts'
import type { LabelCounts } from '../../models/serving/model-part.ts'
import type { FeatureValue } from '../../processors/feature/feature-value.ts'
import type { Contract } from '../../state/contracts/contract.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { CallStandIns } from '../runtime/callers.ts'
import { Engine } from '../runtime/engine.ts'
import type { ExplainedPrediction } from '../runtime/explained-prediction.ts'

/** Events to begin with: the contract and its values, in the order of their arrival. */
export type Given = readonly [event: Contract, ...values: readonly object[]]

/**
 * A whole topology in memory: events in, features, predictions and events of
 * its streams out. Everything that was appended is processed when `append`
 * resolves. Time is what the events say; the clock stands still.
 */
export class TopologyDriver {
  readonly #engine: Engine

  private constructor(engine: Engine) {
    this.#engine = engine
  }

  /**
   * `nowMs` is what the clock shows: event times beyond it, and the allowance,
   * are refused. 2100 unless given. `calls` stand in for the calls of that
   * name, as functions that may answer at once; with `by-hand` nobody is asked,
   * and the test appends the answers.
   */
  static async start(
    topology: Declaration,
    nowMs: TimestampMs = 4_102_444_800_000,
    { calls = {} }: { readonly calls?: CallStandIns } = {},
  ): Promise<TopologyDriver> {
    const engine = await Engine.open({ topology, now: () => nowMs, calls })
    engine.run()
    return new TopologyDriver(engine)
  }

  /** Appends events, as a producer would, and waits until they are processed. */
  async append<Value>(event: Contract<Value>, ...values: readonly Value[]): Promise<void> {
    await this.#engine.append(event.name, values)
    await this.#engine.caughtUp()
  }

  /** Asks a model. */
  predict(model: string, trigger: object): Promise<ExplainedPrediction> {
    return this.#engine.predict(model, trigger)
  }

  /** The features of an entity as of a time. */
  features(
    view: string,
    key: string | number | bigint | readonly (string | number | bigint)[],
    at: TimestampMs,
  ): Promise<Readonly<Record<string, FeatureValue>>> {
    return this.#engine.features(view, Array.isArray(key) ? key : [key as string], at)
  }

  /** All events of a contract so far, by partition and offset: what a stream wrote to it, too. */
  async events<Value>(event: Contract<Value>): Promise<readonly Value[]> {
    const bound = this.#engine.assembly.events.get(event.name)
    if (bound === undefined) throw new RangeError(`event "${event.name}" is not in the topology`)
    const found: Value[] = []
    for await (const { bytes, start, end } of this.#records(event.topic)) {
      found.push(bound.readValue(bytes, start, end) as Value)
    }
    return found
  }

  /** Records that were refused, with the reason. */
  async deadLetters(): Promise<readonly { readonly reason: string; readonly detail: string }[]> {
    const bound = this.#engine.assembly.engine.deadLetter
    const found: { reason: string; detail: string }[] = []
    for await (const { bytes, start, end } of this.#records(bound.contract.topic)) {
      const { reason, detail } = bound.readValue(bytes, start, end) as { reason: string; detail: string }
      found.push({ reason, detail })
    }
    return found
  }

  /** What became of a model's predictions and labels. */
  labels(model: string): LabelCounts {
    return this.#engine.model(model).tally()
  }

  async close(): Promise<void> {
    await this.#engine.close()
  }

  async *#records(topic: string): AsyncGenerator<{ bytes: Buffer; start: number; end: number }> {
    const { log } = this.#engine
    const partitions = (await log.topics()).find(({ name }) => name === topic)?.partitions ?? 0
    for (let partition = 0; partition < partitions; partition++) {
      const { start, end } = await log.offsets(topic, partition)
      for (let offset = start; offset < end; ) {
        const batch = await log.read({ topic, partition, offset, maxBytes: 1 << 20 })
        for (let index = 0; index < batch.count; index++) {
          yield { bytes: batch.bytes, start: batch.valueStart[index]!, end: batch.valueEnd[index]! }
        }
        offset = batch.nextOffset
      }
    }
  }
}

/** Given these events; `when` and `then` follow in the test's own words: `const shop = await givenEvents(topology, [visit, …])`. */
export async function givenEvents(
  topology: Declaration,
  ...given: readonly Given[]
): Promise<TopologyDriver> {
  const driver = await TopologyDriver.start(topology)
  for (const [event, ...values] of given) await driver.append(event as Contract<object>, ...values)
  return driver
}
