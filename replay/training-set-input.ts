import type { Contract } from '../state/contracts/contract.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import { type SchemaNode, valueClass, withoutNull } from '../state/contracts/schema-node.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import { fieldNode } from './training-set-views.ts'

export type TimeUnit = 's' | 'ms' | 'us' | 'ns'

/** What the rows of a label file were like. Every row is written, whatever is wrong with it. */
export interface InputTally {
  rows: number
  /** Without a key: a null key matches nothing. */
  nullKey: number
  /** With a key that is no value of its field. */
  unreadableKey: number
  /** Without a time: all features are null. */
  nullTime: number
  unreadableTime: number
  /** With a time before the first event of the log. */
  beforeLog: number
  /** With a time after the last event of the log: features are as of then, events of the time between are not there. */
  afterLog: number
  /** Whose features are those of an entity that never had an event. */
  unknownEntity: number
  /** For which a function of the model threw. */
  functionFailed: number
  /** Events that came later than rows wait for: rows of their time do not see them. */
  lateRecords: number
  /** Least and greatest time of the rows, and the first of the log; infinite where there is none. */
  firstMs: TimestampMs
  lastMs: TimestampMs
  firstEventMs: TimestampMs
}

export const newInputTally = (): InputTally => ({
  rows: 0,
  nullKey: 0,
  unreadableKey: 0,
  nullTime: 0,
  unreadableTime: 0,
  beforeLog: 0,
  afterLog: 0,
  unknownEntity: 0,
  functionFailed: 0,
  lateRecords: 0,
  firstMs: Number.POSITIVE_INFINITY,
  lastMs: Number.NEGATIVE_INFINITY,
  firstEventMs: Number.POSITIVE_INFINITY,
})

const msPer: Readonly<Record<TimeUnit, number>> = { s: 1_000, ms: 1, us: 1e-3, ns: 1e-6 }

/**
 * Reads a time in ms since 1970: a number or digits in the unit, or ISO 8601
 * text, in UTC where it names no zone. Answers with why where it cannot.
 */
export function timeReader(unit: TimeUnit = 'ms'): (value: unknown) => TimestampMs | 'null' | 'unreadable' {
  const factor = msPer[unit]
  const ofNumber = (value: number) => (Number.isFinite(value) ? value * factor : 'unreadable')
  return (value) => {
    if (value === null || value === undefined || value === '') return 'null'
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'unreadable' : value.getTime()
    if (typeof value === 'number' || typeof value === 'bigint') return ofNumber(Number(value))
    if (typeof value !== 'string') return 'unreadable'
    const plainMs = plainTimeOf(value)
    if (plainMs !== undefined) return plainMs
    if (/^-?\d+(\.\d+)?$/.test(value) && value.length !== 4) return ofNumber(Number(value))
    const text = value.replace(' ', 'T')
    const hasZone = /(Z|[+-]\d\d:?\d\d)$/i.test(text) || !text.includes('T')
    const ms = Date.parse(hasZone ? text : `${text}Z`)
    return Number.isNaN(ms) ? 'unreadable' : ms
  }
}

/** `2026-07-31T23:59:59`, with a blank or a T and with or without a Z, as most files write times: in a tenth of the time. */
function plainTimeOf(text: string): TimestampMs | undefined {
  const isPlain =
    (text.length === 19 || (text.length === 20 && text[19] === 'Z')) &&
    text[4] === '-' &&
    text[7] === '-' &&
    (text[10] === 'T' || text[10] === ' ') &&
    text[13] === ':' &&
    text[16] === ':'
  if (!isPlain) return undefined
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2)
  const month = twoDigits(text, 5)
  const day = twoDigits(text, 8)
  const hour = twoDigits(text, 11)
  const minute = twoDigits(text, 14)
  const second = twoDigits(text, 17)
  // Days that not every month has, and years that Date.UTC takes for others, are the parser's.
  const isCertain =
    year >= 100 &&
    month >= 1 &&
    month <= 12 &&
    day >= 1 &&
    day <= 28 &&
    hour < 24 &&
    minute < 60 &&
    second < 60
  return isCertain ? Date.UTC(year, month - 1, day, hour, minute, second) : undefined
}

/** NaN where they are no digits. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 48
  const ones = text.charCodeAt(at + 1) - 48
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN
}

/** Reads what a file holds as a value of an event's field: the same key, whatever wrote it. undefined: it is none. */
export function keyReader(contract: Contract, field: string): (value: unknown) => unknown {
  const node = fieldNode(contract, field)
  return node === undefined ? (value) => value : valueReader(node)
}

function valueReader(node: SchemaNode): (value: unknown) => unknown {
  if (node.kind === 'array') {
    const ofItem = valueReader(withoutNull(node.items))
    return (value) => {
      const items = Array.isArray(value) ? value : String(value).split('|')
      const read = items.map(ofItem)
      return read.includes(undefined) ? undefined : read
    }
  }
  switch (valueClass(node)) {
    case 'number':
      return (value) => {
        const number = typeof value === 'string' && value.trim() === '' ? Number.NaN : Number(value)
        return Number.isFinite(number) ? number : undefined
      }
    case 'bigint':
      return (value) => {
        if (typeof value === 'bigint') return value
        if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined
        return /^-?\d{1,19}$/.test(String(value)) ? BigInt(String(value)) : undefined
      }
    case 'boolean':
      return (value) =>
        value === true || value === 'true' ? true : value === false || value === 'false' ? false : undefined
    default:
      return (value) => (typeof value === 'object' ? undefined : String(value))
  }
}

/**
 * An error where the times lie so far from the log's that they are in another
 * unit: seconds, microseconds or nanoseconds taken for milliseconds.
 */
export function unitDoubt(tally: InputTally): EngineError<'training-set-refused'> | undefined {
  const { firstMs, lastMs, firstEventMs } = tally
  if (!Number.isFinite(firstMs) || !Number.isFinite(firstEventMs)) return undefined
  const isNear = (ms: number) => ms > firstEventMs / 3 && ms < firstEventMs * 3
  if (isNear(firstMs) || isNear(lastMs)) return undefined
  const likely = (['s', 'us', 'ns'] as const).find(
    (unit) => isNear(firstMs * msPer[unit]) && isNear(lastMs * msPer[unit]),
  )
  if (likely === undefined) return undefined
  return new EngineError('training-set-refused', {
    found: `the times of the rows are ${firstMs} to ${lastMs} as milliseconds, the log begins at ${firstEventMs}`,
    expected: `they look like ${{ s: 'seconds', us: 'microseconds', ns: 'nanoseconds' }[likely]}: give timeUnit "${likely}" (--time-unit ${likely}), or "ms" if they are right`,
  })
}
