import { type Command, InvalidArgumentError } from 'commander'
import { act } from './act.ts'
import { placesHelp, wholeNumber, withSource } from './command-options.ts'

function weight(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value > 0) return value
  throw new InvalidArgumentError(`expected a number above 0, got "${text}"`)
}

export function definePolicy(replay: Command): void {
  withSource(
    replay
      .command('policy')
      .description('what other decisions would have earned, from logged actions and their propensities'),
  )
    .option('--model <name>', 'whose decisions (default: those of the only one)')
    .option('--always <action>', 'had it always taken this action')
    .option('--greedy', 'had it always taken the action that it valued most')
    .option('--uniform', 'had it taken each action alike')
    .option('--candidate <module#model>', 'had this model decided, replayed over the same log')
    .option('--from <place>', 'requests from here on')
    .option('--to <place>', 'requests before here')
    .option('--clip <number>', 'weights are cut here for clipped IPS (default: 10)', weight)
    .option('--switch-at <number>', 'beyond this weight SWITCH trusts expected rewards (default: 10)', weight)
    .option(
      '--least <number>',
      'refuse estimates that are worth fewer choices than this',
      wholeNumber(1, 1_000_000_000),
      100,
    )
    .addHelpText(
      'after',
      `
A model with "decide" logs the action that it took, the probability with which it took it, and the reward that it
expected of each. From that follow IPS, SNIPS, clipped IPS, DM, DR and SWITCH, and how many choices they are worth. Where
nothing was tried out the log supports nothing but itself, and the command refuses with the number. Exit code 3 then.
${placesHelp}

Examples:
  headwater replay policy --greedy --data .headwater/offers
  headwater replay policy --always call --from 2024-05-01 --data .headwater/offers
  headwater replay policy --candidate ./next.ts#offer --json --data .headwater/offers`,
    )
    .action((options) => act(async () => (await import('../policy-command.ts')).policyCommand(options)))
}
