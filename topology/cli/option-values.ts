import { CliError } from './cli-error.ts'

/** Text of an option as a time: ISO 8601 or milliseconds since 1970. */
export function timeOf(option: string, text: string): number {
  const ms = parseTime(text)
  if (Number.isFinite(ms)) return ms
  throw new CliError(
    `${option} takes a time as 2024-05-01, 2024-05-01T12:00:00Z or milliseconds, got "${text}"`,
  )
}

const parseTime = (text: string): number =>
  /^-?\d+$/.test(text) && text.length !== 4 ? Number(text) : Date.parse(text)

export const isTime = (text: string): boolean => Number.isFinite(parseTime(text))

const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/** Text of an option as a duration of at least so many ms: a number and its unit. */
export function durationOf(option: string, text: string, leastMs = 0): number {
  const [, amount = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/.exec(text) ?? []
  const ms = Math.round(Number(amount) * (unitsMs[unit] ?? Number.NaN))
  if (ms >= leastMs) return ms
  throw new CliError(`${option} takes a number and one of ms, s, m, h, d, w, as 12h or 7d; got "${text}"`)
}

/** Text of an option as numbers by number: `0=0.1,1=1`. */
export function numbersByNumber(option: string, text: string): ReadonlyMap<number, number> {
  const entries = text
    .split(',')
    .map((pair) => pair.split('=').map((part) => (part.trim() === '' ? Number.NaN : Number(part))))
  if (entries.every((entry) => entry.length === 2 && entry.every(Number.isFinite))) {
    return new Map(entries as [number, number][])
  }
  throw new CliError(`${option} takes label=number, several with commas, as 0=0.1; got "${text}"`)
}

/** Text of an option as names by name: `userId=customer`. */
export function namesByName(option: string, text: string): Readonly<Record<string, string>> {
  const entries = text.split(',').map((pair) => pair.split('=').map((part) => part.trim()))
  if (entries.every((entry) => entry.length === 2 && entry.every((part) => part !== ''))) {
    return Object.fromEntries(entries)
  }
  throw new CliError(`${option} takes name=column, several with commas; got "${text}"`)
}
