/**
 * A value that does not fit its contract: the field's path, what was found and
 * what was expected. Becomes `contract-violation` where the contract is known.
 */
export class ValueViolation extends Error {
  override readonly name = 'ValueViolation'
  /** Grows from the inside out while the error passes the values that hold the field. */
  path: string
  readonly found: string
  readonly expected: string

  constructor(path: string, found: string, expected: string) {
    super(`${path}: ${found}, expected ${expected}`)
    this.path = path
    this.found = found
    this.expected = expected
  }

  /** The same violation seen from the value that holds the field. */
  under(parent: string): this {
    this.path = this.path === '' || this.path.startsWith('[') ? parent + this.path : `${parent}.${this.path}`
    return this
  }
}

export function violation(path: string, value: unknown, expected: string): never {
  throw new ValueViolation(path, describeValue(value), expected)
}

/** A value in a message: short, on one line, and safe for values of any kind. */
export function describeValue(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value.length <= 40 ? JSON.stringify(value) : `${JSON.stringify(value.slice(0, 37))}…`
    case 'bigint':
      return `${value}n`
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value)
    case 'object':
      if (value === null) return 'null'
      if (Array.isArray(value)) return `an array of ${value.length}`
      return value instanceof Uint8Array ? `${value.length} bytes` : 'an object'
    case 'undefined':
      return 'missing'
    case 'boolean':
      return String(value)
    default:
      return `a ${typeof value}`
  }
}
