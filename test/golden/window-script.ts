import type { StreamRecord } from '../../processors/operator.ts'
import type { DriverGraph, DriverRecord, LatenessSummary } from '../../processors/stream/stream-driver.ts'

export type Json = unknown

/** An event or a result as the cases write it; which fields are there depends on the case. */
export interface CaseRow {
  readonly k?: string | number
  readonly v?: Json
  readonly t?: number
  readonly start?: number
  readonly end?: number
}

export interface CaseStep {
  readonly input?: readonly CaseRow[]
  readonly side?: 'left' | 'right'
  readonly records?: readonly CaseRow[]
  readonly left?: readonly CaseRow[]
  readonly right?: readonly CaseRow[]
  readonly table?: readonly CaseRow[]
  readonly stream?: readonly CaseRow[]
  readonly table_deletes?: readonly (string | number)[]
  readonly watermark?: number
  readonly expected?: readonly CaseRow[]
  readonly expected_so_far?: readonly CaseRow[]
  readonly emit_on_update?: readonly CaseRow[]
  readonly emit_on_close?: readonly CaseRow[]
  readonly updated?: readonly CaseRow[]
  readonly closed?: readonly CaseRow[]
  readonly raw?: readonly CaseRow[]
  readonly suppressed?: readonly CaseRow[]
}

/** One event of a table of rows, with what came out after it. */
export interface CaseEvent extends Omit<CaseRow, 'k'> {
  readonly k?: string
  readonly updated?: Json
  readonly closed?: Json
}

export interface CaseWindow {
  readonly kind: string
  readonly size?: number
  readonly advance?: number
  readonly time_difference?: number
  readonly gap?: number
  readonly grace?: number
  readonly allowed_lateness?: number
  readonly closing?: 'partition' | 'key'
  readonly trigger?: string
  readonly count?: number
  readonly step?: number
}

export interface WindowCase {
  readonly id: string
  readonly project: string
  readonly window?: CaseWindow
  readonly agg?: string
  readonly topology?: string
  readonly order?: string
  readonly input?: readonly CaseRow[]
  readonly steps?: readonly CaseStep[]
  readonly rows?: readonly CaseEvent[]
  readonly expected?: Readonly<Record<string, Json>>
  readonly join?: {
    readonly kind: string
    readonly before?: number
    readonly after?: number
    readonly backward?: number
    readonly forward?: number
    readonly grace?: number
  }
  readonly timer?: { readonly type: string; readonly interval: number }
  readonly input_timestamps?: readonly number[]
  readonly partitions?: Readonly<Record<string, readonly number[]>>
  readonly sleep?: readonly number[]
  readonly store?: { readonly history_retention: number }
  readonly puts?: readonly {
    readonly v: Json
    readonly t: number
    readonly returns_valid_to?: number | 'inf'
  }[]
  readonly gets?: readonly {
    readonly as_of: number
    readonly value: Json
    readonly valid_from?: number
    readonly valid_to?: number | 'inf'
  }[]
  readonly latest?: { readonly value: Json; readonly t: number }
}

export interface Totals {
  /** Records that the counted operator left out. */
  readonly drops: number
  readonly lateness: LatenessSummary
}

export type Action =
  | { readonly kind: 'pipe'; readonly input: string; readonly record: DriverRecord }
  | {
      readonly kind: 'check'
      readonly expected: Json
      /** `outputs`: what came out since the last check. */
      readonly got: (outputs: Readonly<Record<string, readonly StreamRecord[]>>, totals: Totals) => Json
    }

/** A case as a graph and what happens to it. */
export interface Script {
  readonly build: (graph: DriverGraph) => void
  readonly outputs: readonly string[]
  /** The operator whose drops count. */
  readonly counted?: string
  readonly actions: readonly Action[]
}

/** Keys are text in the cases' inputs and numbers in some of their results. */
export const keyOf = (key: unknown): string => String(key)

export const pipe = (input: string, { k = 'key', v = null, t = 0 }: CaseRow): Action => ({
  kind: 'pipe',
  input,
  record: { key: keyOf(k), value: v, timestampMs: t },
})

/** Only the fields that the expected rows have, so that each case says what it looks at. */
export function likeExpected(expected: readonly CaseRow[], rows: readonly CaseRow[]): Json[] {
  const [first] = expected
  if (first === undefined) return [...rows]
  return rows.map((row) => picked(row, Object.keys(first) as (keyof CaseRow)[]))
}

const picked = (row: CaseRow, fields: readonly (keyof CaseRow)[]): Json =>
  Object.fromEntries(fields.map((field) => [field, row[field]]))

export const withTextKeys = (rows: readonly CaseRow[]): CaseRow[] =>
  rows.map((row) => (row.k === undefined ? row : { ...row, k: keyOf(row.k) }))

/** Rows in an order that depends on them alone. */
export const asSet = (rows: readonly Json[]): Json[] =>
  rows
    .map((row) => JSON.stringify(sortedFields(row)))
    .sort()
    .map((text) => JSON.parse(text))

function sortedFields(row: Json): Json {
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return row
  return Object.fromEntries(Object.entries(row).sort(([left], [right]) => (left < right ? -1 : 1)))
}
