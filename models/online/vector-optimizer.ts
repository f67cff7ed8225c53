/**
 * How a weight vector follows its gradients. g is the gradient of a weight, w
 * the weight, t the number of steps so far; memory is 0 at first.
 *
 * * `sgd`: w -= rate g.
 * * `momentum`: m = rho m + rate g, w -= m. Source: Polyak 1964.
 * * `nesterov`: the same, with the gradient taken at w - rho m. Source:
 *   Sutskever et al., "On the importance of initialization and momentum in
 *   deep learning", ICML 2013.
 * * `adagrad`: n += g^2, w -= rate g / sqrt(n + epsilon). Source: Duchi, Hazan
 *   and Singer, JMLR 2011.
 * * `rmsprop`: n = rho n + (1 - rho) g^2, then as AdaGrad. Source: Tieleman and
 *   Hinton, 2012, lecture 6.5.
 * * `adadelta`: needs no rate. Source: Zeiler, arXiv:1212.5701, 2012.
 * * `adam`, `amsgrad`: Sources: Kingma and Ba, ICLR 2015; Reddi, Kale and
 *   Kumar, ICLR 2018. Both correct the bias through the rate.
 * * `ftrl`: FTRL-Proximal, McMahan et al., KDD 2013. With `lagging`, a weight is
 *   brought up to date with its memory only when it is next learnt, as the
 *   Python library River does: a prediction then lags by one step.
 */
export type VectorOptimizerOptions =
  | { readonly kind: 'sgd'; readonly rate: number }
  | { readonly kind: 'momentum' | 'nesterov'; readonly rate: number; readonly rho?: number }
  | { readonly kind: 'adagrad'; readonly rate: number; readonly epsilon?: number }
  | { readonly kind: 'rmsprop'; readonly rate: number; readonly rho?: number; readonly epsilon?: number }
  | { readonly kind: 'adadelta'; readonly rho?: number; readonly epsilon?: number }
  | {
      readonly kind: 'adam' | 'amsgrad'
      readonly rate: number
      readonly beta1?: number
      readonly beta2?: number
      readonly epsilon?: number
    }
  | {
      readonly kind: 'ftrl'
      readonly alpha: number
      readonly beta?: number
      readonly l1?: number
      readonly l2?: number
      readonly lagging?: boolean
    }

/** One weight and its memory: `cells[at]` is the weight, its memory is `cells[memoryAt …]`. */
type Step = (cells: Float64Array, at: number, memoryAt: number, gradient: number, steps: number) => void

export interface VectorOptimizer {
  /** Kind and parameters. */
  readonly id: string
  /** Cells of memory for each weight. */
  readonly memory: number
  /** Weight i is `cells[weightsAt + i]`; its gradient NaN leaves it alone. `steps` counts the steps before this one. */
  step(cells: Float64Array, weightsAt: number, memoryAt: number, gradients: Float64Array, steps: number): void
  /** The distance, as a share of the memory, at which the gradient is taken ahead of the weights; 0 mostly. */
  readonly lookAhead: number
}

export function vectorOptimizer(options: VectorOptimizerOptions): VectorOptimizer {
  const { memory, step } = stepOf(options)
  return {
    id: JSON.stringify(options),
    memory,
    lookAhead: options.kind === 'nesterov' ? (options.rho ?? 0.9) : 0,
    step(cells, weightsAt, memoryAt, gradients, steps) {
      for (let index = 0; index < gradients.length; index++) {
        const gradient = gradients[index]!
        if (!Number.isNaN(gradient))
          step(cells, weightsAt + index, memoryAt + index * memory, gradient, steps)
      }
    },
  }
}

