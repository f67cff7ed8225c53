import { HttpProblem } from './problem.ts'

/** Text as JSON, of bounded depth. @throws HttpProblem 400 */
export function parseJson(text: string, maxDepth: number, what = 'the body'): unknown {
  checkDepth(text, maxDepth, what)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new HttpProblem(400, 'json-invalid', `${what} is not JSON: ${(error as Error).message}`)
  }
}

/** One JSON value a line; empty lines are passed over. @throws HttpProblem 400, 413 */
export function parseNdjson(
  text: string,
  maxDepth: number,
  maxLines: number,
): { line: number; value: unknown }[] {
  const values: { line: number; value: unknown }[] = []
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    if (values.length === maxLines) {
      throw new HttpProblem(
        413,
        'batch-too-large',
        `the body has more than ${maxLines} events; send it in several requests`,
      )
    }
    values.push({ line: index + 1, value: parseJson(line, maxDepth, `line ${index + 1}`) })
  }
  return values
}

/** Counts brackets outside of texts: `JSON.parse` itself would go as deep as the stack lets it. */
function checkDepth(text: string, maxDepth: number, what: string): void {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x22) {
      at = endOfText(text, at)
    } else if (code === 0x7b || code === 0x5b) {
      depth++
      if (depth > maxDepth) {
        throw new HttpProblem(400, 'json-too-deep', `${what} nests deeper than ${maxDepth} levels`)
      }
    } else if (code === 0x7d || code === 0x5d) {
      depth--
    }
  }
}

function endOfText(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5c) at++
    else if (code === 0x22) return at
  }
  return text.length
}
