import { ColumnSketch } from '../models/drift/column-sketch.ts'
import { SeededGenerator } from '../models/policy/seeded-generator.ts'
import type { TimeRange } from './decision-reader.ts'

/** What is watched of a model, in the order of the report: its features, then these. */
export const outcomeSubjects = ['output', 'label', 'error'] as const

/** Names of everything watched of a model with these columns. */
export const subjectsOf = (columns: readonly string[]): string[] => [
  ...columns.map((column) => `feature ${column}`),
  ...outcomeSubjects,
]

/** A slice of the log: a sketch of each subject. */
export class DriftSlice {
  readonly range: TimeRange
  readonly sketches: readonly ColumnSketch[]
  predictions = 0
  labels = 0

  constructor(range: TimeRange, subjects: number, options: { sampleSize: number; seed: number }) {
    this.range = range
    const generator = SeededGenerator.of(options.seed)
    this.sketches = Array.from({ length: subjects }, () => new ColumnSketch(options.sampleSize, generator))
  }
}
