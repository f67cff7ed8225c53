import type { RangeEdge, ReplayRange } from '../../replay/replay-range.ts'
import { CliError } from './cli-error.ts'
import { isTime, timeOf } from './option-values.ts'

/** Text of an option as a place of the log: a time, a record or a commit. */
function edgeOf(option: string, text: string): RangeEdge {
  const [, sequence] = /^#(\d+)$/.exec(text) ?? []
  if (sequence !== undefined) return { kind: 'commit', sequence: Number(sequence) }
  const [, topic, partition, offset] = /^([^[\]]+)\[(\d+)\]:(\d+)$/.exec(text) ?? []
  if (topic !== undefined) {
    return { kind: 'record', topic, partition: Number(partition), offset: Number(offset) }
  }
  if (!/[#[\]]/.test(text) && isTime(text)) return { kind: 'time', atMs: timeOf(option, text) }
  throw new CliError(`${option} takes ${expectedOf(text)}; got "${text}"`)
}

/** What the text seems to be meant as, in full where it is not clear. */
function expectedOf(text: string): string {
  if (text.startsWith('#')) return 'a commit as # and its number, as "#1234"'
  if (/[[\]]/.test(text)) return 'a record as topic[partition]:offset, as "ratings[0]:500"'
  return 'a time as 2024-05-01, 2024-05-01T12:00:00Z or milliseconds, a record as "ratings[0]:500", or a commit as "#1234"'
}

/** What `--from` and `--to` say, with another prefix where there are two ranges: `reference-`. */
export function rangeOption(
  { from, to }: { readonly from?: string | undefined; readonly to?: string | undefined },
  prefix = '',
): ReplayRange {
  const range: ReplayRange = {
    ...(from === undefined ? {} : { from: edgeOf(`--${prefix}from`, from) }),
    ...(to === undefined ? {} : { to: edgeOf(`--${prefix}to`, to) }),
  }
  if (isEmpty(range)) {
    throw new CliError(
      `--${prefix}from must be before --${prefix}to: a range has to begin before it ends, got ${from} to ${to}`,
    )
  }
  return range
}

function isEmpty({ from, to }: ReplayRange): boolean {
  if (from?.kind === 'time' && to?.kind === 'time') return from.atMs >= to.atMs
  if (from?.kind === 'commit' && to?.kind === 'commit') return from.sequence >= to.sequence
  if (from?.kind !== 'record' || to?.kind !== 'record') return false
  return from.topic === to.topic && from.partition === to.partition && from.offset >= to.offset
}
