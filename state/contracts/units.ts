/** Milliseconds since the Unix epoch, UTC. Event time unless the name says otherwise. */
export type TimestampMs = number

/** A length of time in milliseconds; never negative. */
export type DurationMs = number

function duration(name: string, count: number, unitMs: number): DurationMs {
  const value = count * unitMs
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${name}(${count}) is not a whole, non-negative number of milliseconds`)
  }
  return value
}

export const milliseconds = (count: number): DurationMs => duration('milliseconds', count, 1)
export const seconds = (count: number): DurationMs => duration('seconds', count, 1_000)
export const minutes = (count: number): DurationMs => duration('minutes', count, 60_000)
export const hours = (count: number): DurationMs => duration('hours', count, 3_600_000)
export const days = (count: number): DurationMs => duration('days', count, 86_400_000)
