import { fileURLToPath } from 'node:url'
import {
  byKey,
  computed,
  count,
  csvRows,
  days,
  event,
  featureView,
  forever,
  globalMean,
  hashedRegression,
  hours,
  mean,
  minutes,
  model,
  request,
  type SourceRow,
  topology,
} from '../../index.ts'

/*
 * When will this taxi arrive? Real trips of New York. Each row of the file is
 * two events: the trip, which asks for the prediction at the pick-up, and the
 * arrival, which is the label. The file is in the order of the pick-ups, so
 * the arrivals on the log are out of order by the length of the trips.
 *
 * The distance is the meter's, known at the end; a dispatcher has a route
 * planner's instead, which is assumed to be about as good.
 */

const ride = {
  tripId: 'string',
  city: 'string',
  pickupZone: 'int',
  dropoffZone: 'int',
  /** Both zones as one name: what the simplest baseline averages by. */
  pair: 'string',
  miles: 'double',
  /** 0 to 167, from Sunday midnight, by the city's clock. */
  hourOfWeek: 'int',
} as const

export const trip = event('trip', { ...ride, pickedUpAt: 'timestamp' }, { key: 'tripId', time: 'pickedUpAt' })

export const arrival = event(
  'arrival',
  { ...ride, seconds: 'double', droppedOffAt: 'timestamp' },
  { key: 'tripId', time: 'droppedOffAt' },
)

interface Arrival {
  readonly miles: number
  readonly seconds: number
}

/** Meters that end before they start, and rides of more than three hours, say nothing about traffic. */
const isPlausible = ({ seconds }: Arrival) => seconds > 0 && seconds <= 10_800

/** Miles that a meter can have measured, else 0: unknown. */
const knownMiles = (miles: number) => (miles > 0 && miles < 100 ? miles : 0)

/** Logarithm of seconds a mile, with a start that costs time too. */
const pace = ({ miles, seconds }: Arrival) => Math.log(seconds) - Math.log(knownMiles(miles) + 0.3)

const owner = 'dispatch'
/** An arrival reaches the log with the pick-ups of its time, so up to a ride's length late. */
const disorder = hours(3)
const where = isPlausible

const cityTraffic = featureView('city-traffic', {
  entity: 'city',
  owner,
  description: 'How fast the city moves just now',
  disorder,
  features: {
    cityPace1h: mean(arrival, pace, { over: hours(1), where }),
    cityPace1d: mean(arrival, pace, { over: days(1), where }),
    cityPace: mean(arrival, pace, { over: forever, where }),
  },
})

const zoneFeatures = <const Prefix extends string>(prefix: Prefix) =>
  ({
    [`${prefix}Arrivals15m`]: count(arrival, { over: minutes(15), where }),
    [`${prefix}Pace15m`]: mean(arrival, pace, { over: minutes(15), where }),
    [`${prefix}Pace1h`]: mean(arrival, pace, { over: hours(1), where }),
    [`${prefix}Pace1d`]: mean(arrival, pace, { over: days(1), where }),
    [`${prefix}Count`]: count(arrival, { over: forever, where }),
    [`${prefix}Pace`]: mean(arrival, pace, { over: forever, where }),
  }) as {
    [Name in
      | 'Arrivals15m'
      | 'Pace15m'
      | 'Pace1h'
      | 'Pace1d'
      | 'Count'
      | 'Pace' as `${Prefix}${Name}`]: ReturnType<typeof mean>
  }

const pickupTraffic = featureView('pickup-traffic', {
  entity: 'pickupZone',
  owner,
  description: 'How fast rides from a zone have been',
  disorder,
  features: zoneFeatures('pickup'),
})

const dropoffTraffic = featureView('dropoff-traffic', {
  entity: 'dropoffZone',
  owner,
  description: 'How fast rides to a zone have been',
  disorder,
  features: zoneFeatures('dropoff'),
})

const pairHistory = featureView('pair-history', {
  entity: ['pickupZone', 'dropoffZone'],
  owner,
  description: 'Rides from one zone to another',
  disorder,
  features: {
    pairCount: count(arrival, { over: forever, where }),
    pairPace: mean(arrival, pace, { over: forever, where }),
  },
})

const hourHistory = featureView('hour-history', {
  entity: 'hourOfWeek',
  owner,
  description: 'How fast the city moves in each hour of the week',
  disorder,
  features: {
    hourCount: count(arrival, { over: forever, where }),
    hourPace: mean(arrival, pace, { over: forever, where }),
  },
})

/** A mean drawn to a wider one by three imagined rides; the difference to it. */
const lift = (own: number, events: number, wider: number) =>
  Number.isNaN(own) || Number.isNaN(wider) ? 0 : ((own - wider) * events) / (events + 3)

