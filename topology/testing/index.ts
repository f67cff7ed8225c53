/**
 * `headwater/testing`: runs operators, joins and whole topologies in a test,
 * synchronously or in memory, with the times that the records carry: no
 * broker, no sleep, any test runner.
 */

export {
  type DriverGraph,
  type DriverRecord,
  type LatenessSummary,
  StreamDriver,
  type StreamDriverOptions,
} from '../../processors/stream/stream-driver.ts'
export { type Given, givenEvents, TopologyDriver } from './topology-driver.ts'
