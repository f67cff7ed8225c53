import { diffViews, type MeaningChange, type ViewDiff } from './feature-diff.ts'
import { loadTopology } from './load-topology.ts'

/** `features diff`: exit code 1 when a view needs a greater version than it declares. */
export async function featuresDiffCommand(
  before: string,
  after: string,
  { json = false }: { readonly json?: boolean },
): Promise<number> {
  const views = diffViews(await loadTopology(before), await loadTopology(after))
  if (json) for (const view of views) process.stdout.write(`${JSON.stringify(view)}\n`)
  else process.stdout.write(views.length === 0 ? 'no view differs\n' : views.map(textOf).join('\n'))
  return views.some(({ raiseTo }) => raiseTo !== undefined) ? 1 : 0
}

function textOf({ view, change, added, removed, changed, described, ...versions }: ViewDiff): string {
  const { versionBefore, versionAfter, raiseTo } = versions
  const version = [versionBefore, versionAfter].filter((each) => each !== undefined)
  const lines = [
    `${change} view ${view} (version ${[...new Set(version)].join(' -> ')})`,
    ...added.map((name) => `  + ${name}`),
    ...removed.map((name) => `  - ${name}`),
    ...[...changed, ...described].map((each) => `  ~ ${changeText(each)}`),
    ...(raiseTo === undefined
      ? []
      : [`  version ${versionAfter} would have two meanings: raise version to ${raiseTo}`]),
  ]
  return `${lines.join('\n')}\n`
}

const changeText = ({ feature, what, before, after }: MeaningChange): string =>
  `${feature === undefined ? what : `${feature}: ${what}`} ${before} -> ${after}`
