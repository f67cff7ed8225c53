/**
 * A measure of predictions against labels, as a fold: one implementation
 * answers while a stream runs (test-then-train) and over a finished set.
 *
 * Laws, checked for every metric by `test/conformance/metric.suite.ts`: adding
 * a list equals merging the folds of its two halves (up to rounding), a saved
 * and restored fold goes on with the same bits, and a fresh fold has no value.
 */
export interface Metric {
  /** Kind and parameters. */
  readonly name: string
  /** Which values are good; `one` is best at 1, as a calibration ratio. */
  readonly better: 'higher' | 'lower' | 'one'
  start(): MetricFold
}

/** The state of a metric: a list of doubles that can be saved anywhere. */
export interface MetricFold {
  /**
   * `prediction` is a probability, a value or a class, as the metric says.
   * `weight` is 1 unless given. NaN in any of them makes the value NaN: it
   * is a defect to be seen, not to be hidden.
   */
  add(label: number, prediction: number, weight?: number): void
  /** NaN where it is undefined, as before the first example. */
  value(): number
  /** Takes in the fold of other examples, which it leaves alone. */
  merge(other: MetricFold): void
  /** The state, copied. */
  save(): Float64Array
  /** Takes the place of the state by a saved one. */
  restore(saved: Float64Array): void
}

/** The metric over a finished set. */
export function evaluate(
  metric: Metric,
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  if (labels.length !== predictions.length || (weights && weights.length !== labels.length)) {
    throw new RangeError(`${labels.length} labels do not match ${predictions.length} predictions`)
  }
  const fold = metric.start()
  for (let index = 0; index < labels.length; index++) {
    fold.add(labels[index]!, predictions[index]!, weights ? weights[index]! : 1)
  }
  return fold.value()
}

/** How a metric with a fixed number of cells is made; `merge` adds cell by cell unless given. */
export interface CellMetric {
  readonly name: string
  readonly better: 'higher' | 'lower' | 'one'
  readonly width: number
  add(cells: Float64Array, label: number, prediction: number, weight: number): void
  value(cells: Float64Array): number
  merge?(into: Float64Array, from: Float64Array): void
}

export function cellMetric(definition: CellMetric): Metric {
  return {
    name: definition.name,
    better: definition.better,
    start: () => new CellFold(definition),
  }
}

class CellFold implements MetricFold {
  readonly #cells: Float64Array
  readonly #definition: CellMetric

  constructor(definition: CellMetric) {
    this.#definition = definition
    this.#cells = new Float64Array(definition.width)
  }

  add(label: number, prediction: number, weight = 1): void {
    this.#definition.add(this.#cells, label, prediction, weight)
  }

  value(): number {
    return this.#definition.value(this.#cells)
  }

  merge(other: MetricFold): void {
    const from = other.save()
    if (from.length !== this.#cells.length) throw new RangeError(`not a fold of ${this.#definition.name}`)
    if (this.#definition.merge) this.#definition.merge(this.#cells, from)
    else
      for (let index = 0; index < from.length; index++)
        this.#cells[index] = this.#cells[index]! + from[index]!
  }

  save(): Float64Array {
    return this.#cells.slice()
  }

  restore(saved: Float64Array): void {
    if (saved.length !== this.#cells.length) throw new RangeError(`not a fold of ${this.#definition.name}`)
    this.#cells.set(saved)
  }
}

/** A growing list of doubles, in rows of `width`. */
export class Rows {
  cells: Float64Array
  /** Doubles in use. */
  length = 0
  readonly #width: number

  constructor(width: number) {
    this.#width = width
    this.cells = new Float64Array(16 * width)
  }

  get count(): number {
    return this.length / this.#width
  }

  /** Index of the first cell of a new row. */
  push(): number {
    const at = this.length
    this.length += this.#width
    this.#reserve()
    return at
  }

  append(saved: Float64Array): void {
    if (saved.length % this.#width !== 0) throw new RangeError(`not rows of ${this.#width}`)
    const at = this.length
    this.length += saved.length
    this.#reserve()
    this.cells.set(saved, at)
  }

  used(): Float64Array {
    return this.cells.slice(0, this.length)
  }

  #reserve(): void {
    if (this.length <= this.cells.length) return
    const grown = new Float64Array(Math.max(this.length, this.cells.length * 2))
    grown.set(this.cells)
    this.cells = grown
  }
}

/**
 * A metric that keeps every example: exact, with memory that grows by three
 * doubles an example. `value` sees labels, predictions and weights, unsorted.
 */
export interface ExampleMetric {
  readonly name: string
  readonly better: 'higher' | 'lower' | 'one'
  value(examples: Examples): number
}

export interface Examples {
  readonly labels: Float64Array
  readonly predictions: Float64Array
  readonly weights: Float64Array
}

export function exampleMetric(definition: ExampleMetric): Metric {
  return {
    name: definition.name,
    better: definition.better,
    start() {
      let rows = new Rows(3)
      return {
        add(label, prediction, weight = 1) {
          const at = rows.push()
          rows.cells[at] = label
          rows.cells[at + 1] = prediction
          rows.cells[at + 2] = weight
        },
        value: () => (rows.count === 0 ? Number.NaN : definition.value(columnsOf(rows))),
        merge: (other) => rows.append(other.save()),
        save: () => rows.used(),
        restore(saved) {
          rows = new Rows(3)
          rows.append(saved)
        },
      }
    },
  }
}

function columnsOf(rows: Rows): Examples {
  const { count, cells } = rows
  const labels = new Float64Array(count)
  const predictions = new Float64Array(count)
  const weights = new Float64Array(count)
  for (let index = 0; index < count; index++) {
    labels[index] = cells[3 * index]!
    predictions[index] = cells[3 * index + 1]!
    weights[index] = cells[3 * index + 2]!
  }
  return { labels, predictions, weights }
}

/** Indices by value, smallest first; equal values in their given order. */
export function ascending(values: Float64Array): Uint32Array {
  const order = new Uint32Array(values.length)
  for (let index = 0; index < order.length; index++) order[index] = index
  return order.sort((left, right) => values[left]! - values[right]! || left - right)
}
