import taxi, { arrival, trip } from '../../topology/examples/taxi/topology.ts'
import {
  count,
  days,
  featureView,
  forever,
  hours,
  max,
  mean,
  standardDeviation,
} from '../../topology/index.ts'

/* The taxi example with two views more, of the trips and of the arrivals. */

const disorder = hours(3)

const demand = featureView('pickup-demand', {
  entity: 'pickupZone',
  owner: 'bench',
  description: 'Who asks for a ride from a zone',
  disorder,
  features: {
    trips1h: count(trip, { over: hours(1) }),
    trips1d: count(trip, { over: days(1) }),
    trips: count(trip, { over: forever }),
    miles1d: mean(trip, 'miles', { over: days(1) }),
  },
})

const durations = featureView('dropoff-durations', {
  entity: 'dropoffZone',
  owner: 'bench',
  description: 'How long rides to a zone take',
  disorder,
  features: {
    seconds1d: mean(arrival, 'seconds', { over: days(1) }),
    longest1d: max(arrival, 'seconds', { over: days(1) }),
    spread: standardDeviation(arrival, 'seconds', { over: forever }),
  },
})

export default { ...taxi, views: [...taxi.views, demand, durations] }
