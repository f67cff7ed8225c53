#!/usr/bin/env node
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError, Option } from 'commander'
import { EngineError } from '../../state/contracts/engine-error.ts'
import { backfillCommand } from './backfill-command.ts'
import { backfillFileCommand } from './backfill-file-command.ts'
import { CliError } from './cli-error.ts'
import { counterfactualCommand } from './counterfactual-command.ts'
import {
  deadLettersExplainCommand,
  deadLettersListCommand,
  deadLettersReinjectCommand,
} from './dead-letters-command.ts'
import { driftCommand } from './drift-command.ts'
import { evaluateCommand } from './evaluate-command.ts'
import { explainCommand } from './explain-command.ts'
import {
  featuresGetCommand,
  featuresLineageCommand,
  featuresListCommand,
  featuresShowCommand,
} from './features-command.ts'
import { featuresDiffCommand } from './features-diff-command.ts'
import { initCommand } from './init-command.ts'
import { kafkaDoctorCommand } from './kafka-doctor-command.ts'
import { appendCommand, followCommand, readCommand, topicsCommand, verifyCommand } from './log-command.ts'
import { migrateCommand } from './migrate-command.ts'
import { predictionsShowCommand } from './predictions-command.ts'
import { qualityReportCommand } from './quality-command.ts'
import { auditCommand, rebuildCommand } from './replay-command.ts'
import { runCommand } from './run-command.ts'
import { trainingSetCommand } from './training-set-command.ts'

/*
 * Exit codes: 0 done; 1 the answer is no (a mismatch, damage found, nothing
 * there); 2 the command was used wrongly or cannot be done; 3 an engine error.
 */

const wholeNumber =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}, got "${text}"`)
    }
    return value
  }

const offset = wholeNumber(0, Number.MAX_SAFE_INTEGER)

const program = new Command('headwater')
  // Commander's own exit code of a wrong option is 1, which here is an answer; subcommands inherit this.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .description('A stream-processing-first, event-sourced engine for machine learning.')
  .version('0.1.0')
  .showHelpAfterError('(see --help)')
  .enablePositionalOptions()
  .configureHelp({ sortSubcommands: false })

const withRunOptions = (command: Command): Command =>
  command
    .option('--data <dir>', 'folder of the log and the state (default: .headwater/<topology name>)')
    .option('--once', 'end when everything is processed, instead of serving')
    .option('--json', 'print one JSON line instead of tables and progress')
    .option('--host <address>', 'address to serve on', '127.0.0.1')
    .option('--port <number>', 'port to serve on, 0 for any free one', wholeNumber(0, 65_535), 7070)
    .addOption(new Option('--token <text>', 'bearer token that callers must send').env('HEADWATER_TOKEN'))
    .option('--kafka <brokers>', 'keep the log on a Kafka cluster: host:port, several with commas')
    .option(
      '--kafka-config <file>',
      'JSON with the rest of the connection: ssl, sasl, topicPrefix, replicationFactor, registry.auth',
    )
    .option(
      '--registry <url>',
      'Confluent-compatible schema registry (with --kafka; default: a topic of the application)',
    )
    .option('--open', 'serve on an address other than loopback without a token')
    .option(
      '--instance-id <id>',
      'name of this process among those that run the same topology (with --kafka; default: kept in the data folder)',
    )
    .option(
      '--advertise <url>',
      'where the other processes reach this one (with --kafka; default: the address it serves on)',
    )
    .option(
      '--standbys <number>',
      'other processes that keep the state up to date to take over (with --kafka; default: 1)',
      wholeNumber(0, 100),
    )
    .option(
      '--session-timeout <ms>',
      'a process that is silent for so long is taken for dead (with --kafka; default: 10000)',
      wholeNumber(1_000, 300_000),
    )

withRunOptions(
  program.command('run <topology>').description('run the topology that a module exports, in this process'),
)
  .addHelpText(
    'after',
    `
Examples:
  headwater run ./topology.ts
  headwater run ./topology.ts --data /var/lib/shop --port 8080
  headwater run ./topology.ts --once --json
  headwater run ./topology.ts --kafka localhost:9092 --registry http://localhost:8081

