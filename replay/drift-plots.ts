import type { ColumnBins } from '../models/drift/compare-columns.ts'

const width = 320
const height = 96
const floor = height - 16

/** Text as it may stand in HTML, in attributes too. */
export const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

/** A number in few characters. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6)) {
    return String(Number(value.toPrecision(4)))
  }
  return value.toExponential(2)
}

const at = (value: number): string => value.toFixed(1)

/** Shares of the bins, reference and current in pairs of bars, as an SVG. */
export function histogramPlot(bins: ColumnBins, kind: 'number' | 'category'): string {
  const [reference, current] = [sharesOf(bins.reference), sharesOf(bins.current)]
  const highest = Math.max(...reference, ...current, 0)
  if (highest === 0) return ''
  const step = width / reference.length
  const bars = (shares: readonly number[], name: string, shift: number) =>
    shares
      .map((share, index) => {
        const size = (share / highest) * (floor - 4)
        const x = index * step + step * (0.08 + shift)
        return `<rect class="${name}" x="${at(x)}" y="${at(floor - size)}" width="${at(step * 0.42)}" height="${at(size)}"/>`
      })
      .join('')
  const last = bins.at.at(-1) ?? 0
  const ends =
    kind === 'number' || bins.at.length > 8
      ? `<text x="0" y="${height - 3}">${short(bins.at[0] ?? 0)}</text><text x="${width}" y="${height - 3}" text-anchor="end">${short(last)}</text>`
      : bins.at
          .map(
            (value, index) =>
              `<text x="${at((index + 0.5) * step)}" y="${height - 3}" text-anchor="middle">${short(value)}</text>`,
          )
          .join('')
  return framed(
    `shares of the values in ${reference.length} bins, reference and current`,
    bars(reference, 'reference', 0) + bars(current, 'current', 0.42) + ends,
  )
}

export interface SeriesPoint {
  readonly atMs: number
  /** null leaves a gap. */
  readonly value: number | null
  readonly isDrift: boolean
}

/** Values over time as a line, findings as dots, and a dashed line at a threshold where there is one. */
export function seriesPlot(points: readonly SeriesPoint[], what: string, threshold?: number): string {
  const known = points.flatMap(({ value }) => (value === null ? [] : [value]))
  if (known.length === 0) return ''
  const levels = threshold === undefined ? known : [...known, threshold, 0]
  const [least, most] = [Math.min(...levels), Math.max(...levels)]
  const [from, to] = [points[0]!.atMs, points.at(-1)!.atMs]
  const x = (atMs: number) => 4 + ((atMs - from) / (to - from || 1)) * (width - 8)
  const y = (value: number) => 6 + (1 - (value - least) / (most - least || 1)) * (floor - 12)
  let pen = 'M'
  let path = ''
  for (const { atMs, value } of points) {
    if (value !== null) path += `${pen}${at(x(atMs))} ${at(y(value))}`
    pen = value === null ? 'M' : 'L'
  }
  const dots = points
    .filter(({ value, isDrift }) => isDrift && value !== null)
    .map(({ atMs, value }) => `<circle class="drift" cx="${at(x(atMs))}" cy="${at(y(value ?? 0))}" r="3"/>`)
  const limit =
    threshold === undefined
      ? ''
      : `<line class="limit" x1="0" x2="${width}" y1="${at(y(threshold))}" y2="${at(y(threshold))}"/>`
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace('T', ' ')
  return framed(
    `${what} over time, from ${short(least)} to ${short(most)}`,
    `${limit}<path class="line" d="${path}"/>${dots.join('')}<text x="0" y="${height - 3}">${day(from)}</text><text x="${width}" y="${height - 3}" text-anchor="end">${day(to)}</text><text x="${width}" y="10" text-anchor="end">${short(most)}</text><text x="${width}" y="${floor}" text-anchor="end">${short(least)}</text>`,
  )
}

const framed = (label: string, content: string): string =>
  `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(label)}"><title>${escaped(label)}</title><line class="axis" x1="0" x2="${width}" y1="${floor}" y2="${floor}"/>${content}</svg>`

function sharesOf(counts: readonly number[]): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0)
  return counts.map((count) => (total === 0 ? 0 : count / total))
}
