import { Changelog, type ChangelogSpec } from '../state/commit/changelog.ts'
import type { RestoreProgress } from '../state/commit/changelog-restore.ts'
import { nextSequence } from '../state/commit/commit-log.ts'
import type { BoundContract } from '../state/contracts/codec.ts'
import type { TopicSpec } from '../state/log/log.ts'

export interface ChangelogOptions {
  /** Another process works on the task: checkpoints are put on the changelog from `lead` on. */
  readonly standby?: boolean
  /** Wall clock in ms. */
  readonly now: () => number
  readonly onRestore?: (progress: RestoreProgress) => void
  /** Told why local state was not used. */
  readonly onNotice?: (text: string) => void
}

interface ChangelogOwner
  extends ChangelogOptions,
    Omit<ChangelogSpec, keyof ChangelogOptions | 'place' | 'committed'> {
  readonly app: string
  /** How many the application has: a partition each. */
  readonly tasks: number
  /** That of this one, of the changelog and of the commits. */
  readonly partition: number
  readonly commits: BoundContract<{ readonly task: string; readonly sequence: number }>
  readonly inputs: readonly { readonly topic: string; readonly partition: number }[]
}

/** Where the checkpoints of an application are kept: a partition each task. */
export const changelogTopic = (app: string, tasks = 1): TopicSpec => ({
  name: `${app}-changelog`,
  partitions: tasks,
  compacted: true,
})

/** Creates the topic, or checks that it is one that keeps the last record of every key. */
export async function openChangelog(owner: ChangelogOwner): Promise<Changelog> {
  const { app, tasks, partition, commits, inputs, log, task } = owner
  const topic = changelogTopic(app, tasks)
  await log.createTopic(topic)
  return new Changelog({
    ...owner,
    place: { topic: topic.name, partition },
    async committed() {
      const offsets = inputs.map((input) => log.offsets(input.topic, input.partition))
      return {
        nextSequence: await nextSequence({ log, commits, task, partition }),
        inputs: await Promise.all(offsets),
      }
    },
  })
}
