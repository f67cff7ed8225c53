import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { Join, JoinInput, OperatorContext, StreamRecord } from '../operator.ts'
import { connectJoin, type Emit, type JoinHandlers } from '../stream/connect-stage.ts'
import { requireDuration } from '../stream/declaration-checks.ts'
import { deriveRecord, plainRecord } from '../stream/derive-record.ts'
import { packKey } from '../stream/record-key.ts'

/**
 * How a question was answered.
 *
 * - `answered`: its first answer came.
 * - `replaced`: a newer answer came; `previous` is the one that holds no more.
 * - `unanswered`: its time is over without one.
 */
export type IntervalOutcome<Answer> =
  | { readonly kind: 'answered'; readonly answer: Answer }
  | { readonly kind: 'replaced'; readonly answer: Answer; readonly previous: Answer }
  | { readonly kind: 'unanswered' }

export interface IntervalJoinOptions<Left extends StreamRecord, Right extends StreamRecord, Out> {
  readonly name: string
  /** What names a question within its key, and what names the question of an answer; a request id, say. */
  readonly id: {
    readonly left: (question: Left) => KeyPart
    readonly right: (answer: Right) => KeyPart
  }
  /** How long after its question an answer counts; at the border it does. */
  readonly withinMs: DurationMs
  /** How long after that a result waits for records that come late. */
  readonly graceMs: DurationMs
  readonly unanswered: 'emit' | 'omit'
  readonly value: (
    question: NonNullable<Left['value']>,
    outcome: IntervalOutcome<NonNullable<Right['value']>>,
  ) => Out
}

const stream: JoinInput = { as: 'stream', copartitioned: true }
const questionSide = 0
const answerSide = 1

interface Question {
  readonly record: StreamRecord
  readonly answer?: StreamRecord
}

/**
 * Joins questions, such as predictions, with answers that come later, such as
 * labels: by key and id, where `question <= answer <= question + withinMs` in
 * event time. Of several answers the one with the greatest event time holds,
 * at equal times the one that arrived later; so the last result of a question
 * does not depend on the order of arrival, as long as nothing comes later than
 * `graceMs`.
 *
 * An answer that arrives before its question waits for it for `graceMs`. The
 * event time of a result is the answer's, of an unanswered one the end of its
 * time. A question that comes when its time is over is given as unanswered at
 * once, unless its answer waits. Drops: `null-key`, `null-value`,
 * `repeated-id`, `outside-interval`, `older-than-answer`, `no-question` (an
 * answer that waited in vain), `late-for-join` (one too late to wait).
 *
 * Stores: `<name>-questions`, `<name>-early` `[key, id]`; `<name>-due`
 * `[stream time, side, key, id]`.
 *
 * @throws RangeError for an interval below 1 ms or a negative grace, or none.
 */
export function intervalJoin<Left extends StreamRecord, Right extends StreamRecord, Out>(
  options: IntervalJoinOptions<Left, Right, Out>,
): Join<Left, Right, StreamRecord<Left['key'], Out>> {
  requireDuration('join withinMs', options.withinMs, { least: 1 })
  requireDuration('join graceMs', options.graceMs)
  return {
    name: options.name,
    inputs: { left: stream, right: stream },
    connect: (context) =>
      connectJoin<Left, Right, StreamRecord<Left['key'], Out>>(context, (emit) =>
        handlersOf(context, options, emit),
      ),
  }
}

