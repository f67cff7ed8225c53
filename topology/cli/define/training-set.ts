import { type Command, Option } from 'commander'
import { act } from './act.ts'
import { offset, placesHelp, wholeNumber, withSource } from './command-options.ts'

export function defineTrainingSet(replay: Command): void {
  withSource(
    replay
      .command('training-set')
      .description('write labels and features to a file: each row as the model saw it, or would have seen it')
      .requiredOption('--out <file>', 'the file: .parquet, .avro, .csv, .ndjson or .jsonl'),
  )
    .option('--model <name>', 'whose predictions are the rows (default: the only one)')
    .option(
      '--labels <file>',
      'rows of a file (.parquet, .csv, .ndjson; text also .gz) instead of predictions',
    )
    .option('--label-event <name>', 'rows of a declared event instead, as of its time or --time-column')
    .option('--time-column <name>', 'features are as of this time')
    .addOption(new Option('--time-unit <unit>', 'of times that are numbers').choices(['s', 'ms', 'us', 'ns']))
    .option('--key <entity=column>', 'column of an entity, where it has another name; several with commas')
    .option('--label-column <name>', 'for weights, sampling and strata')
    .option('--view <names>', 'which views, with commas (default: all whose entity the file names)')
    .option('--wait <duration>', 'wait so long for late events (default: as long as the views allow)')
    .option(
      '--features <module#view>',
      'views that the log never knew, computed as of each row; several with commas, without # all that the module has',
    )
    .option('--from <place>', 'only rows from here on')
    .option('--to <place>', 'only rows before here')
    .option('--until-commit <number>', 'fold so many batches of the log, as a provenance says', offset)
    .option('--with-unlabelled', 'keep rows without a label')
    .option('--with-unserved', 'keep rows of triggers that the model was never asked about')
    .option(
      '--split <times>',
      'split by time: one time for train and test, two for train, validation and test',
    )
    .option('--gap <duration>', 'with --split: leave out rows so shortly before a time, as 7d')
    .option('--shares <numbers>', 'split by a seeded draw: 0.8,0.2 or 0.8,0.1,0.1')
    .option('--group <field>', 'with --shares: rows with the same entity stay together')
    .option('--stratified', 'with --shares: the same shares of each label')
    .option(
      '--keep <label=share>',
      'keep this share of the rows with a label, as 0=0.1; their weight makes up for it',
    )
    .option('--class-weights <weights>', '"balanced", or label=weight with commas')
    .option('--seed <number>', 'of every draw', offset, 0)
    .option(
      '--row-group <number>',
      'rows of a row group, in memory at once',
      wholeNumber(1, 10_000_000),
      20_000,
    )
    .option('--strict', 'refuse where a row is not what was served, or could not be read')
    .option('--dry-run', 'count, estimate, write nothing')
    .addHelpText(
      'after',
      `
Two modes:
  position   without --labels: a row for each prediction of the model that has a label, with the features that the
             model saw. The log is folded anew in its recorded order and every row compared with what was served.
             A late event that had not arrived then is not seen now.
  time       with --labels or --label-event: every row of the file or topic once, in its order, with the features as of its time. Windows hold
             the events before that time, lookups those up to it, of the events that had come when event time passed
             it by --wait. With --model the columns are the model's, and the file has the fields of its trigger.
With --features, views that did not exist then are read at the same place, by the same code.

${placesHelp}
In the mode time a record or a commit stands for its event time.
Where the application runs as several tasks, the log is folded as the task has read it that has the model, or all events
of the views; where there is no such task, in the order of event times, and --until-commit is refused.

The file is written beside its name and renamed when it is whole. The same command gives the same bytes. Where the rows
come from stands in the metadata of a Parquet or Avro file, and beside a text file in <file>.provenance.json.

Examples:
  headwater replay training-set --out train.parquet --data .headwater/movies
  headwater replay training-set --out train.parquet --split 2018-01-01,2018-06-01 --gap 7d --data .headwater/movies
  headwater replay training-set --out churn.parquet --labels churn.csv --time-column asked_at --key userId=customer \\
    --data .headwater/movies
  headwater replay training-set --out train.avro --from "#1000" --data .headwater/movies
  headwater replay training-set --out new.parquet --features ./idea.ts#genre-mood --data .headwater/movies`,
    )
    .action((options) =>
      act(async () => (await import('../training-set-command.ts')).trainingSetCommand(options)),
    )
}
