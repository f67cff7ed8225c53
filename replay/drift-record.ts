import { Outputs } from '../processors/outputs.ts'
import { type BoundContract, bindContract } from '../state/contracts/codec.ts'
import { type DriftMetricEvent, engineContracts } from '../state/contracts/engine-contracts.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { Log, LogWriter } from '../state/log/log.ts'
import type { DriftReport } from './drift.ts'

/**
 * A report as `drift-metric` events, in the order of its comparisons and then
 * its alarms. The subject is `<model>/<subject>`. Of a test, the statistic is
 * its effect and the threshold the least that counts; the rest is in the
 * details. Of a detector, both are 1. The time is that of the last instant of
 * what was judged, or of the alarm.
 */
export function driftMetricEvents(report: DriftReport): DriftMetricEvent[] {
  const { model, alpha, leastEffect } = report
  const tests = report.comparisons.flatMap(({ reference, current, subjects }) =>
    subjects.flatMap((subject) =>
      subject.tests.map((test) => ({
        subject: `${model}/${subject.subject}`,
        detector: test.test,
        statistic: test.effect,
        threshold: leastEffect,
        isDrift: test.isDrift,
        count: subject.current.count + subject.current.missing,
        details: {
          testStatistic: test.statistic,
          pValue: test.pValue,
          adjustedPvalue: test.adjusted,
          alpha,
          populationStability: subject.populationStability,
          jensenShannon: subject.jensenShannon,
          ...(subject.wasserstein === null ? {} : { wasserstein: subject.wasserstein }),
          ...(subject.newCategories === null ? {} : { newCategories: subject.newCategories }),
          referenceCount: subject.reference.count + subject.reference.missing,
          referenceFromMs: reference.fromMs,
          referenceToMs: reference.toMs,
          currentFromMs: current.fromMs,
          currentToMs: current.toMs,
        },
        at: current.toMs - 1,
      })),
    ),
  )
  const alarms = report.alarms.map(({ detector, atMs, index }) => ({
    subject: `${model}/error`,
    detector,
    statistic: 1,
    threshold: 1,
    isDrift: true,
    count: index + 1,
    details: {},
    at: atMs,
  }))
  return [...tests, ...alarms]
}

/** Appends a report's events in one commit; resolves to their number when they would survive a power cut. */
export async function recordDrift(
  report: DriftReport,
  { log, writer, registry }: { log: Log; writer: LogWriter; registry: SchemaRegistry },
): Promise<number> {
  const contract = engineContracts(report.app).driftMetric
  await log.createTopic({ name: contract.topic, partitions: 1 })
  const bound = await bindContract(contract, registry)
  const events = driftMetricEvents(report)
  if (events.length === 0) return 0
  const emit = new Outputs(writer.sink).emitter(bound as unknown as BoundContract<object>, 1)
  for (const event of events) emit(event, event.at)
  const ticket = await writer.commit()
  await ticket.durable
  return events.length
}
