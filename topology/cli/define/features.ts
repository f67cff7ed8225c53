import type { Command } from 'commander'
import { act } from './act.ts'
import { withDeclaration, withTopology } from './command-options.ts'

export function defineFeatures(program: Command): void {
  const features = program.command('features').description('look at features')
  withDeclaration(features.command('list').description('the feature views, and who uses them')).action(
    (options) => act(async () => (await import('../features-command.ts')).featuresListCommand(options)),
  )
  withDeclaration(features.command('show <view>').description('one view with its features')).action(
    (view: string, options) =>
      act(async () => (await import('../features-command.ts')).featuresShowCommand(view, options)),
  )
  withTopology(
    features
      .command('versions')
      .description('every version of every view that the log knows, and since when'),
  ).action((options) =>
    act(async () => (await import('../features-command.ts')).featuresVersionsCommand(options)),
  )
  withDeclaration(
    features.command('lineage').description('events, features and models as a graph in Mermaid'),
  )
    .option('--dot', 'for Graphviz instead')
    .addHelpText(
      'after',
      '\nExample:\n  headwater features lineage --topology ./topology.ts --dot | dot -Tsvg > lineage.svg',
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
  withTopology(features.command('get <view> <key...>').description('the features of an entity'))
    .option('--at <time>', 'as of this time, ISO-8601 or milliseconds (default: now)')
    .addHelpText('after', '\nExample:\n  headwater features get movie-taste 296 --data .headwater/movies')
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
