import type { DeclaredExpectation, ValueType } from './expectation.ts'

/** True where a value is as expected. */
export type RowCheck = (value: unknown) => boolean

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const ofType: { readonly [Type in ValueType]: RowCheck } = {
  number: (value) => typeof value === 'bigint' || (typeof value === 'number' && value - value === 0),
  integer: (value) => typeof value === 'bigint' || Number.isInteger(value),
  text: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
  'number-text': (value) =>
    typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value)),
  'time-text': (value) => typeof value === 'string' && Number.isFinite(Date.parse(value)),
  uuid: (value) => typeof value === 'string' && uuid.test(value),
}

/** Makes the predicate of an expectation about rows. Null and undefined pass all but `notNull`; NaN is no number. */
export function rowCheck({ spec }: DeclaredExpectation): RowCheck {
  if ('notNull' in spec) return (value) => value !== null && value !== undefined
  const check = checkOf(spec)
  return (value) => value === null || value === undefined || check(value)
}

function checkOf(spec: DeclaredExpectation['spec']): RowCheck {
  if ('type' in spec) return ofType[spec.type]
  if ('range' in spec) {
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = spec.range
    return (value) => {
      const number = typeof value === 'bigint' ? Number(value) : value
      return typeof number === 'number' && number >= min && number <= max
    }
  }
  if ('matches' in spec) {
    const { matches } = spec
    return (value) => matches.test(String(value))
  }
  if ('oneOf' in spec) {
    const allowed = new Set<unknown>(spec.oneOf)
    return (value) => allowed.has(typeof value === 'bigint' ? Number(value) : value)
  }
  throw new RangeError(`"${Object.keys(spec).join(', ')}" is not judged for rows`)
}

/** A value for a message, cut to a length that fits one. */
export function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}
