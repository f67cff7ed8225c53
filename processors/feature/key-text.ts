import { valueClass, withoutNull } from '../../state/contracts/schema-node.ts'
import type { FeatureView } from './feature-view.ts'

/**
 * Text, as in a path or on a command line, as one part of the view's entity
 * key: a number where the events hold numbers, else the text itself.
 *
 * @throws RangeError for text that is no value of the part's type
 */
export function keyPartFromText(view: FeatureView, index: number, text: string): string | number | bigint {
  const part = view.entity[index]
  const source = view.sources[0]
  if (part === undefined || source === undefined) return text
  const name = view.keys[source.name]?.[part.field] ?? part.field
  const declared = source.record.fields.find((field) => field.name === name)
  if (declared === undefined) return text
  let node = withoutNull(declared.type)
  if (part.many && node.kind === 'array') node = withoutNull(node.items)
  switch (valueClass(node)) {
    case 'number': {
      const value = Number(text)
      if (text.trim() !== '' && Number.isFinite(value)) return value
      throw new RangeError(`the key "${part.field}" of view "${view.name}" is a number, got "${text}"`)
    }
    case 'bigint':
      if (/^-?\d{1,19}$/.test(text)) return BigInt(text)
      throw new RangeError(`the key "${part.field}" of view "${view.name}" is a whole number, got "${text}"`)
    case 'boolean':
      if (text === 'true' || text === 'false') return text === 'true' ? 1 : 0
      throw new RangeError(`the key "${part.field}" of view "${view.name}" is true or false, got "${text}"`)
    default:
      return text
  }
}