function stepOf(options: VectorOptimizerOptions): { memory: number; step: Step } {
  switch (options.kind) {
    case 'sgd': {
      const { rate } = options
      return {
        memory: 0,
        step: (cells, at, _memoryAt, gradient) => {
          cells[at] = cells[at]! - rate * gradient
        },
      }
    }
    case 'momentum':
    case 'nesterov': {
      const { rate, rho = 0.9 } = options
      return {
        memory: 1,
        step: (cells, at, memoryAt, gradient) => {
          const speed = rho * cells[memoryAt]! + rate * gradient
          cells[memoryAt] = speed
          cells[at] = cells[at]! - speed
        },
      }
    }
    case 'adagrad': {
      const { rate, epsilon = 1e-8 } = options
      return {
        memory: 1,
        step: (cells, at, memoryAt, gradient) => {
          const squares = cells[memoryAt]! + gradient * gradient
          cells[memoryAt] = squares
          cells[at] = cells[at]! - (rate / Math.sqrt(squares + epsilon)) * gradient
        },
      }
    }
    case 'rmsprop': {
      const { rate, rho = 0.9, epsilon = 1e-8 } = options
      return {
        memory: 1,
        step: (cells, at, memoryAt, gradient) => {
          const squares = rho * cells[memoryAt]! + (1 - rho) * gradient * gradient
          cells[memoryAt] = squares
          cells[at] = cells[at]! - (rate / Math.sqrt(squares + epsilon)) * gradient
        },
      }
    }
    case 'adadelta':
      return adadelta(options.rho ?? 0.95, options.epsilon ?? 1e-8)
    case 'adam':
    case 'amsgrad':
      return adam(options)
    case 'ftrl':
      return ftrl(options)
  }
}

/** Memory: [ mean squared gradient | mean squared step ]. */
function adadelta(rho: number, epsilon: number): { memory: number; step: Step } {
  return {
    memory: 2,
    step: (cells, at, memoryAt, gradient) => {
      const squares = rho * cells[memoryAt]! + (1 - rho) * gradient * gradient
      const move = -(Math.sqrt(cells[memoryAt + 1]! + epsilon) / Math.sqrt(squares + epsilon)) * gradient
      cells[memoryAt] = squares
      cells[memoryAt + 1] = rho * cells[memoryAt + 1]! + (1 - rho) * move * move
      cells[at] = cells[at]! + move
    },
  }
}

/** Memory: [ mean gradient | mean squared gradient | its largest, of AMSGrad ]. */
function adam({
  kind,
  rate,
  beta1 = 0.9,
  beta2 = 0.999,
  epsilon = 1e-8,
}: {
  readonly kind: 'adam' | 'amsgrad'
  readonly rate: number
  readonly beta1?: number
  readonly beta2?: number
  readonly epsilon?: number
}): { memory: number; step: Step } {
  const largest = kind === 'amsgrad'
  return {
    memory: largest ? 3 : 2,
    step: (cells, at, memoryAt, gradient, steps) => {
      const mean = beta1 * cells[memoryAt]! + (1 - beta1) * gradient
      const squares = beta2 * cells[memoryAt + 1]! + (1 - beta2) * gradient * gradient
      cells[memoryAt] = mean
      cells[memoryAt + 1] = squares
      if (largest) cells[memoryAt + 2] = Math.max(cells[memoryAt + 2]!, squares)
      const size = largest ? cells[memoryAt + 2]! : squares
      const corrected = (rate * Math.sqrt(1 - beta2 ** (steps + 1))) / (1 - beta1 ** (steps + 1))
      cells[at] = cells[at]! - (corrected * mean) / (Math.sqrt(size) + epsilon)
    },
  }
}

/** Memory: [ z | n ]. */
function ftrl({
  alpha,
  beta = 1,
  l1 = 0,
  l2 = 0,
  lagging = false,
}: {
  readonly alpha: number
  readonly beta?: number
  readonly l1?: number
  readonly l2?: number
  readonly lagging?: boolean
}): { memory: number; step: Step } {
  const weightOf = (z: number, n: number): number => {
    const scale = (beta + Math.sqrt(n)) / alpha + l2
    return Math.abs(z) <= l1 || scale === 0 ? 0 : -(z - (z < 0 ? -l1 : l1)) / scale
  }
  return {
    memory: 2,
    step: (cells, at, memoryAt, gradient) => {
      const z = cells[memoryAt]!
      const before = cells[memoryAt + 1]!
      const weight = lagging ? weightOf(z, before) : cells[at]!
      const after = before + gradient * gradient
      const moved = z + gradient - ((Math.sqrt(after) - Math.sqrt(before)) / alpha) * weight
      cells[memoryAt] = moved
      cells[memoryAt + 1] = after
      cells[at] = lagging ? weight : weightOf(moved, after)
    },
  }
}
