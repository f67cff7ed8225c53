import type { FastifyReply, FastifyRequest } from 'fastify'
import { HttpProblem, retryAfter } from './problem.ts'

/** One request from its head to the end of its answer. */
interface Visit {
  timer: NodeJS.Timeout | undefined
  /** The answer is sent, or the caller has gone. */
  isClosed: boolean
  /** The engine is on it. */
  isWorking: boolean
  isCounted: boolean
}

/** They tell how things are when nothing else gets through. */
const uncounted: ReadonlySet<string | undefined> = new Set(['/health', '/ready', '/metrics'])

/**
 * How many requests are worked on at once, and for how long each. A caller
 * that goes away makes room only once the engine is done with what it asked
 * for, or the time for an answer is over: else hanging up would be a way
 * around the limit.
 */
export class Admission {
  readonly #limit: number
  readonly #answerTimeoutMs: number
  readonly #visits = new WeakMap<FastifyRequest, Visit>()
  #count = 0
  #inHand = 0
  #isClosing = false

  constructor(limit: number, answerTimeoutMs: number) {
    this.#limit = limit
    this.#answerTimeoutMs = answerTimeoutMs
  }

  /** Requests whose answer is not sent yet, refused ones included. */
  get inHand(): number {
    return this.#inHand
  }

  /** From here on every request is refused. */
  close(): void {
    this.#isClosing = true
  }

  /**
   * Lets a request in, or says why not. `onTimeout` is called when the time
   * for an answer is over and none is sent.
   */
  enter(request: FastifyRequest, reply: FastifyReply, onTimeout: () => void): HttpProblem | undefined {
    this.#inHand++
    // Unlike the framework's own hooks this comes for every end that an exchange can have.
    reply.raw.once('close', () => {
      this.#inHand--
      const ended = this.#visits.get(request)
      if (ended === undefined) return
      ended.isClosed = true
      this.#leaveIfDone(ended)
    })
    if (this.#isClosing) {
      return new HttpProblem(503, 'door-closing', 'the engine is stopping; ask again when it is back', {
        headers: { ...retryAfter, connection: 'close' },
      })
    }
    if (uncounted.has(request.routeOptions.url)) return undefined
    if (this.#count >= this.#limit) {
      const detail = `${this.#limit} requests are being answered; come again in a second`
      return new HttpProblem(429, 'too-many-requests', detail, {
        expected: `at most ${this.#limit} at once`,
        headers: retryAfter,
      })
    }
    this.#count++
    const visit: Visit = { timer: undefined, isClosed: false, isWorking: false, isCounted: true }
    this.#visits.set(request, visit)
    visit.timer = setTimeout(() => {
      visit.isWorking = false
      if (!visit.isClosed) onTimeout()
      this.#leaveIfDone(visit)
    }, this.#answerTimeoutMs)
    return undefined
  }

  /** Runs the handler of a request that was let in. */
  async work<Answer>(request: FastifyRequest, handler: () => Answer | Promise<Answer>): Promise<Answer> {
    const visit = this.#visits.get(request)
    if (visit === undefined) return await handler()
    visit.isWorking = true
    try {
      return await handler()
    } finally {
      visit.isWorking = false
      this.#leaveIfDone(visit)
    }
  }

  #leaveIfDone(visit: Visit): void {
    if (!visit.isCounted || visit.isWorking || !visit.isClosed) return
    visit.isCounted = false
    clearTimeout(visit.timer)
    this.#count--
  }
}
