import type { CompatibilityMode, Incompatibility } from './compatibility.ts'
import { EngineError } from './engine-error.ts'

/** Throws `contract-incompatible` with the first problem, saying which more there are; returns if there is none. */
export function refuse(subject: string, mode: CompatibilityMode, problems: readonly Incompatibility[]): void {
  const [first, ...others] = problems
  if (!first) return
  const names = others.map(({ field }) => field).join(', ')
  const more = others.length === 0 ? '' : `; and ${others.length} more: ${names}`
  const { field, rule, detail } = first
  throw new EngineError('contract-incompatible', { subject, mode, rule, field, detail: `${detail}${more}` })
}
