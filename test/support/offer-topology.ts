import {
  epsilonGreedy,
  event,
  hashedLogistic,
  hours,
  model,
  request,
  topology,
} from '../../topology/index.ts'

/** A shop that calls customers or waits: calling costs, and pays with those who are likely to buy. */

export const lead = event(
  'lead',
  { leadId: 'string', warmth: 'double', at: 'timestamp' },
  { key: 'leadId', time: 'at' },
)
export const result = event(
  'result',
  { leadId: 'string', bought: 'boolean', at: 'timestamp' },
  { key: 'leadId', time: 'at' },
)

/** What is earned with a customer who was called or not. */
export const earned = (bought: number, action: string): number =>
  action === 'call' ? 4 * bought - 1 : bought

const offerModel = (explore: number | undefined) =>
  model('offer', {
    on: lead,
    features: [request(lead, { warmth: ({ warmth }) => warmth })],
    label: { from: result, join: 'leadId', value: ({ bought }) => bought, within: hours(1) },
    learner: hashedLogistic({ bits: 4 }),
    ...(explore === undefined
      ? {}
      : {
          decide: {
            actions: ['wait', 'call'],
            value: (bought, action) => earned(bought, action),
            reward: earned,
            explore: epsilonGreedy(explore),
          },
        }),
  })

/** The share of decisions in which any action is taken; undefined for a model that decides nothing. */
export const offerTopology = (explore: number | undefined) =>
  topology('offers', { events: [lead, result], models: [offerModel(explore)], partitions: 2 })
