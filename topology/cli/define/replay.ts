import { type Command, Option } from 'commander'
import { act } from './act.ts'
import { placesHelp, wholeNumber, withSource, withTask, withTopology } from './command-options.ts'
import { definePolicy } from './policy.ts'
import { defineTrainingSet } from './training-set.ts'

export function defineReplay(program: Command): void {
  const replay = program.command('replay').description('fold the log again, and compare')
  withTask(
    withSource(
      replay
        .command('audit')
        .description('recompute every prediction at its position and compare it bit for bit'),
    ),
  )
    .option('--from <place>', 'compare predictions from here on')
    .option('--to <place>', 'compare predictions before here')
    .addHelpText(
      'after',
      `
Writes nothing, and works beside a running engine. Exit code 1 when a prediction differs.
${placesHelp}
Where the application runs as several tasks, those with models are folded, one after the other.

Examples:
  headwater replay audit --data .headwater/movies
  headwater replay audit --from "#1200" --to "#1300" --data .headwater/movies
  headwater replay audit --topology ./topology.ts --kafka localhost:9092 --registry http://localhost:8081`,
    )
    .action((options) => act(async () => (await import('../replay-command.ts')).auditCommand(options)))
  withTask(
    withSource(
      replay.command('rebuild').description('fold all state anew from the inputs and compare the digests'),
    ),
  )
    .addHelpText(
      'after',
      `
With --kafka the cluster is only read; the state to compare with is that of --data, whose engine must not be running.
Where the application runs as several tasks, each is folded and compared by itself, and one digest is told of all.

Examples:
  headwater replay rebuild --data .headwater/movies
  headwater replay rebuild --data .headwater/movies --kafka localhost:9092
  headwater replay rebuild --data .headwater/shop --kafka localhost:9092 --task shop-0-3`,
    )
    .action((options) => act(async () => (await import('../replay-command.ts')).rebuildCommand(options)))
  withSource(
    replay
      .command('drift')
      .description(
        'compare slices of the predictions and labels of a model: features, output, label and error',
      ),
  )
    .option('--model <name>', 'which model (default: the only one)')
    .option(
      '--reference-from <place>',
      'start of what is normal (default: the first half; with --every the window before)',
    )
    .option('--reference-to <place>', 'its end, not included')
    .option('--from <place>', 'start of what is judged (default: the second half; with --every all)')
    .option('--to <place>', 'its end, not included')
    .option('--every <duration>', 'judge window by window, as 12h or 7d')
    .option('--alpha <number>', 'adjusted p-values at most this are findings (default: 0.01)')
    .option('--least-effect <number>', 'changes smaller than this are let pass (default: 0.1)')
    .addOption(new Option('--correction <name>', 'for many tests').choices(['benjamini-hochberg', 'holm']))
    .option('--html <file>', 'write a report with plots, one file')
    .option('--record', 'append the result to the log as drift-metric events')
    .addHelpText(
      'after',
      `
${placesHelp}
Slices are of event time: a record or a commit stands for its own. Exit code 1 when there are findings.

Examples:
  headwater replay drift --every 30d --html drift.html --data .headwater/movies
  headwater replay drift --reference-from "#0" --reference-to "#500" --from "#500" --to "#900" --data .headwater/movies`,
    )
    .action((options) => act(async () => (await import('../drift-command.ts')).driftCommand(options)))

  withSource(
    replay
      .command('evaluate')
      .description("a model's served answers against the labels that came, beside a candidate and the mean"),
  )
    .option('--model <name>', 'which model (default: the only one)')
    .option('--from <place>', 'predictions from here on')
    .option('--to <place>', 'predictions before here')
    .option('--candidate <module#model>', 'another topology, replayed over the same log and judged beside')
    .option('--by <what>', 'slices: a feature, a part of an entity key, variant, version, day, week or month')
    .option('--group-by <key>', 'rank the rows that share this part of an entity key')
    .option('--k <number>', 'with --group-by: places looked at (default: 10)', wholeNumber(1, 1_000_000))
    .option('--threshold <numbers>', 'probabilities from here on are yes (default: 0.5)')
    .option('--quantile <numbers>', 'of a regression: quantiles whose loss is told (default: 0.5,0.9)')
    .option('--bootstrap <number>', 'resamples for the intervals, 0 for none', wholeNumber(0, 100_000), 300)
    .option('--confidence <number>', 'of the intervals (default: 0.95)')
    .option('--seed <number>', 'of the resamples', wholeNumber(0, 4_294_967_295), 1)
    .addHelpText(
      'after',
      `
Works beside a running engine and writes nothing. Exit code 1 when a feature or a label looks like a leak.
${placesHelp}

Examples:
  headwater replay evaluate --data .headwater/movies --by month
  headwater replay evaluate --candidate ./next.ts --from 2017-01-01 --threshold 0.3,0.5,0.7 --data .headwater/movies
  headwater replay evaluate --group-by userId --k 5 --json --data .headwater/movies`,
    )
    .action((options) => act(async () => (await import('../evaluate-command.ts')).evaluateCommand(options)))

  withSource(
    replay
      .command('counterfactual')
      .description(
        'what another model would have answered to the same requests, and whom the labels bear out',
      )
      .requiredOption('--candidate <module#model>', 'the other topology, replayed over the same log'),
  )
    .option('--model <name>', 'in whose place (default: the only one)')
    .option('--from <place>', 'requests from here on')
    .option('--to <place>', 'requests before here')
    .option('--threshold <number>', 'answers from here on are yes (default: 0.5)')
    .option('--largest <number>', 'largest differences told of', wholeNumber(0, 10_000), 10)
    .addHelpText(
      'after',
      `
It compares answers. What people would have done about other answers is not in the log; of a model that decides, and
tries actions out, "headwater replay policy" estimates it.
${placesHelp}

Example:
  headwater replay counterfactual --candidate ./next.ts --threshold 0.7 --data .headwater/movies`,
    )
    .action((options) =>
      act(async () => (await import('../counterfactual-command.ts')).counterfactualCommand(options)),
    )

  definePolicy(replay)

  withSource(
    replay
      .command('explain <request-id>')
      .description('what is behind one prediction: features, their events, what each did, model, position'),
  )
    .option('--model <name>', 'which model (default: the only one)')
    .option('--events <number>', 'events listed for each feature, the newest first', wholeNumber(0, 1000), 3)
    .addHelpText(
      'after',
      '\nExit code 1 when the prediction cannot be made again as it was served.\n\nExample:\n  headwater replay explain 599-296 --data .headwater/movies',
    )
    .action((requestId, options) =>
      act(async () => (await import('../explain-command.ts')).explainCommand(requestId, options)),
    )

  withTopology(
    replay
      .command('backfill')
      .description(
        'fold the state of a changed topology beside the running engine, or bring history in from a file',
      ),
  )
    .option('--dry-run', 'say how many records there are, and about how long it takes')
    .option(
      '--file <path>',
      'bring its rows in as events: .parquet, .csv, .ndjson, .jsonl, text also with .gz',
    )
    .option('--event <name>', 'with --file: which event the rows are')
    .option('--columns <field=column,...>', 'with --file: columns that are not named as their field')
    .addOption(
      new Option('--time-unit <unit>', 'with --file: unit of times that are plain numbers').choices([
        'ms',
        's',
        'us',
        'ns',
      ]),
    )
    .option('--skip-refused', 'with --file: bring the good rows in although others do not fit')
    .option('--follow', 'go on following the running engine until ^C')
    .option(
      '--threads <number>',
      'where only views are new: most processes that fold at once (default: one a core)',
      wholeNumber(1, 256),
    )
    .option('--swap', 'then have the running engine go on with it, at one position of the log')
    .option('--cancel', 'end the backfill of this folder, take --swap back, and remove what was folded')
    .addHelpText(
      'after',
      `
Without --file it reads the log beside a running engine and writes to folders of its own in <data>. Interrupted or
killed, it goes on when it is run again. Exit code 1 when it was interrupted, cancelled or not taken.

With --swap the running engine takes it between two batches: every record before that place is the old topology's, every
record behind it the new one's. A start that names the old module runs the new one from then on. Where no engine runs,
the next start takes it.

With --file the rows become events with their own event times, each row once however often it is run; the engine must
not be running. The whole file is checked first. Exit code 1 when rows were refused.

Examples:
  headwater replay backfill --data .headwater/taxi --topology ./next.ts --dry-run
  headwater replay backfill --data .headwater/taxi --topology ./next.ts --swap
  headwater replay backfill --data .headwater/taxi --topology ./next.ts
  headwater run ./next.ts --data .headwater/taxi
  headwater replay backfill --file trips-2023.parquet --event trip --columns zone=PULocationID --data .headwater/taxi`,
    )
    .action((options) =>
      act(async () =>
        options.file === undefined
          ? (await import('../backfill-command.ts')).backfillCommand(options)
          : (await import('../backfill-file-command.ts')).backfillFileCommand(options),
      ),
    )

  defineTrainingSet(replay)
}