Two processes that take over from each other, each with its own data folder:
  headwater run ./topology.ts --kafka localhost:9092 --data ./one --port 7070
  headwater run ./topology.ts --kafka localhost:9092 --data ./two --port 7071
  curl localhost:7071/v1/instance`,
  )
  .action((module: string, options) => act(() => runCommand(module, options)))

withRunOptions(
  program.command('start').description('run the MovieLens example: 100,836 ratings, judged and learned live'),
).action((options) =>
  act(() => {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const example = new URL(`../examples/movies/topology.${extension}`, import.meta.url)
    return runCommand(fileURLToPath(example), options)
  }),
)

const withData = (command: Command): Command =>
  command
    .requiredOption('--data <dir>', 'folder of the log and the state')
    .option('--json', 'print JSON, one value a line')

const withTopology = (command: Command): Command =>
  withData(command).option(
    '--topology <module>',
    'module of the topology (default: the one that ran there last)',
  )

/** Commands that need the declaration and no data: of a module, or of the folder where it ran last. */
const withDeclaration = (command: Command): Command =>
  command
    .option('--topology <module>', 'module of the topology')
    .option('--data <dir>', 'folder where it ran last, in place of --topology', '.')
    .option('--json', 'print JSON, one value a line')

const log = program.command('log').description('look at the log, append to it, check it')
withData(log.command('topics').description('topics with partitions, records and offsets')).action((options) =>
  act(() => topicsCommand(options)),
)
withData(log.command('read <topic>').description('print records, decoded'))
  .option('--partition <number>', 'only this partition', wholeNumber(0, 1_000_000))
  .option('--from <offset>', 'first offset (default: the oldest)', offset)
  .option('--limit <number>', 'at most this many records', offset, 20)
  .addHelpText(
    'after',
    '\nExample:\n  headwater log read movies-predictions --data .headwater/movies --limit 3',
  )
  .action((topic: string, options) => act(() => readCommand(topic, options)))
withTopology(
  log
    .command('append <event> [file]')
    .description('append events, one JSON a line, from a file or the standard input'),
).action((event: string, file: string | undefined, options) => act(() => appendCommand(event, file, options)))
withData(log.command('follow <topic>').description('print records as they come, until ^C')).action(
  (topic: string, options) => act(() => followCommand(topic, options)),
)
withData(log.command('verify').description('read every byte of the log and check it')).action((options) =>
  act(() => verifyCommand(options)),
)
const deadLetters = log.command('dead-letters').description('records that were refused')
withData(deadLetters.command('list').description('refused records with the reason'))
  .option('--limit <number>', 'at most this many', offset, 20)
  .action((options) => act(() => deadLettersListCommand(options)))
withData(deadLetters.command('explain <number>').description('everything about one of them')).action(
  (number: string, options) => act(() => deadLettersExplainCommand(offset(number), options)),
)
withTopology(
  deadLetters.command('reinject <number>').description('append its original bytes to its topic again'),
).action((number: string, options) => act(() => deadLettersReinjectCommand(offset(number), options)))

const features = program.command('features').description('look at features')
withDeclaration(features.command('list').description('the feature views, and who uses them')).action(
  (options) => act(() => featuresListCommand(options)),
)
withDeclaration(features.command('show <view>').description('one view with its features')).action(
  (view: string, options) => act(() => featuresShowCommand(view, options)),
)
withDeclaration(features.command('lineage').description('events, features and models as a graph in Mermaid'))
  .option('--dot', 'for Graphviz instead')
  .addHelpText(
    'after',
    '\nExample:\n  headwater features lineage --topology ./topology.ts --dot | dot -Tsvg > lineage.svg',
  )
  .action((options) => act(() => featuresLineageCommand(options)))
features
  .command('diff <before> <after>')
  .description('what two topology modules declare differently, and which views need a greater version')
  .option('--json', 'print JSON, one view a line')
  .addHelpText(
    'after',
    '\nExit code 1 when a view means something else under the same version.\n\nExample:\n  headwater features diff ./served/topology.ts ./topology.ts',
  )
  .action((before: string, after: string, options) => act(() => featuresDiffCommand(before, after, options)))
withTopology(features.command('get <view> <key...>').description('the features of an entity'))
  .option('--at <time>', 'as of this time, ISO-8601 or milliseconds (default: now)')
  .addHelpText('after', '\nExample:\n  headwater features get movie-taste 296 --data .headwater/movies')
  .action((view: string, key: string[], options) => act(() => featuresGetCommand(view, key, options)))

const predictions = program.command('predictions').description('look at past predictions')
withTopology(
  predictions
    .command('show <request-id>')
    .description('a prediction with the features, version and position behind it'),
)
  .option('--model <name>', 'which model (default: the only one)')
  .addHelpText('after', '\nExample:\n  headwater predictions show 599-296 --data .headwater/movies')
  .action((requestId: string, options) => act(() => predictionsShowCommand(requestId, options)))

const replay = program.command('replay').description('fold the log again, and compare')
withTopology(
  replay
    .command('audit')
    .description('recompute every prediction at its position and compare it bit for bit'),
).action((options) => act(() => auditCommand(options)))
withTopology(
  replay.command('rebuild').description('fold all state anew from the inputs and compare the digests'),
).action((options) => act(() => rebuildCommand(options)))
withTopology(
  replay
    .command('drift')
    .description(
      'compare slices of the predictions and labels of a model: features, output, label and error',
    ),
)
  .option('--model <name>', 'which model (default: the only one)')
  .option(
    '--reference-from <time>',
    'start of what is normal (default: the first half; with --every the window before)',
  )
  .option('--reference-to <time>', 'its end, not included')
  .option('--from <time>', 'start of what is judged (default: the second half; with --every all)')
  .option('--to <time>', 'its end, not included')
  .option('--every <duration>', 'judge window by window, as 12h or 7d')
  .option('--alpha <number>', 'adjusted p-values at most this are findings (default: 0.01)')
  .option('--least-effect <number>', 'changes smaller than this are let pass (default: 0.1)')
  .addOption(new Option('--correction <name>', 'for many tests').choices(['benjamini-hochberg', 'holm']))
  .option('--html <file>', 'write a report with plots, one file')
  .option('--record', 'append the result to the log as drift-metric events')
  .addHelpText(
    'after',
    '\nTimes are ISO 8601 or milliseconds. Exit code 1 when there are findings.\n\nExample:\n  headwater replay drift --every 30d --html drift.html --data .headwater/movies',
  )
  .action((options) => act(() => driftCommand(options)))

withTopology(
  replay
    .command('evaluate')
    .description("a model's served answers against the labels that came, beside a candidate and the mean"),
)
  .option('--model <name>', 'which model (default: the only one)')
  .option('--from <time>', 'predictions from this time on')
  .option('--to <time>', 'predictions before this time')
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

Examples:
  headwater replay evaluate --data .headwater/movies --by month
  headwater replay evaluate --candidate ./next.ts --from 2017-01-01 --threshold 0.3,0.5,0.7 --data .headwater/movies
  headwater replay evaluate --group-by userId --k 5 --json --data .headwater/movies`,
  )
  .action((options) => act(() => evaluateCommand(options)))