const lifts = computed({
  cityLift1h: { of: ['cityPace1h', 'cityPace'], value: (now, ever) => lift(now, 10, ever) },
  cityLift1d: { of: ['cityPace1d', 'cityPace'], value: (now, ever) => lift(now, 100, ever) },
  hourLift: { of: ['hourPace', 'hourCount', 'cityPace'], value: lift },
  pickupLift: { of: ['pickupPace', 'pickupCount', 'cityPace'], value: lift },
  dropoffLift: { of: ['dropoffPace', 'dropoffCount', 'cityPace'], value: lift },
  pairLift: { of: ['pairPace', 'pairCount', 'cityPace'], value: lift },
  pickupLift1h: { of: ['pickupPace1h', 'pickupPace'], value: (now, ever) => lift(now, 1, ever) },
  dropoffLift1h: { of: ['dropoffPace1h', 'dropoffPace'], value: (now, ever) => lift(now, 1, ever) },
})

const distance = request(trip, {
  logMiles: ({ miles }) => Math.log(knownMiles(miles) + 0.3),
  logMilesSquared: ({ miles }) => Math.log(knownMiles(miles) + 0.3) ** 2,
  milesUnknown: ({ miles }) => knownMiles(miles) === 0,
  milesBucket: ({ miles }) => Math.round(4 * Math.log(knownMiles(miles) + 0.3)),
  pickup: ({ pickupZone }) => pickupZone,
  dropoff: ({ dropoffZone }) => dropoffZone,
  hour: ({ hourOfWeek }) => hourOfWeek,
  hourOfDay: ({ hourOfWeek }) => hourOfWeek % 24,
})

export const eta = model('eta', {
  on: trip,
  features: [cityTraffic, pickupTraffic, dropoffTraffic, pairHistory, hourHistory, lifts, distance],
  label: {
    from: arrival,
    join: 'tripId',
    value: (ended) => (isPlausible(ended) ? ended.seconds : null),
    within: days(1),
  },
  learner: hashedRegression({
    link: 'log',
    huber: 0.5,
    categorical: ['pickup', 'dropoff', 'hour', 'hourOfDay', 'milesBucket'],
    crosses: [
      ['pickup', 'dropoff'],
      ['pickup', 'hourOfDay'],
      ['dropoff', 'hourOfDay'],
    ],
    // Means and counts are what the computed columns are made of.
    unused: [
      'cityPace',
      'cityPace1h',
      'cityPace1d',
      'pickupArrivals15m',
      'pickupPace15m',
      'pickupPace1h',
      'pickupPace1d',
      'pickupCount',
      'pickupPace',
      'dropoffArrivals15m',
      'dropoffPace15m',
      'dropoffPace1h',
      'dropoffPace1d',
      'dropoffCount',
      'dropoffPace',
      'pairCount',
      'pairPace',
      'hourCount',
      'hourPace',
    ],
    optimizer: { kind: 'adagrad', rate: 0.08, epsilon: 1 },
  }),
  baselines: [globalMean(), byKey('pair', 'pairMean')],
  owner,
  description: 'Seconds from the pick-up to the drop-off',
})

/** The slice in this folder, or a file of the TLC's own columns that this variable names. */
const tripsFile = process.env['TAXI_TRIPS'] ?? fileURLToPath(new URL('data/trips.csv.gz', import.meta.url))

async function* trips(): AsyncGenerator<SourceRow> {
  let at: ((row: readonly string[], column: string) => string) | undefined
  let number = 0
  for await (const row of csvRows(tripsFile)) {
    if (at === undefined) {
      const header = row
      at = (each, column) => each[header.indexOf(column)] ?? ''
      continue
    }
    const pickedUpAt = cityTime(at(row, 'pickup_datetime'))
    const droppedOffAt = cityTime(at(row, 'dropoff_datetime'))
    const pickupZone = Number(at(row, 'pickup_location_id'))
    const dropoffZone = Number(at(row, 'dropoff_location_id'))
    const clock = new Date(pickedUpAt)
    const base = {
      tripId: `trip-${++number}`,
      city: 'New York',
      pickupZone,
      dropoffZone,
      pair: `${pickupZone}-${dropoffZone}`,
      miles: Number(at(row, 'trip_distance')),
      hourOfWeek: clock.getUTCDay() * 24 + clock.getUTCHours(),
    }
    yield [
      ['trip', { ...base, pickedUpAt }],
      ['arrival', { ...base, seconds: (droppedOffAt - pickedUpAt) / 1000, droppedOffAt }],
    ]
  }
}

/** The file has the city's wall clock; read as if it were UTC, hours and weekdays stay the city's. */
const cityTime = (text: string): number => Date.parse(`${text.replace(' ', 'T')}Z`)

export default topology('taxi', {
  events: [trip, arrival],
  models: [eta],
  sources: [{ name: tripsFile === process.env['TAXI_TRIPS'] ? 'tlc-trips' : 'tlc-slice', rows: trips }],
  tryIt: [
    `curl -s {url}/v1/models/eta/predict -H 'content-type: application/json' -d '{"city":"New York","pickupZone":132,"dropoffZone":230,"pair":"132-230","miles":17.5,"hourOfWeek":33}'`,
    'curl -s {url}/v1/features/pickup-traffic/132',
    'curl -s {url}/v1/models/eta/predictions/trip-1',
  ],
})
