import type { Model } from '../../models/model.ts'
import type { Prediction } from '../../models/serving/model-part.ts'
import type { StreamRecord } from '../../processors/operator.ts'
import type { RequestPlace } from '../../processors/task.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'

interface Waiting {
  readonly model: Model
  readonly requestId: string
  resolve(prediction: Prediction): void
  reject(error: unknown): void
  /** Where the request lies on the log, and the last batch that had begun before; unknown until it is there. */
  place?: RequestPlace & { readonly batch: number }
}

/**
 * Callers that wait for a prediction. They are answered when what answers
 * them is durable, and told when nothing will.
 */
export class PendingRequests {
  readonly #waiting = new Map<string, Waiting>()
  /** Since the last commit. */
  #made: Prediction[] = []
  #refused: { readonly record: StreamRecord; readonly detail: string }[] = []

  /** Notes a prediction of the batch in hand. */
  made(prediction: Prediction): void {
    this.#made.push(prediction)
  }

  /** Notes a record of the batch in hand that became a dead letter. */
  refused(record: StreamRecord, detail: string): void {
    this.#refused.push({ record, detail })
  }

  /** Forgets what was noted: nobody waits for what a recovery meets. */
  clearNotes(): void {
    this.#made = []
    this.#refused = []
  }

  /**
   * Asks with `append`, which puts the request on the log, and resolves to its
   * answer once that is durable. `begun` tells how many batches have begun.
   *
   * @throws EngineError request-repeated, prediction-failed, and what `append` throws
   */
  async ask(
    model: Model,
    requestId: string,
    append: () => Promise<RequestPlace>,
    begun: () => number,
  ): Promise<Prediction> {
    const id = `${model.name}\0${requestId}`
    if (this.#waiting.has(id)) throw new EngineError('request-repeated', { model: model.name, requestId })
    const answer = new Promise<Prediction>((resolve, reject) => {
      this.#waiting.set(id, { model, requestId, resolve, reject })
    })
    answer.catch(() => {})
    try {
      const place = await append()
      const waiting = this.#waiting.get(id)
      if (waiting !== undefined) waiting.place = { ...place, batch: begun() }
    } catch (error) {
      // Nothing was asked, so the same request id may ask again.
      this.#waiting.delete(id)
      throw error
    }
    return answer
  }

  /** Requests that were on the log before the given batch began, and that it did not get to. */
  overdue(batch: number): readonly RequestPlace[] {
    return [...this.#waiting.values()].flatMap(({ place }) =>
      place !== undefined && place.batch < batch ? [place] : [],
    )
  }

  /** Settles what the batch in hand decided, when its commit is durable. */
  settle(durable: Promise<void>): void {
    const settled = [...this.#answers(), ...this.#failures()]
    this.clearNotes()
    if (settled.length === 0) return
    durable.then(
      () => {
        for (const { settle } of settled) settle()
      },
      (error) => {
        for (const { waiting } of settled) waiting.reject(error)
      },
    )
  }

  /** Nobody answers for models that are gone. */
  rejectOthers(models: ReadonlyMap<string, unknown>): void {
    for (const [id, { model, reject }] of this.#waiting) {
      if (models.has(model.name)) continue
      this.#waiting.delete(id)
      reject(new EngineError('model-unknown', { model: model.name, known: [...models.keys()] }))
    }
  }

  rejectAll(error: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }

  *#answers() {
    if (this.#waiting.size === 0) return
    for (const prediction of this.#made) {
      const waiting = this.#take(`${prediction.model}\0${prediction.requestId}`)
      if (waiting) yield { waiting, settle: () => waiting.resolve(prediction) }
    }
  }

  *#failures() {
    for (const { record, detail } of this.#refused) {
      for (const [id, { model, requestId, reject }] of this.#waiting) {
        if (record.topic !== model.trigger.topic) continue
        if (String((record.value as Record<string, unknown>)[model.label.join]) !== requestId) continue
        const waiting = this.#take(id)!
        const error = new EngineError('prediction-failed', { model: model.name, requestId, detail })
        yield { waiting, settle: () => reject(error) }
      }
    }
  }

  #take(id: string): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting
  }
}
