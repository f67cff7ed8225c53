import { listedAggregates, listedOf } from './aggregate-list.ts'

/** One test of the law suite, as a run of it tells. */
export interface LawTest {
  /** `aggregate <name> …`, as the suite says it. */
  readonly suite: string
  readonly title: string
  readonly isPassed: boolean
}

/**
 * What a cell says: every test of the law passed, one failed, the aggregate
 * does not promise it, or nothing tested what it promises.
 */
export type Verdict = 'holds' | 'broken' | 'not promised' | 'untested'

export interface LawRow {
  readonly aggregate: string
  readonly laws: Readonly<Record<Law, Verdict>>
  /** Largest relative error of a sketch; absent: exact. */
  readonly relativeError?: number
}

export type Law = (typeof lawNames)[number]

/** The laws in the order of the table's columns. */
export const lawNames = [
  'neutral',
  'associative',
  'fold = merge',
  'any order',
  'invertible',
  'save/restore',
  'oracle',
] as const

/** Which tests of the suite a law is. */
const testsOf: Readonly<Record<Law, RegExp>> = {
  neutral: /^an initial (row|state) is the neutral element/,
  associative: /merging is associative/,
  'fold = merge': /^a fold is the merge of/,
  'any order': /^the order of events and of merges does not matter/,
  invertible: /^remove undoes add/,
  'save/restore': /^a state that was saved and restored/,
  oracle: /^answers as the oracle does/,
}

/** Every listed aggregate against every law, of the tests of one run. */
export function lawTable(tests: readonly LawTest[]): readonly LawRow[] {
  return listedAggregates.map(({ name, aggregate: { laws } }) => {
    const own = tests.filter(({ suite }) => listedOf(suite.split(' ')[1] ?? '')?.name === name)
    const promised: Readonly<Partial<Record<Law, boolean>>> = {
      'any order': laws.orderInsensitive,
      invertible: laws.invertible,
    }
    const verdictOf = (law: Law): Verdict => {
      const found = own.filter(({ title }) => testsOf[law].test(title))
      if (found.length === 0) return promised[law] === false ? 'not promised' : 'untested'
      return found.every(({ isPassed }) => isPassed) ? 'holds' : 'broken'
    }
    return {
      aggregate: name,
      laws: Object.fromEntries(lawNames.map((law) => [law, verdictOf(law)])) as Record<Law, Verdict>,
      ...(laws.relativeError === undefined ? {} : { relativeError: laws.relativeError }),
    }
  })
}

const marks: Readonly<Record<Verdict, string>> = {
  holds: 'yes',
  broken: 'BROKEN',
  'not promised': '-',
  untested: 'UNTESTED',
}

/** The table as text; a sketch's oracle is met within its bound. */
export function lawTableText(rows: readonly LawRow[]): string {
  const cells = [
    ['aggregate', ...lawNames, 'within'],
    ...rows.map(({ aggregate, laws, relativeError }) => [
      aggregate,
      ...lawNames.map((law) => marks[laws[law]]),
      relativeError === undefined ? 'exact' : `${(100 * relativeError).toFixed(1)} %`,
    ]),
  ]
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
