import type { CaseResult } from './case-result.ts'

/** One entry of a file of expected results, addressed by its place in the file. */
export interface GoldenCase {
  /** Section and position, as `learners/3`. */
  readonly id: string
  /** What kind of thing it is of; picks the runner. */
  readonly family: string
  readonly title: string
  readonly body: Readonly<Record<string, unknown>>
  /** The streams that the case's file describes, by name. */
  readonly streams?: Readonly<Record<string, unknown>>
}

/** What became of a case, without its id; the reason is empty when it passed. */
export type Verdict = Omit<CaseResult, 'id'>

export interface CaseOptions {
  /** Stop in the middle, keep only a snapshot and the saved pages, and go on with a learner built anew. */
  readonly restart?: boolean
}

/** `dataFolder` holds the data sets that the cases name. */
export type CaseRunner = (goldenCase: GoldenCase, dataFolder: string, options?: CaseOptions) => Verdict

export function notApplicable(reason: string, expected: unknown = null): Verdict {
  return { status: 'not-applicable', expected, got: null, reason }
}

/**
 * Passed where every number of `expected` is met by the one at the same place
 * in `got`, to `tolerance` times the larger of 1 and the number, and all else
 * is equal. What only `got` holds is not looked at.
 */
export function judge(expected: unknown, got: unknown, tolerance: number): Verdict {
  const misses = [...missesOf(expected, got, tolerance, '')]
  return {
    status: misses.length === 0 ? 'passed' : 'failed',
    expected,
    got,
    reason: misses.slice(0, 5).join('; '),
  }
}

function* missesOf(expected: unknown, got: unknown, tolerance: number, path: string): Generator<string> {
  if (typeof expected === 'number') {
    const close =
      typeof got === 'number' && Math.abs(expected - got) <= tolerance * Math.max(1, Math.abs(expected))
    if (!close) yield `${path} is ${String(got)}, expected ${expected} within ${tolerance}`
  } else if (typeof expected === 'object' && expected !== null) {
    const values = typeof got === 'object' && got !== null ? (got as Record<string, unknown>) : {}
    for (const [key, value] of Object.entries(expected)) {
      yield* missesOf(value, values[key], tolerance, path === '' ? key : `${path}.${key}`)
    }
  } else if (expected !== got) {
    yield `${path} is ${String(got)}, expected ${String(expected)}`
  }
}
