/** A feature's value outside of a vector, as JSON can hold it. */
export type FeatureValue =
  | number
  | string
  | boolean
  | null
  | readonly FeatureValue[]
  | { readonly [name: string]: FeatureValue }

/** An aggregate's answer as plain data: a set is a list, a map an object by the text of its keys; NaN is null. */
export function featureValue(answer: unknown): FeatureValue {
  if (answer === null || answer === undefined) return null
  if (typeof answer === 'number') return Number.isFinite(answer) ? answer : null
  if (typeof answer === 'bigint') return String(answer)
  if (typeof answer === 'string' || typeof answer === 'boolean') return answer
  if (answer instanceof Map) {
    return Object.fromEntries([...answer].map(([key, value]) => [String(key), featureValue(value)]))
  }
  if (Array.isArray(answer) || answer instanceof Set || ArrayBuffer.isView(answer)) {
    return Array.from(answer as Iterable<unknown>, featureValue)
  }
  return Object.fromEntries(Object.entries(answer).map(([name, value]) => [name, featureValue(value)]))
}
