import { logGamma } from '../statistics/special-functions.ts'

/**
 * Chance that the largest distance of the distribution of `count` values from
 * the true one is `distance` or more, for any continuous distribution.
 *
 * To about 12 digits up to 140 values, to 5 decimals above. The method is chosen
 * by size: a power of a matrix where that is quick and
 * exact (Marsaglia, Tsang and Wang, Journal of Statistical Software 2003),
 * twice the one-sided chance in the tail (Miller, JASA 1956), else the series
 * of Pelz and Good, JRSS B 1976. Where each is good: Simard and L'Ecuyer,
 * "Computing the Two-Sided Kolmogorov-Smirnov Distribution", Journal of
 * Statistical Software 2011.
 */
export function kolmogorovAbove(distance: number, count: number): number {
  const reach = count * distance
  if (distance >= 1) return 0
  if (reach <= 0.5) return 1
  const square = reach * distance
  if (square > 370) return 0
  if (distance >= 0.5 || square > (count <= 140 ? 4 : 2.2))
    return Math.min(1, 2 * smirnovAbove(distance, count))
  const isQuick = count <= 140 || (count <= 100_000 && count * distance ** 1.5 <= 1.4)
  const below = isQuick ? matrixBelow(distance, count) : seriesBelow(distance, count)
  return Math.min(1, Math.max(0, 1 - below))
}

/** Chance that the distance upwards alone is `distance` or more. */
function smirnovAbove(distance: number, count: number): number {
  let sum = 0
  const logCount = logGamma(count + 1)
  for (let index = 0; index <= Math.floor(count * (1 - distance)); index++) {
    const low = distance + index / count
    const high = 1 - low
    if (high <= 0) {
      // 0 to the power of 0 where nothing is left to the right.
      if (index === count) sum += low ** (index - 1)
      continue
    }
    const ways = logCount - logGamma(index + 1) - logGamma(count - index + 1)
    sum += Math.exp(ways + (index - 1) * Math.log(low) + (count - index) * Math.log(high))
  }
  return Math.min(1, distance * sum)
}

function matrixBelow(distance: number, count: number): number {
  const k = Math.floor(count * distance) + 1
  const size = 2 * k - 1
  const over = k - count * distance
  const matrix = new Float64Array(size * size)
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= Math.min(row + 1, size - 1); column++) matrix[row * size + column] = 1
  }
  for (let index = 0; index < size; index++) {
    matrix[index * size] = matrix[index * size]! - over ** (index + 1)
    matrix[(size - 1) * size + index] = matrix[(size - 1) * size + index]! - over ** (size - index)
  }
  const corner = (size - 1) * size
  matrix[corner] = matrix[corner]! + (2 * over - 1 > 0 ? (2 * over - 1) ** size : 0)
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      for (let factor = 2; factor <= row - column + 1; factor++) {
        matrix[row * size + column] = matrix[row * size + column]! / factor
      }
    }
  }
  const { entry, exponent } = powerEntry(matrix, size, count, k - 1)
  // n! / n^n in steps, so that neither leaves the range of a double.
  let result = entry
  let scale = exponent
  for (let index = 1; index <= count; index++) {
    result = (result * index) / count
    if (result < 1e-140) {
      result *= 1e140
      scale -= 140
    }
  }
  return result * 10 ** scale
}

/** The diagonal entry `at` of the matrix to the power of `count`, over 10^exponent. */
function powerEntry(matrix: Float64Array, size: number, count: number, at: number) {
  const center = at * size + at
  let power: Float64Array = matrix
  let powerScale = 0
  let result: Float64Array | undefined
  let scale = 0
  for (let left = count; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) {
      result = result === undefined ? power : product(result, power, size)
      scale += powerScale
      if (result[center]! > 1e140) {
        result = result.map((value) => value * 1e-140)
        scale += 140
      }
    }
    if (left === 1) break
    power = product(power, power, size)
    powerScale *= 2
    if (power[center]! > 1e140) {
      power = power.map((value) => value * 1e-140)
      powerScale += 140
    }
  }
  return { entry: (result ?? matrix)[center]!, exponent: scale }
}

function product(left: Float64Array, right: Float64Array, size: number): Float64Array {
  const result = new Float64Array(size * size)
  for (let row = 0; row < size; row++) {
    for (let inner = 0; inner < size; inner++) {
      const factor = left[row * size + inner]!
      if (factor === 0) continue
      for (let column = 0; column < size; column++) {
        result[row * size + column] = result[row * size + column]! + factor * right[inner * size + column]!
      }
    }
  }
  return result
}

const termLimit = 50

function seriesBelow(distance: number, count: number): number {
  const root = Math.sqrt(count)
  const z = root * distance
  const z2 = z * z
  const z4 = z2 * z2
  const z6 = z4 * z2
  const pi2 = Math.PI * Math.PI
  const [sums, whole] = [new Float64Array(4), new Float64Array(2)]
  for (let index = 0; index < termLimit; index++) {
    // Halves stand for both signs; so do the whole numbers from 1 on, and 0 adds nothing.
    const h = pi2 * (index + 0.5) ** 2
    const weight = 2 * Math.exp(-h / (2 * z2))
    sums[0]! += weight
    sums[1]! += weight * (h - z2)
    sums[2]! += weight * (6 * z6 + 2 * z4 + h * (2 * z4 - 5 * z2) + h * h * (1 - 2 * z2))
    sums[3]! +=
      weight *
      (h ** 3 * (5 - 30 * z2) +
        h * h * (-60 * z2 + 212 * z4) +
        h * (135 * z4 - 96 * z6) -
        30 * z6 -
        90 * z4 * z4)
    const w = pi2 * index ** 2
    const wholeWeight = 2 * Math.exp(-w / (2 * z2))
    whole[0]! += wholeWeight * w
    whole[1]! += wholeWeight * (3 * w * z2 - w * w)
  }
  const half = Math.sqrt(Math.PI / 2)
  const k0 = (half / z) * sums[0]!
  const k1 = (half / (6 * z4)) * sums[1]!
  const k2 = half * (sums[2]! / (72 * z6 * z) - whole[0]! / (36 * z * z2))
  const k3 = half * (sums[3]! / (6480 * z6 * z4) + whole[1]! / (108 * z6))
  return k0 + k1 / root + k2 / count + k3 / (count * root)
}
