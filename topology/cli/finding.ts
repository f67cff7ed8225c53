/** What a doctor says about one thing. */
export interface Finding {
  readonly area: 'brokers' | 'tasks' | 'topics' | 'permissions' | 'co-partitioning' | 'registry' | 'clock'
  readonly status: 'ok' | 'warning' | 'failed' | 'skipped'
  /** What was found. */
  readonly found: string
  /** What to do about it; present where something is to be done. */
  readonly advice?: string
}

export const skipped = (area: Finding['area'], found: string): Finding => ({ area, status: 'skipped', found })
export const ok = (area: Finding['area'], found: string): Finding => ({ area, status: 'ok', found })
