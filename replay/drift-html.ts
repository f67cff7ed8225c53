import type { TimeRange } from './decision-reader.ts'
import type { DriftComparison, DriftReport, SubjectDrift } from './drift.ts'
import { escaped, histogramPlot, type SeriesPoint, seriesPlot, short } from './drift-plots.ts'

const style = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667; --line: #d5d9df; --back: #fff; --card: #f6f7f9; --ref: #8796ab; --cur: #1769c2; --bad: #c0271d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa4b2; --line: #3a414b; --back: #14171b; --card: #1d2127; --ref: #7d8aa0; --cur: #62aef7; --bad: #ff7a6e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 78rem; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; } h3 { font-size: .95rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .25rem 0; } .soft { color: var(--soft); } .bad { color: var(--bad); font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: .75rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .8rem; } .card.found { border-color: var(--bad); }
.card p { font-size: .82rem; } svg { display: block; width: 100%; height: auto; margin-top: .4rem; }
svg text { fill: var(--soft); font-size: 9px; } .axis { stroke: var(--line); } .line { fill: none; stroke: var(--cur); stroke-width: 1.5; }
.limit { stroke: var(--soft); stroke-dasharray: 3 3; } .drift { fill: var(--bad); } .reference { fill: var(--ref); } .current { fill: var(--cur); }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .8em; border-radius: 2px; } .key.reference { background: var(--ref); } .key.current { background: var(--cur); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; width: 100%; } th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; } th:first-child, td:first-child { text-align: left; }
`

/**
 * A report as one HTML document that needs nothing else: no script, no font,
 * no network. Findings come first, in each part of it.
 */
export function driftHtml(report: DriftReport): string {
  const { app, model, comparisons } = report
  const latest = comparisons.at(-1)
  const found = comparisons.filter(hasDrift).length
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Drift of ${escaped(model)}</title>
<style>${style}</style>
</head>
<body>
<h1>Drift of ${escaped(model)} <span class="soft">(${escaped(app)})</span></h1>
<p class="${report.isDrift ? 'bad' : ''}">${verdict(report, found)}</p>
<p class="soft">${escaped(rule(report))}</p>
${comparisons.length > 1 ? overTime(report) : ''}
${latest === undefined ? '<p>There is nothing to compare.</p>' : slices(latest, comparisons.length > 1)}
${alarms(report)}
</body>
</html>
`
}

/** What counts as a finding, in a sentence or two. */
export function rule({ alpha, leastEffect, correction, sampleSize }: DriftReport): string {
  const name = correction === 'holm' ? 'Holm' : 'Benjamini and Hochberg'
  return `A finding is a test with a p-value of at most ${alpha} after the correction of ${name} over the tests of its comparison, and an effect of at least ${leastEffect}. Counts, means, missing shares and categories are exact; the other figures of a number with more than ${sampleSize} values in a slice are those of a uniform sample of as many.`
}

const hasDrift = ({ subjects }: DriftComparison): boolean => subjects.some(isFound)
const isFound = ({ tests }: SubjectDrift): boolean => tests.some(({ isDrift }) => isDrift)

function verdict({ comparisons, alarms: told }: DriftReport, found: number): string {
  const compared = `${found} of ${comparisons.length} ${comparisons.length === 1 ? 'comparison' : 'comparisons'} with findings`
  return `${compared}; ${told.length} ${told.length === 1 ? 'alarm' : 'alarms'} over the error.`
}

const time = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z')
const between = ({ fromMs, toMs }: TimeRange): string => `${time(fromMs)} to ${time(toMs)}`

