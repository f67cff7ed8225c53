import type { Prediction } from '../../models/serving/model-part.ts'
import type { Assembly } from '../../replay/assembly.ts'
import type { BoundContract } from '../../state/contracts/codec.ts'
import type { Log } from '../../state/log/log.ts'
import type { Database, DatabaseWrite } from '../../state/store/database.ts'

const space = '__predictions-by-id'

/**
 * Finds a prediction by its request id: a fold of the predictions topic into
 * (request id, model) → offset, brought up to the end of the topic when
 * somebody asks, so that it costs nothing while nobody does.
 */
export class PredictionIndex {
  readonly #log: Log
  readonly #database: Database
  readonly #predictions: BoundContract<Prediction>
  readonly #partitions: number
  #next: number[] | undefined
  #catchingUp: Promise<void> = Promise.resolve()

  constructor(log: Log, database: Database, { engine, declaration }: Assembly) {
    this.#log = log
    this.#database = database
    this.#predictions = engine.prediction as BoundContract<object> as BoundContract<Prediction>
    this.#partitions = declaration.partitions
  }

  async find(model: string, requestId: string): Promise<Prediction | undefined> {
    this.#catchingUp = this.#catchingUp.catch(() => {}).then(() => this.#catchUp())
    await this.#catchingUp
    const [entry] = await this.#database.getMany(space, [idKey(model, requestId)])
    if (entry === undefined) return undefined
    const [partition = 0, offset = 0] = Buffer.from(entry).toString('latin1').split(':').map(Number)
    const batch = await this.#log.read({
      topic: this.#predictions.contract.topic,
      partition,
      offset: BigInt(offset),
      maxBytes: 1,
      maxRecords: 1,
    })
    if (batch.count === 0) return undefined
    return this.#predictions.readValue(batch.bytes, batch.valueStart[0]!, batch.valueEnd[0]!)
  }

  async #catchUp(): Promise<void> {
    const { topic } = this.#predictions.contract
    this.#next ??= await this.#readPositions()
    for (let partition = 0; partition < this.#partitions; partition++) {
      for (;;) {
        const { start } = await this.#log.offsets(topic, partition)
        const from = Math.max(this.#next[partition] ?? 0, Number(start))
        const batch = await this.#log.read({ topic, partition, offset: BigInt(from), maxBytes: 4 << 20 })
        if (batch.count === 0) break
        const writes: DatabaseWrite[] = []
        for (let index = 0; index < batch.count; index++) {
          const { requestId, model } = this.#predictions.readValue(
            batch.bytes,
            batch.valueStart[index]!,
            batch.valueEnd[index]!,
          )
          const offset = Number(batch.baseOffset) + batch.offsetDeltas[index]!
          writes.push({
            space,
            key: idKey(model, requestId),
            value: Buffer.from(`${partition}:${offset}`, 'latin1'),
          })
        }
        this.#next[partition] = Number(batch.nextOffset)
        writes.push({ space, key: positionsKey, value: Buffer.from(JSON.stringify(this.#next)) })
        await this.#database.write(writes)
      }
    }
  }

  async #readPositions(): Promise<number[]> {
    const [saved] = await this.#database.getMany(space, [positionsKey])
    return saved === undefined ? [] : (JSON.parse(Buffer.from(saved).toString('utf8')) as number[])
  }
}

const positionsKey = Buffer.from('\0positions')
const idKey = (model: string, requestId: string): Buffer => Buffer.from(`${model}\0${requestId}`)
