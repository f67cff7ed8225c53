import type { KeyPart } from '../../state/store/state-store.ts'

/**
 * A record's key as one part of a store's key. Numbers, strings, booleans and
 * bigints are themselves, so that a store is in their natural order; anything
 * else is canonical JSON behind a zero character, fields sorted by name.
 * Equal keys give equal parts, and `unpackKey` gives the key back.
 *
 * @throws TypeError for a key that is undefined, a function or a symbol.
 */
export function packKey(key: unknown): KeyPart {
  switch (typeof key) {
    case 'number':
    case 'boolean':
    case 'bigint':
      return key
    case 'string':
      // A string that begins like a packed object gets one more zero.
      return key.charCodeAt(0) === 0 ? `\0${key}` : key
    case 'object':
      return key === null ? null : `\0${canonical(key)}`
    default:
      throw new TypeError(`a record key is ${typeof key}, expected a value that can be written`)
  }
}

/** The key that `packKey` packed. */
export function unpackKey(part: KeyPart): unknown {
  if (typeof part !== 'string' || part.charCodeAt(0) !== 0) return part
  if (part.charCodeAt(1) === 0) return part.slice(1)
  return revive(JSON.parse(part.slice(1)))
}

function canonical(value: unknown): string {
  if (typeof value === 'bigint') return `{"$bigint":"${value}"}`
  if (value instanceof Uint8Array) return `{"$bytes":[${[...value].join(',')}]}`
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined)
    fields.sort(([left], [right]) => (left < right ? -1 : 1))
    return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(',')}}`
  }
  const text = JSON.stringify(value)
  if (text === undefined) throw new TypeError(`a record key holds ${typeof value}, expected plain data`)
  return text
}

function revive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revive)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value)
  const [first] = fields
  if (fields.length === 1 && first !== undefined) {
    const [name, field] = first
    if (name === '$bigint' && typeof field === 'string') return BigInt(field)
    if (name === '$bytes' && Array.isArray(field)) return Uint8Array.from(field as number[])
  }
  return Object.fromEntries(fields.map(([name, field]) => [name, revive(field)]))
}