/** For each subject its effect and its mean, window by window. */
function overTime({ comparisons, leastEffect }: DriftReport): string {
  const subjects = (comparisons[0]?.subjects ?? []).map(({ subject }, index) => {
    const all = comparisons.map((each) => ({ atMs: each.current.fromMs, of: each.subjects[index]! }))
    const points = (read: (of: SubjectDrift) => number | null): SeriesPoint[] =>
      all.map(({ atMs, of }) => ({ atMs, value: read(of), isDrift: isFound(of) }))
    const findings = all.filter(({ of }) => isFound(of)).length
    const effect = points(({ tests }) =>
      tests.length === 0 ? null : Math.max(...tests.map((test) => test.effect)),
    )
    return {
      findings,
      html: `<div class="card${findings > 0 ? ' found' : ''}"><h3>${escaped(subject)}</h3><p class="${findings > 0 ? 'bad' : 'soft'}">${findings} of ${all.length} windows</p><p class="soft">effect</p>${seriesPlot(effect, `effect of ${subject}`, leastEffect)}<p class="soft">mean</p>${seriesPlot(
        points(({ current }) => current.mean),
        `mean of ${subject}`,
      )}</div>`,
    }
  })
  const sorted = subjects.sort((a, b) => b.findings - a.findings)
  return `<h2>Over time</h2><div class="cards">${sorted.map(({ html }) => html).join('\n')}</div>`
}

function slices(comparison: DriftComparison, isLast: boolean): string {
  const sorted = [...comparison.subjects].sort(
    (a, b) => Number(isFound(b)) - Number(isFound(a)) || largest(b) - largest(a),
  )
  return `<h2>${isLast ? 'The last window' : 'The two slices'}</h2>
<p><span class="key reference"></span>reference ${between(comparison.reference)}<span class="key current"></span>current ${between(comparison.current)}</p>
<div class="cards">${sorted.map(card).join('\n')}</div>
<h2>In figures</h2>
<div class="wide"><table><thead><tr>${['subject', 'test', 'effect', 'p', 'adjusted p', 'PSI', 'Jensen-Shannon', 'Wasserstein', 'new', 'mean before', 'mean now', 'missing before', 'missing now'].map((each) => `<th>${each}</th>`).join('')}</tr></thead><tbody>
${sorted.flatMap(rows).join('\n')}
</tbody></table></div>`
}

const largest = ({ tests }: SubjectDrift): number => Math.max(0, ...tests.map(({ effect }) => effect))

function card(subject: SubjectDrift): string {
  const found = subject.tests.filter(({ isDrift }) => isDrift)
  const said =
    found.length > 0
      ? found.map(({ test, effect }) => `${test} ${short(effect)}`).join(', ')
      : subject.tests.length === 0
        ? 'too few values to test'
        : 'no finding'
  return `<div class="card${found.length > 0 ? ' found' : ''}"><h3>${escaped(subject.subject)}</h3><p class="${found.length > 0 ? 'bad' : 'soft'}">${said}</p>${histogramPlot(subject.bins, subject.kind)}</div>`
}

function rows(subject: SubjectDrift): string[] {
  const { reference, current } = subject
  return subject.tests.map(({ test, effect, pValue, adjusted, isDrift }) => {
    const cells = [
      effect,
      pValue,
      adjusted,
      subject.populationStability,
      subject.jensenShannon,
      subject.wasserstein,
      subject.newCategories,
      reference.mean,
      current.mean,
      missingShare(reference),
      missingShare(current),
    ].map((value) => `<td>${value === null ? '–' : short(value)}</td>`)
    return `<tr${isDrift ? ' class="bad"' : ''}><td>${escaped(subject.subject)}</td><td>${test}</td>${cells.join('')}</tr>`
  })
}

const missingShare = ({ count, missing }: SubjectDrift['reference']): number =>
  count + missing === 0 ? 0 : missing / (count + missing)

function alarms({ detectors, errors, error, alarms: told }: DriftReport): string {
  const what = error === 'wrong' ? 'of wrong classes' : 'absolute'
  const listed = told.map(
    ({ detector, atMs, index }) =>
      `<tr><td>${escaped(detector)}</td><td>${time(atMs)}</td><td>${index}</td></tr>`,
  )
  const table =
    listed.length === 0
      ? '<p>No alarm.</p>'
      : `<div class="wide"><table><thead><tr><th>detector</th><th>at</th><th>errors before</th></tr></thead><tbody>${listed.join('')}</tbody></table></div>`
  return `<h2>Error, as it came in</h2><p class="soft">${errors} errors (${what}), watched by ${escaped(detectors.join(', '))}</p>${table}`
}
