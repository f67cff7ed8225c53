/** The public API of `headwater`. */

export type { Declaration, Source, SourceRow } from '../models/declaration.ts'
export {
  adaptiveForest,
  hoeffdingTree,
  linearRegression,
  logisticRegression,
  naiveBayes,
  passiveAggressiveRegression,
} from '../models/dense-specs.ts'
export {
  factorizationLogistic,
  factorizationRegression,
  hashedLogistic,
  hashedRegression,
} from '../models/learner-specs.ts'
export { buckets, byKey, computed, globalMean, model, request } from '../models/model.ts'
export {
  type DecisionOptions,
  type Exploration,
  epsilonGreedy,
  softmax,
} from '../models/policy/decision.ts'
export {
  type Expectation,
  type Expectations,
  type ExpectOptions,
  expect,
} from '../models/quality/expectation.ts'
export { enrich } from '../processors/feature/enrich.ts'
export { each } from '../processors/feature/entity-key.ts'
export { derived, forever, latest, ratio } from '../processors/feature/feature.ts'
export { featureView } from '../processors/feature/feature-view.ts'
export {
  count,
  decayedCount,
  decayedMean,
  decayedSum,
  first,
  kurtosis,
  last,
  max,
  mean,
  meanInterval,
  min,
  range,
  rate,
  skew,
  smoothedMean,
  standardDeviation,
  standardError,
  sum,
  timeSinceFirst,
  timeSinceLast,
  trend,
  variance,
} from '../processors/feature/features.ts'
export {
  approximateDistinct,
  bottomK,
  bucketBy,
  correlation,
  covariance,
  distinctCount,
  distinctValues,
  firstK,
  frequentValues,
  histogram,
  interactedWith,
  lastK,
  quantile,
  quantiles,
  slope,
  topK,
  vectorMean,
} from '../processors/feature/object-features.ts'
export { foreignKeyJoin } from '../processors/join/foreign-key-join.ts'
export { intervalJoin } from '../processors/join/interval-join.ts'
export { streamStreamJoin } from '../processors/join/stream-stream-join.ts'
export { asOfJoin, globalTableJoin, streamTableJoin } from '../processors/join/stream-table-join.ts'
export { tableTableJoin } from '../processors/join/table-table-join.ts'
export type { CallFunction, EnrichAsyncOptions } from '../processors/stream/async-call.ts'
export { branch } from '../processors/stream/branch.ts'
export { deduplicate } from '../processors/stream/deduplicate.ts'
export { filter } from '../processors/stream/filter.ts'
export { flatMap } from '../processors/stream/flat-map.ts'
export { aggregateGroups, groupTable } from '../processors/stream/group-table.ts'
export { map as mapValues } from '../processors/stream/map.ts'
export { peek } from '../processors/stream/peek.ts'
export { process } from '../processors/stream/process.ts'
export { rekey } from '../processors/stream/rekey.ts'
export { sequence } from '../processors/stream/sequence.ts'
export { Stream, stream } from '../processors/stream/stream.ts'
export { suppress } from '../processors/stream/suppress.ts'
export { throttle } from '../processors/stream/throttle.ts'
export { topN } from '../processors/stream/top-n.ts'
export { calendar } from '../processors/window/calendar-windows.ts'
export { windowFold, windowFolds } from '../processors/window/column-window-fold.ts'
export { countWindows } from '../processors/window/count-windows.ts'
export { session } from '../processors/window/session-windows.ts'
export { sliding } from '../processors/window/sliding-windows.ts'
export { hopping, tumbling } from '../processors/window/time-windows.ts'
export { windowAggregate } from '../processors/window/window-aggregate.ts'
export { type CandidateOptions, candidatePredictions } from '../replay/candidate.ts'
export {
  type CounterfactualOptions,
  type CounterfactualReport,
  counterfactual,
} from '../replay/counterfactual.ts'
export { type EvaluateOptions, type EvaluationReport, evaluate } from '../replay/evaluate.ts'
export { type PolicyOptions, type PolicyReport, type PolicyTarget, policy } from '../replay/policy.ts'
export type { TrainingSetReport } from '../replay/training-set.ts'
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
export { Instance, type InstanceOptions, type InstanceStatus } from './cluster/instance.ts'
export { csvRows } from './examples/csv-rows.ts'
export {
  backfillFile,
  type FileBackfillOptions,
  type FileBackfillReport,
} from './runtime/backfill-file.ts'
export {
  type ClusterFeatures,
  type ClusterFeaturesOptions,
  clusterFeatures,
} from './runtime/cluster-features.ts'
export { Engine, type EngineOptions } from './runtime/engine.ts'
export {
  cancelBackfill,
  type FolderBackfillReport as BackfillReport,
  folderBackfill as backfill,
  folderBackfillEstimate as estimateBackfill,
  folderQuality as qualityReport,
} from './runtime/folder-replay.ts'
export { type FolderTrainingSetOptions, trainingSet } from './runtime/folder-training-set.ts'
export type { SwapOptions, SwapReport, SwapStep } from './runtime/swap.ts'
export { type TopologyOptions, topology } from './topology.ts'
