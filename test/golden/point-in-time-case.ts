import { days, hours, minutes } from '../../state/contracts/units.ts'

export type Json = unknown
export type Row = Readonly<Record<string, Json>>

export interface PointInTimeCase {
  readonly id: string
  readonly kind: string
  readonly status: string
  readonly semantics: Row
  readonly input: Json
  readonly expected: Json
}

/** "1h", "10m", "4d", "1w". */
export function durationOf(text: string): number {
  const [, count, unit] = /^(\d+)([mhdw])$/.exec(text) ?? []
  if (count === undefined || unit === undefined) throw new RangeError(`"${text}" is not a length of time`)
  const each = { m: minutes(1), h: hours(1), d: days(1), w: days(7) }[unit as 'm' | 'h' | 'd' | 'w']
  return Number(count) * each
}

/** ISO text, or a number of seconds. */
export const timeOf = (at: Json): number => (typeof at === 'number' ? at * 1_000 : Date.parse(String(at)))
