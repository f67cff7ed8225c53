import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HttpProblem } from '../../../topology/http/problem.ts'
import { parseJson, parseNdjson, textOf } from '../../../topology/http/request-body.ts'

const depthOf = (value: unknown): number =>
  typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0

const codeOf = (read: () => unknown): string | undefined => {
  try {
    read()
    return undefined
  } catch (error) {
    if (error instanceof HttpProblem) return error.problem.code
    throw error
  }
}

describe('JSON', () => {
  test('of allowed depth is what JSON.parse makes of it; deeper JSON is refused', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 1, max: 7 }), (value, limit) => {
        const text = JSON.stringify(value)
        // Such keys are refused whatever the depth; the generator likes them.
        fc.pre(!/"(__proto__|constructor|prototype)":/.test(text))
        if (depthOf(value) > limit) expect(codeOf(() => parseJson(text, limit))).toBe('json-too-deep')
        else expect(parseJson(text, limit)).toEqual(JSON.parse(text))
      }),
    )
  })

  test('that ends anywhere before its end is refused', () => {
    const text = '{"a":["\\"[",{"b":1.5e3}],"c":null}'
    for (let length = 0; length < text.length; length++) {
      expect(codeOf(() => parseJson(text.slice(0, length), 64))).toBe('json-invalid')
    }
  })

  test('brackets in texts do not count', () => {
    expect(parseJson('["[[[[{{{{\\"[["]', 1)).toEqual(['[[[[{{{{"[['])
  })

  test('keys that reach a prototype are refused at every depth, however they are spelled', () => {
    const nested = fc.array(fc.constantFrom('{"a":X}', '[X]', '{"\\u0062":[1,X]}'), { maxLength: 5 })
    const keys = fc.constantFrom(
      '{"__proto__":1}',
      '{"\\u005f\\u005fproto__":{}}',
      '{"constructor":{"prototype":1}}',
    )
    fc.assert(
      fc.property(nested, keys, (levels, key) => {
        const text = levels.reduce<string>((inner, level) => level.replace('X', () => inner), key)
        expect(codeOf(() => parseJson(text, 64))).toBe('json-key-refused')
      }),
    )
  })

  test('keys that only look like one are taken', () => {
    for (const text of [
      '{"constructor":1}',
      '{"constructor":{"a":1}}',
      '{"prototype":{}}',
      '{"a":"__proto__"}',
    ]) {
      expect(parseJson(text, 64)).toEqual(JSON.parse(text))
    }
  })
})

describe('lines of JSON', () => {
  test('keep their numbers, empty ones counted', () => {
    expect(parseNdjson('\n{"a":1}\r\n \n[2]', 64, 2)).toEqual([
      { line: 2, value: { a: 1 } },
      { line: 4, value: [2] },
    ])
  })

  test('are bounded in number, and the first that is not JSON is named', () => {
    expect(codeOf(() => parseNdjson('1\n2\n3', 64, 2))).toBe('batch-too-large')
    expect(() => parseNdjson('1\n\n{]\n{', 64, 5)).toThrow(/^line 3 is not JSON/)
  })
})

test('bytes are read as UTF-8 or refused', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      expect(textOf(Buffer.from(text))).toBe(text)
    }),
  )
  for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80]]) {
    expect(codeOf(() => textOf(Buffer.from(bytes)))).toBe('text-not-utf8')
  }
})