withTopology(
  replay
    .command('counterfactual')
    .description('what another model would have answered to the same requests, and whom the labels bear out')
    .requiredOption('--candidate <module#model>', 'the other topology, replayed over the same log'),
)
  .option('--model <name>', 'in whose place (default: the only one)')
  .option('--from <time>', 'requests from this time on')
  .option('--to <time>', 'requests before this time')
  .option('--threshold <number>', 'answers from here on are yes (default: 0.5)')
  .option('--largest <number>', 'largest differences told of', wholeNumber(0, 10_000), 10)
  .addHelpText(
    'after',
    `
It compares answers. What people would have done about other answers is not in the log.

Example:
  headwater replay counterfactual --candidate ./next.ts --threshold 0.7 --data .headwater/movies`,
  )
  .action((options) => act(() => counterfactualCommand(options)))

withTopology(
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
  .action((requestId, options) => act(() => explainCommand(requestId, options)))

withTopology(
  replay
    .command('backfill')
    .description(
      'fold the state of a changed topology beside the running engine, or bring history in from a file',
    ),
)
  .option('--dry-run', 'say how many records there are, and about how long it takes')
  .option('--file <path>', 'bring its rows in as events: .parquet, .csv, .ndjson, .jsonl, text also with .gz')
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
  .option('--cancel', 'give up the backfill of this folder and remove it')
  .addHelpText(
    'after',
    `
Without --file it reads the log beside a running engine and writes to <data>/backfill alone. Interrupted or killed, it
goes on when it is run again. Exit code 1 when it was interrupted.

With --file the rows become events with their own event times, each row once however often it is run; the engine must
not be running. The whole file is checked first. Exit code 1 when rows were refused.

Examples:
  headwater replay backfill --data .headwater/taxi --topology ./next.ts --dry-run
  headwater replay backfill --data .headwater/taxi --topology ./next.ts
  headwater run ./next.ts --data .headwater/taxi
  headwater replay backfill --file trips-2023.parquet --event trip --columns zone=PULocationID --data .headwater/taxi`,
  )
  .action((options) =>
    act(() => (options.file === undefined ? backfillCommand(options) : backfillFileCommand(options))),
  )

const quality = program.command('quality').description('hold the data against what is declared of it')
withTopology(
  quality
    .command('report')
    .description('judge the whole log by the expectations of the topology: counts and worst windows'),
)
  .option('--from <time>', 'count only windows from here on, ISO 8601 or milliseconds (default: all)')
  .option('--to <time>', 'and only those that end by then')
  .option('--worst <number>', 'failing windows told of each expectation', wholeNumber(0, 1000), 3)
  .addHelpText(
    'after',
    `
Works beside a running engine and writes nothing. Exit code 1 when an expectation is not met.

Examples:
  headwater quality report --data .headwater/taxi
  headwater quality report --data .headwater/taxi --topology ./stricter.ts --json`,
  )
  .action((options) => act(() => qualityReportCommand(options)))

withTopology(
  replay
    .command('training-set')
    .description('write labels and features to a file: each row as the model saw it, or would have seen it')
    .requiredOption('--out <file>', 'the file: .parquet, .csv, .ndjson or .jsonl'),
)
  .option('--model <name>', 'whose predictions are the rows (default: the only one)')
  .option('--labels <file>', 'rows of a file (.parquet, .csv, .ndjson; text also .gz) instead of predictions')
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
  .option('--from <time>', 'only rows from this time on')
  .option('--to <time>', 'only rows before this time')
  .option('--until-commit <number>', 'fold so many batches of the log, as a provenance says', offset)
  .option('--with-unlabelled', 'keep rows without a label')
  .option('--with-unserved', 'keep rows of triggers that the model was never asked about')
  .option('--split <times>', 'split by time: one time for train and test, two for train, validation and test')
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

The file is written beside its name and renamed when it is whole. The same command gives the same bytes.

Examples:
  headwater replay training-set --out train.parquet --data .headwater/movies
  headwater replay training-set --out train.parquet --split 2018-01-01,2018-06-01 --gap 7d --data .headwater/movies
  headwater replay training-set --out churn.parquet --labels churn.csv --time-column asked_at --key userId=customer \\
    --data .headwater/movies
  headwater replay training-set --out new.parquet --features ./idea.ts#genre-mood --data .headwater/movies`,
  )
  .action((options) => act(() => trainingSetCommand(options)))

