import { type PackedKey, packKey } from '../../state/store/packed-key.ts'
import { fieldReader } from './input-reader.ts'

/** One part of an entity key. */
export interface EntityPart {
  readonly field: string
  /** The field holds a list, and each of its values is an entity of its own. */
  readonly many: boolean
}

/** As an entity's part: the field is a list; the event belongs to each of its values. */
export const each = <const Field extends string>(field: Field): { readonly each: Field } => ({ each: field })

export type EntitySpec = string | { readonly each: string } | readonly (string | { readonly each: string })[]

/** The fields that an entity is made of, as a type. */
export type EntityField<Spec> = Spec extends string
  ? Spec
  : Spec extends { readonly each: infer Field extends string }
    ? Field
    : Spec extends readonly (infer Part)[]
      ? EntityField<Part>
      : never

export function entityParts(spec: EntitySpec): readonly EntityPart[] {
  const parts = Array.isArray(spec) ? (spec as readonly (string | { each: string })[]) : [spec as string]
  return parts.map((part) =>
    typeof part === 'string' ? { field: part, many: false } : { field: part.each, many: true },
  )
}

/** Finds the entity keys that an event belongs to. A null part matches nothing. */
export interface EntityKeys {
  /** True when an event can belong to several entities. */
  readonly many: boolean
  /** The one key of an event, or null. Only where `many` is false. */
  keyOf(event: object): PackedKey | null
  /** All keys of an event, duplicates left out, in the order of the lists. */
  keysOf(event: object): readonly PackedKey[]
}

/** `fields` names the field of this event for each part, where it differs from the part's own name. */
export function entityKeys(
  parts: readonly EntityPart[],
  fields: Readonly<Record<string, string>> = {},
): EntityKeys {
  const readers = parts.map(({ field }) => fieldReader(fields[field] ?? field))
  const many = parts.some((part) => part.many)
  const [only] = readers
  const one =
    parts.length === 1 && only
      ? (event: object) => partOf(only(event))
      : (event: object) => {
          const found: PackedKey[] = []
          for (const read of readers) {
            const part = partOf(read(event))
            if (part === null) return null
            found.push(part)
          }
          return packKey(found)
        }
  return {
    many,
    keyOf: one,
    keysOf(event) {
      if (!many) {
        const key = one(event)
        return key === null ? [] : [key]
      }
      let keys: PackedKey[][] = [[]]
      for (const [index, part] of parts.entries()) {
        const found = partsOf(readers[index]!(event), part.many)
        if (found.length === 1) {
          for (const key of keys) key.push(found[0]!)
        } else {
          keys = keys.flatMap((key) => found.map((each) => [...key, each]))
        }
      }
      return keys.map(packKey)
    },
  }
}

/** The values of one part, each once, in their order. */
function partsOf(value: unknown, many: boolean): PackedKey[] {
  const found: PackedKey[] = []
  for (const each of many ? (Array.isArray(value) ? value : []) : [value]) {
    const part = partOf(each)
    // Lists are short, so looking through them costs less than a set.
    if (part !== null && !found.includes(part)) found.push(part)
  }
  return found
}

function partOf(value: unknown): PackedKey | null {
  if (typeof value === 'string' || typeof value === 'bigint') return value
  if (typeof value === 'number') return value - value === 0 ? (value === 0 ? 0 : value) : null
  if (typeof value === 'boolean') return value ? 1 : 0
  return null
}
