/** What became of a golden case. */
export interface CaseResult {
  readonly id: string
  /** `not-applicable`: the engine has nothing that the case could be run with; `reason` says what. */
  readonly status: 'passed' | 'failed' | 'not-applicable'
  readonly expected: unknown
  readonly got: unknown
  readonly reason?: string
}