const withCluster = (command: Command): Command =>
  command
    .requiredOption('--kafka <brokers>', 'the Kafka cluster: host:port, several with commas')
    .option(
      '--kafka-config <file>',
      'JSON with the rest of the connection: ssl, sasl, topicPrefix, replicationFactor, registry.auth',
    )

const kafka = program.command('kafka').description('look at a Kafka cluster')
withCluster(
  kafka
    .command('doctor [topology]')
    .description('check brokers, topics, permissions, co-partitioning, registry and clock; say what to do'),
)
  .option('--json', 'print JSON, one value a line')
  .option('--registry <url>', 'Confluent-compatible schema registry to check too')
  .option('--no-probe', 'write nothing: leave out the topic of the moment, and with it the clock')
  .addHelpText(
    'after',
    '\nExample:\n  headwater kafka doctor ./topology.ts --kafka localhost:9092 --registry http://localhost:8081',
  )
  .action((topology: string | undefined, options) => act(() => kafkaDoctorCommand(topology, options)))

withCluster(
  withTopology(
    program
      .command('migrate')
      .description('copy an embedded log into the topics of a Kafka cluster, offsets and times kept')
      .addOption(new Option('--to <log>', 'where to').choices(['kafka']).makeOptionMandatory()),
  ),
)
  .option('--dry-run', 'only compare and say what would be copied')
  .addHelpText(
    'after',
    '\nIt may be interrupted and run again. The schemas go to the topic <application>-schemas, so run without --registry after it.\n\nExample:\n  headwater migrate --to kafka --data .headwater/movies --kafka localhost:9092',
  )
  .action((options) => act(() => migrateCommand(options)))

program
  .command('init [folder]')
  .description('write a starter: a topology of forty lines, ready to run')
  .option('--javascript', 'plain JavaScript instead of TypeScript')
  .action((folder: string | undefined, options) => act(() => initCommand(folder ?? '.', options)))

async function act(command: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await command()
  } catch (error) {
    process.exitCode = error instanceof EngineError ? 3 : 2
    if (error instanceof EngineError) process.stderr.write(`headwater: ${error.message} [${error.code}]\n`)
    else if (error instanceof CliError || error instanceof RangeError) {
      process.stderr.write(`headwater: ${error.message}\n`)
    } else throw error
  }
}

// A reader that goes away (| head) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

await program.parseAsync()
