import type { DurationMs } from '../../state/contracts/units.ts'

/**
 * Checks of declarations: a wrong length of time is found when the topology is
 * declared, not when the first window should close.
 *
 * @throws RangeError that names the setting, what was found and what was expected.
 */
export function requireDuration(
  what: string,
  found: DurationMs,
  { least = 0, most }: { readonly least?: number; readonly most?: number } = {},
): DurationMs {
  if (!Number.isSafeInteger(found) || found < least || (most !== undefined && found > most)) {
    const upper = most === undefined ? '' : ` and at most ${most}`
    throw new RangeError(
      `${what} is ${found}, expected a whole number of milliseconds of at least ${least}${upper}`,
    )
  }
  return found
}

/** @throws RangeError unless `found` is a whole number of at least `least`. */
export function requireCount(what: string, found: number, least = 1, most?: number): number {
  if (!Number.isSafeInteger(found) || found < least || (most !== undefined && found > most)) {
    const upper = most === undefined ? '' : ` and at most ${most}`
    throw new RangeError(`${what} is ${found}, expected a whole number of at least ${least}${upper}`)
  }
  return found
}