function handlersOf<Left extends StreamRecord, Right extends StreamRecord, Out>(
  context: OperatorContext,
  options: IntervalJoinOptions<Left, Right, Out>,
  emit: Emit<StreamRecord<Left['key'], Out>>,
): JoinHandlers<Left, Right> {
  type Answer = NonNullable<Right['value']>
  const { name, withinMs, graceMs } = options
  const questions: OrderedStore<Question> = context.store(`${name}-questions`)
  const early: OrderedStore<readonly StreamRecord[]> = context.store(`${name}-early`)
  const due: OrderedStore<true> = context.store(`${name}-due`)

  const give = (
    cause: StreamRecord,
    question: StreamRecord,
    outcome: IntervalOutcome<Answer>,
    atMs: TimestampMs,
  ): void => {
    const value = options.value(question.value as NonNullable<Left['value']>, outcome)
    emit(deriveRecord(cause, question.key as Left['key'], value, atMs, question.headers))
  }
  const giveUnanswered = (question: StreamRecord): void => {
    if (options.unanswered === 'emit')
      give(question, question, { kind: 'unanswered' }, question.timestampMs + withinMs)
  }

  const release = (nowMs: TimestampMs): void => {
    for (const [at] of due.range(undefined, [nowMs])) {
      const [, side, key, id] = at as [TimestampMs, number, KeyPart, KeyPart]
      due.delete(at)
      if (side === questionSide) {
        const question = questions.get([key, id])
        questions.delete([key, id])
        if (question !== undefined && question.answer === undefined) giveUnanswered(question.record)
        continue
      }
      const waiting = early.get([key, id]) ?? []
      const still = waiting.filter((answer) => answer.timestampMs + graceMs >= nowMs)
      for (const record of waiting) {
        if (!still.includes(record)) context.drop({ operator: name, reason: 'no-question', record })
      }
      if (still.length === 0) early.delete([key, id])
      else early.put([key, id], still)
    }
  }

  /** False, and counted, for a record that joins nothing. */
  const isJoinable = (record: StreamRecord): boolean => {
    if (record.key !== null && record.key !== undefined && record.value !== null) return true
    const reason = record.value === null ? 'null-value' : 'null-key'
    context.drop({ operator: name, reason, record })
    return false
  }

  /** The question with the answer, where it is one. */
  const answered = (question: Question, answer: StreamRecord): Question => {
    const { record, answer: previous } = question
    const afterMs = answer.timestampMs - record.timestampMs
    if (afterMs < 0 || afterMs > withinMs) {
      context.drop({ operator: name, reason: 'outside-interval', record: answer })
      return question
    }
    if (previous !== undefined && answer.timestampMs < previous.timestampMs) {
      context.drop({ operator: name, reason: 'older-than-answer', record: answer })
      return question
    }
    const value = answer.value as Answer
    const outcome: IntervalOutcome<Answer> =
      previous === undefined
        ? { kind: 'answered', answer: value }
        : { kind: 'replaced', answer: value, previous: previous.value as Answer }
    give(answer, record, outcome, answer.timestampMs)
    return { record, answer: plainRecord(answer) }
  }

  return {
    left(record) {
      release(context.streamTimeMs)
      if (!isJoinable(record)) return
      const at = [packKey(record.key), options.id.left(record)] as const
      if (questions.get(at) !== undefined) {
        context.drop({ operator: name, reason: 'repeated-id', record })
        return
      }
      const dueMs = record.timestampMs + withinMs + graceMs
      let question: Question = { record: plainRecord(record) }
      for (const answer of early.get(at) ?? []) question = answered(question, answer)
      early.delete(at)
      const latenessMs = context.streamTimeMs - dueMs
      if (latenessMs > 0) {
        if (question.answer === undefined) giveUnanswered(question.record)
        return
      }
      questions.put(at, question)
      due.put([dueMs, questionSide, ...at], true)
    },
    right(record) {
      release(context.streamTimeMs)
      if (!isJoinable(record)) return
      const at = [packKey(record.key), options.id.right(record)] as const
      const question = questions.get(at)
      if (question !== undefined) {
        const after = answered(question, record)
        if (after !== question) questions.put(at, after)
        return
      }
      const dueMs = record.timestampMs + graceMs
      if (dueMs < context.streamTimeMs) {
        const latenessMs = context.streamTimeMs - dueMs
        context.drop({ operator: name, reason: 'late-for-join', record, latenessMs })
        return
      }
      early.put(at, [...(early.get(at) ?? []), plainRecord(record)])
      due.put([dueMs, answerSide, ...at], true)
    },
    streamTime: release,
  }
}
