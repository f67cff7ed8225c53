/** The public API of `headwater`. */

export type { Declaration, Source, SourceRow } from '../models/declaration.ts'
export { hashedLogistic, hashedRegression } from '../models/learner-specs.ts'
export { byKey, computed, globalMean, model, request } from '../models/model.ts'
export { each } from '../processors/feature/entity-key.ts'
export { derived, forever, latest } from '../processors/feature/feature.ts'
export { featureView } from '../processors/feature/feature-view.ts'
export { count, max, mean, min, sum } from '../processors/feature/features.ts'
export { EngineError } from '../state/contracts/engine-error.ts'
export { type EventOf, event, eventFromAvsc } from '../state/contracts/event.ts'
export {
  array,
  decimal,
  enumeration,
  map,
  nullable,
  record,
  union,
  withDefault,
} from '../state/contracts/field-type.ts'
export { days, hours, milliseconds, minutes, seconds } from '../state/contracts/units.ts'
export { csvRows } from './examples/csv-rows.ts'
export { Engine, type EngineOptions } from './runtime/engine.ts'
export { type TopologyOptions, topology } from './topology.ts'
