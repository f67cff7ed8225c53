import { type Command, Option } from 'commander'
import { act } from './act.ts'
import { withSource, withTopology } from './command-options.ts'

const ofLog = `With --topology alone it is the module's word. With --data of a folder where it ran, or --kafka, also what the log
has of its views: all versions, since when, and who used them, those that the module declares no more included.
Without any of them it is the module that ran in the working folder.`

export function defineFeatures(program: Command): void {
  const features = program.command('features').description('look at features')
  withSource(features.command('list').description('the feature views, who uses them, and since when'))
    .addHelpText(
      'after',
      `
${ofLog}

Examples:
  headwater features list --topology ./topology.ts
  headwater features list --data .headwater/shop
  headwater features list --kafka localhost:9092 --topology ./topology.ts --json`,
    )
    .action((options) =>
      act(async () => (await import('../features-command.ts')).featuresListCommand(options)),
    )
  withSource(features.command('show <view>').description('one view with its features and its versions'))
    .addHelpText(
      'after',
      `\n${ofLog}\n\nExample:\n  headwater features show customer-spend --data .headwater/shop`,
    )
    .action((view: string, options) =>
      act(async () => (await import('../features-command.ts')).featuresShowCommand(view, options)),
    )
  withSource(
    features
      .command('versions')
      .description('every version of every view that the log knows, and since when'),
  ).action((options) =>
    act(async () => (await import('../features-command.ts')).featuresVersionsCommand(options)),
  )
  withSource(features.command('lineage').description('events, features and models as a graph in Mermaid'))
    .option('--dot', 'for Graphviz instead')
    .option('--features', 'with a node for each feature, between the events and its view')
    .addHelpText(
      'after',
      `
${ofLog}
There a version that the module does not declare any more "was read by" those who read it last.

Examples:
  headwater features lineage --topology ./topology.ts --dot | dot -Tsvg > lineage.svg
  headwater features lineage --data .headwater/shop --features`,
    )
    .action((options) =>
      act(async () => (await import('../features-command.ts')).featuresLineageCommand(options)),
    )
  features
    .command('diff <topology> [next]')
    .description(
      'what two topology modules declare differently, or one and the log, and which views need a greater version',
    )
    .option('--data <dir>', 'of one module: the folder whose log it is held against', '.')
    .option('--json', 'print JSON, one view a line')
    .addHelpText(
      'after',
      '\nExit code 1 when a view means something else under the same version.\n\nExamples:\n  headwater features diff ./served/topology.ts ./topology.ts\n  headwater features diff ./topology.ts --data .headwater/shop',
    )
    .action((before: string, after: string | undefined, options) =>
      act(async () =>
        (await import('../features-diff-command.ts')).featuresDiffCommand(before, after, options),
      ),
    )
  withTopology(
    features.command('load <view>').description('values of a static view from a file, as events on the log'),
  )
    .requiredOption('--file <path>', 'Parquet, CSV or NDJSON: a row an event, columns named as its fields')
    .option('--at <time>', 'event time of all rows, where the file has none (default: now)')
    .option('--event <name>', 'which event the rows are, where the view has several sources')
    .addOption(
      new Option('--time-unit <unit>', 'of times that are plain numbers').choices(['s', 'ms', 'us', 'ns']),
    )
    .option('--skip-refused', 'load the other rows where some do not fit')
    .addHelpText(
      'after',
      `
The rows go through the running engine, else straight to the log; audits and replays see them at their place.
A row that is on the log already is left out: with its time, or without one where it is the newest of its key.
Exit code 1 when rows were refused; they are told by reason, and nothing is loaded without --skip-refused.

Example:
  headwater features load movie --file movies.csv --at 2024-05-01 --data .headwater/movies`,
    )
    .action((view: string, options) =>
      act(async () => (await import('../features-load-command.ts')).featuresLoadCommand(view, options)),
    )
  withSource(features.command('get <view> <key...>').description('the features of an entity'))
    .option('--at <time>', 'as of this time, ISO-8601 or milliseconds (default: now)')
    .addHelpText(
      'after',
      `
With --data the engine that runs there is asked, or its state is read. With --kafka the state of the task that has the
entity is restored from its changelog, beside those who run the application or without any; nothing is written there.

Examples:
  headwater features get movie-taste 296 --data .headwater/movies
  headwater features get movie-taste 296 --topology ./topology.ts --kafka localhost:9092`,
    )
    .action((view: string, key: string[], options) =>
      act(async () => (await import('../features-command.ts')).featuresGetCommand(view, key, options)),
    )

  const predictions = program.command('predictions').description('look at past predictions')
  withTopology(
    predictions
      .command('show <request-id>')
      .description('a prediction with the features, version and position behind it'),
  )
    .option('--model <name>', 'which model (default: the only one)')
    .addHelpText('after', '\nExample:\n  headwater predictions show 599-296 --data .headwater/movies')
    .action((requestId: string, options) =>
      act(async () => (await import('../predictions-command.ts')).predictionsShowCommand(requestId, options)),
    )
}
