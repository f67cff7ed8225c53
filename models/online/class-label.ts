/** The classes of a classifier with this many, checked: 2 to 65,536. */
export function checkClassCount(classCount: number): void {
  if (!(Number.isInteger(classCount) && classCount >= 2 && classCount <= 65_536)) {
    throw new RangeError(`classCount must be a whole number from 2 to 65536, got ${classCount}`)
  }
}

/** True for a label that names one of the classes, with a weight that can be used. */
export const isClassExample = (label: number, weight: number, classCount: number): boolean =>
  Number.isInteger(label) && label >= 0 && label < classCount && weight > 0 && weight <= 1e12

/**
 * One number from the probabilities: P(class 1) of two classes, one half while
 * nothing is known; else the first most probable class.
 */
export function answerOf(probabilities: Float64Array): number {
  if (probabilities.length === 2) {
    const total = probabilities[0]! + probabilities[1]!
    return total > 0 ? probabilities[1]! / total : 0.5
  }
  return largestIndex(probabilities)
}

/** The first index of the largest value. */
export function largestIndex(values: Float64Array): number {
  let best = 0
  for (let index = 1; index < values.length; index++) if (values[index]! > values[best]!) best = index
  return best
}

/**
 * Turns log likelihoods into probabilities, in place. -Infinity is a class
 * that is not known: probability 0.
 */
export function normalizeLogs(logs: Float64Array): void {
  let largest = Number.NEGATIVE_INFINITY
  for (const log of logs) if (log > largest) largest = log
  if (largest === Number.NEGATIVE_INFINITY) {
    logs.fill(0)
    return
  }
  let sum = 0
  for (const log of logs) sum += Math.exp(log - largest)
  const logSum = largest + Math.log(sum)
  for (let index = 0; index < logs.length; index++) logs[index] = Math.exp(logs[index]! - logSum)
}
