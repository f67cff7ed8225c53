import { pageShift, pageTouched } from './cell-state.ts'

/**
 * How the weights of the slots that an example touches follow a gradient.
 *
 * * `sgd`: w -= rate * g. Constant, so old data fades at a fixed rate.
 * * `adagrad`: n += g^2, w -= rate * g / sqrt(n + epsilon). Source: Duchi,
 *   Hazan and Singer, "Adaptive Subgradient Methods", JMLR 2011.
 * * `ftrl`: FTRL-Proximal, per coordinate; `l1` keeps weights at exactly 0.
 *   Source: McMahan et al., "Ad Click Prediction: a View from the Trenches",
 *   KDD 2013, algorithm 1.
 */
export type SlotOptimizerOptions =
  | { readonly kind: 'sgd'; readonly rate: number; readonly l2?: number }
  | { readonly kind: 'adagrad'; readonly rate: number; readonly epsilon?: number; readonly l2?: number }
  | {
      readonly kind: 'ftrl'
      readonly alpha: number
      readonly beta?: number
      readonly l1?: number
      readonly l2?: number
    }

/** Where a model keeps its weights: slot s is cell `weightsAt + s`, its memory starts at `memoryAt + s * memory`. */
export interface SlotRegion {
  readonly weightsAt: number
  readonly memoryAt: number
}

export interface SlotOptimizer {
  /** Kind and parameters. */
  readonly id: string
  /** Cells beside the weight that each slot needs. */
  readonly memory: number
  /** One step: the gradient of slot `slots[i]` is `slope * values[i]`, for i up to, not including, `count`. */
  step(
    cells: Float64Array,
    touched: Uint8Array,
    slots: Int32Array,
    values: Float64Array,
    count: number,
    slope: number,
  ): void
}

export function slotOptimizer(options: SlotOptimizerOptions, region: SlotRegion): SlotOptimizer {
  switch (options.kind) {
    case 'sgd':
      return slotSgd(options, region)
    case 'adagrad':
      return slotAdagrad(options, region)
    case 'ftrl':
      return slotFtrl(options, region)
  }
}

/** Cells beside the weight that each slot of this optimizer needs. */
export const slotMemory = ({ kind }: SlotOptimizerOptions): number =>
  kind === 'sgd' ? 0 : kind === 'adagrad' ? 1 : 2

function slotSgd(
  { rate, l2 = 0 }: { readonly rate: number; readonly l2?: number },
  { weightsAt }: SlotRegion,
): SlotOptimizer {
  requirePositive('rate', rate)
  return {
    id: `sgd(${rate},${l2})`,
    memory: 0,
    step(cells, touched, slots, values, count, slope) {
      for (let index = 0; index < count; index++) {
        const at = weightsAt + slots[index]!
        const weight = cells[at]!
        cells[at] = weight - rate * (slope * values[index]! + l2 * weight)
        touched[at >> pageShift] = pageTouched
      }
    },
  }
}

function slotAdagrad(
  {
    rate,
    epsilon = 1e-8,
    l2 = 0,
  }: { readonly rate: number; readonly epsilon?: number; readonly l2?: number },
  { weightsAt, memoryAt }: SlotRegion,
): SlotOptimizer {
  requirePositive('rate', rate)
  requirePositive('epsilon', epsilon)
  return {
    id: `adagrad(${rate},${epsilon},${l2})`,
    memory: 1,
    step(cells, touched, slots, values, count, slope) {
      for (let index = 0; index < count; index++) {
        const slot = slots[index]!
        const at = weightsAt + slot
        const sum = memoryAt + slot
        const weight = cells[at]!
        const gradient = slope * values[index]! + l2 * weight
        const squares = cells[sum]! + gradient * gradient
        cells[sum] = squares
        cells[at] = weight - (rate * gradient) / Math.sqrt(squares + epsilon)
        touched[at >> pageShift] = pageTouched
        touched[sum >> pageShift] = pageTouched
      }
    },
  }
}

/** Keeps the weight beside z and n, so that a prediction reads one cell a slot. */
function slotFtrl(
  {
    alpha,
    beta = 1,
    l1 = 0,
    l2 = 0,
  }: { readonly alpha: number; readonly beta?: number; readonly l1?: number; readonly l2?: number },
  { weightsAt, memoryAt }: SlotRegion,
): SlotOptimizer {
  requirePositive('alpha', alpha)
  return {
    id: `ftrl(${alpha},${beta},${l1},${l2})`,
    memory: 2,
    step(cells, touched, slots, values, count, slope) {
      for (let index = 0; index < count; index++) {
        const slot = slots[index]!
        const at = weightsAt + slot
        const zAt = memoryAt + 2 * slot
        const gradient = slope * values[index]!
        const before = cells[zAt + 1]!
        const squares = before + gradient * gradient
        const root = Math.sqrt(squares)
        const sigma = (root - Math.sqrt(before)) / alpha
        const z = cells[zAt]! + gradient - sigma * cells[at]!
        const scale = (beta + root) / alpha + l2
        cells[zAt] = z
        cells[zAt + 1] = squares
        cells[at] = Math.abs(z) <= l1 || scale === 0 ? 0 : -(z - (z < 0 ? -l1 : l1)) / scale
        touched[at >> pageShift] = pageTouched
        // z and n are neighbours at an even cell, so they share a page.
        touched[zAt >> pageShift] = pageTouched
      }
    },
  }
}

function requirePositive(name: string, value: number): void {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`${name} must be positive, got ${value}`)
  }
}
