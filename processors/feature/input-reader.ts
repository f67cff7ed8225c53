import type { FeatureInput } from './feature.ts'

/** Reads one number from an event; NaN where there is none. */
export type InputReader = (event: object) => number

/**
 * Compiles an input. A field gets a function of its own, so that the property
 * access is one inline-cached load instead of a lookup by name.
 */
export function inputReader(
  input: FeatureInput<never> | undefined,
  where: ((event: never) => boolean) | undefined,
): InputReader {
  const read: (event: never) => unknown =
    input === undefined ? () => 1 : typeof input === 'string' ? fieldReader(input) : input
  if (where === undefined) return (event) => numberOf(read(event as never))
  return (event) => (where(event as never) ? numberOf(read(event as never)) : Number.NaN)
}

/** A getter of one field, monomorphic by construction. */
export function fieldReader(field: string): (event: object) => unknown {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(field)) throw new RangeError(`"${field}" is not a field name`)
  return new Function('event', `return event.${field}`) as (event: object) => unknown
}

/** null, undefined, NaN and infinities are no value; a boolean counts as 0 or 1. */
function numberOf(value: unknown): number {
  if (typeof value === 'number') return value - value === 0 ? value : Number.NaN
  if (typeof value === 'boolean') return value ? 1 : 0
  if (typeof value === 'bigint') return Number(value)
  return Number.NaN
}
