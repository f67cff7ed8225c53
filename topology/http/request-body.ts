import { isUtf8 } from 'node:buffer'
import { HttpProblem } from './problem.ts'

/** A body as text. @throws HttpProblem 400 for bytes that are not UTF-8 */
export function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) {
    throw new HttpProblem(400, 'text-not-utf8', 'the body is not UTF-8 text; JSON is sent as UTF-8')
  }
  return bytes.toString('utf8')
}

/**
 * Text as JSON, of bounded depth and without the keys that reach a prototype.
 *
 * @throws HttpProblem 400
 */
export function parseJson(text: string, maxDepth: number, line?: number): unknown {
  const where = line === undefined ? 'the body' : `line ${line}`
  const members = line === undefined ? {} : { line }
  const depth = depthOf(text, maxDepth)
  if (depth > maxDepth) {
    throw new HttpProblem(400, 'json-too-deep', `${where} nests deeper than ${maxDepth} levels`, {
      ...members,
      expected: `at most ${maxDepth} levels`,
    })
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new HttpProblem(400, 'json-invalid', `${where} is not JSON: ${(error as Error).message}`, members)
  }
  const path = suspicious.test(text) ? prototypePath(value, '') : undefined
  if (path === undefined) return value
  const detail = `${where} has the key "${path}", which reaches a prototype; send it without that key`
  throw new HttpProblem(400, 'json-key-refused', detail, { ...members, field: path })
}

export interface Line {
  /** From 1, empty lines counted. */
  readonly line: number
  readonly value: unknown
}

/** One JSON value a line; empty lines are passed over. @throws HttpProblem 400, 413 */
export function parseNdjson(text: string, maxDepth: number, maxLines: number): Line[] {
  const filled = text
    .split('\n')
    .map((content, index) => ({ line: index + 1, content }))
    .filter(({ content }) => content.trim() !== '')
  if (filled.length > maxLines) {
    throw new HttpProblem(
      413,
      'batch-too-large',
      `the body has ${filled.length} events, the limit is ${maxLines}; send them in several requests`,
      { found: filled.length, expected: `at most ${maxLines}` },
    )
  }
  return filled.map(({ line, content }) => ({ line, value: parseJson(content, maxDepth, line) }))
}

/** Most keys are plain; only text that may spell one of these is walked. An escape can spell anything. */
const suspicious = /__proto__|constructor|\\u/

/** Path of the first key through which an assignment would reach a prototype; depth is bounded before. */
function prototypePath(value: unknown, path: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  for (const [key, inner] of Object.entries(value)) {
    const at = path === '' ? key : `${path}.${key}`
    if (key === '__proto__') return at
    if (key === 'constructor' && typeof inner === 'object' && inner !== null) {
      if (Object.hasOwn(inner, 'prototype')) return `${at}.prototype`
    }
    const found = prototypePath(inner, at)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * How deep brackets nest outside of texts, counted up to one past the limit:
 * `JSON.parse` itself would go as deep as memory lets it.
 */
function depthOf(text: string, limit: number): number {
  let depth = 0
  let deepest = 0
  for (let at = 0; at < text.length && deepest <= limit; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x22) {
      at = endOfText(text, at)
    } else if (code === 0x7b || code === 0x5b) {
      depth++
      if (depth > deepest) deepest = depth
    } else if (code === 0x7d || code === 0x5d) {
      depth--
    }
  }
  return deepest
}

function endOfText(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5c) at++
    else if (code === 0x22) return at
  }
  return text.length
}
