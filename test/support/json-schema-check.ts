type Schema = Readonly<Record<string, unknown>>

const annotations = new Set(['description', 'contentEncoding'])

const typeOf = (value: unknown): readonly string[] => {
  if (value === null) return ['null']
  if (Array.isArray(value)) return ['array']
  return Number.isInteger(value) ? ['integer', 'number'] : [typeof value]
}

const properties = (value: unknown): readonly [string, unknown][] =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : []

/**
 * Checks a JSON value against a JSON Schema (draft 2020-12), as far as the
 * schemas of this project go: a keyword that it does not know throws. Returns
 * the places that do not fit. References are looked up in `document`.
 */
export function misfits(document: Schema, schema: Schema, value: unknown, path = '$'): readonly string[] {
  const inside = (inner: unknown, each: unknown, at: string) => misfits(document, inner as Schema, each, at)
  const known = (schema['properties'] ?? {}) as Schema
  return Object.entries(schema).flatMap(([keyword, expected]): readonly string[] => {
    const refuse = (isWrong: boolean): readonly string[] =>
      isWrong ? [`${path}: ${JSON.stringify(value)} against ${keyword} ${JSON.stringify(expected)}`] : []
    switch (keyword) {
      case '$ref':
        return inside(resolved(document, expected as string), value, path)
      case 'type':
        return refuse(![expected].flat().some((type) => typeOf(value).includes(type as string)))
      case 'enum':
        return refuse(!(expected as unknown[]).includes(value))
      case 'anyOf':
        return refuse(!(expected as Schema[]).some((each) => inside(each, value, path).length === 0))
      case 'minimum':
        return refuse(typeof value === 'number' && value < (expected as number))
      case 'maximum':
        return refuse(typeof value === 'number' && value > (expected as number))
      case 'pattern':
        return refuse(typeof value === 'string' && !new RegExp(expected as string, 'u').test(value))
      case 'required':
        return refuse(
          typeOf(value)[0] === 'object' &&
            !(expected as string[]).every((name) => Object.hasOwn(value as object, name)),
        )
      case 'properties':
        return properties(value).flatMap(([name, each]) =>
          Object.hasOwn(known, name) ? inside(known[name], each, `${path}.${name}`) : [],
        )
      case 'additionalProperties':
        return properties(value)
          .filter(([name]) => !Object.hasOwn(known, name))
          .flatMap(([name, each]) =>
            expected === false
              ? [`${path}.${name}: not a property`]
              : inside(expected, each, `${path}.${name}`),
          )
      case 'items':
        return Array.isArray(value)
          ? value.flatMap((each, index) => inside(expected, each, `${path}[${index}]`))
          : []
      default:
        if (annotations.has(keyword)) return []
        throw new RangeError(`keyword "${keyword}" at ${path}`)
    }
  })
}

/** What a reference points at; throws when it points nowhere. */
export function resolved(document: Schema, reference: string): Schema {
  let at: unknown = document
  for (const part of reference.replace(/^#\//, '').split('/')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) {
      throw new RangeError(`${reference} points nowhere`)
    }
    at = (at as Schema)[part]
  }
  return at as Schema
}
