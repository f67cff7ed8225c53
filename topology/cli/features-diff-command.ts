import { changeText } from '../../processors/feature/view-meaning.ts'
import { folderViews } from '../runtime/folder-replay.ts'
import { requireData } from './data-folder.ts'
import { diffViews, diffWithLog, type ViewDiff } from './feature-diff.ts'
import { loadTopology } from './load-topology.ts'

/**
 * `features diff`: exit code 1 when a view needs a greater version than it
 * declares. Of one module alone it is held against the log.
 */
export async function featuresDiffCommand(
  before: string,
  after: string | undefined,
  { json = false, data }: { readonly json?: boolean; readonly data: string },
): Promise<number> {
  const views = await differences(before, after, data)
  if (json) for (const view of views) process.stdout.write(`${JSON.stringify(view)}\n`)
  else process.stdout.write(views.length === 0 ? 'no view differs\n' : views.map(textOf).join('\n'))
  return views.some(({ raiseTo }) => raiseTo !== undefined) ? 1 : 0
}

async function differences(
  before: string,
  after: string | undefined,
  data: string,
): Promise<readonly ViewDiff[]> {
  const topology = await loadTopology(before)
  if (after !== undefined) return diffViews(topology, await loadTopology(after))
  requireData(data)
  return diffWithLog(await folderViews({ topology, data }), topology)
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
