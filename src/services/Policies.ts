/** What the settings mean for each service that has options of its own. */
import type * as Balancer from "./Balancer.ts"
import type { Settings } from "./Configuration.ts"
import type * as Ejection from "./Ejection.ts"
import type * as Pool from "./Pool.ts"
import * as SlowStart from "./SlowStart.ts"

/** A backend that nobody checks could never be proven to be up. */
export const pool = ({ ejection, health }: Settings): Pool.Policy => ({
  rise: health.rise,
  fall: health.fall,
  initial: health.kind === "off" ? "up" : health.initial,
  panicThreshold: health.panic,
  ejectionTime: ejection.time,
  maxEjectionTime: ejection.maxTime,
  maxEjected: ejection.maxShare
})

export const balancer = ({ limit, queue, slowStart: { duration, from } }: Settings): Balancer.Options => ({
  maxInFlight: limit.inFlightPerBackend,
  maxTotalInFlight: limit.inFlight ?? Infinity,
  queue,
  slowStart: duration === undefined ? SlowStart.off : { ...SlowStart.off, from, duration }
})

export const ejection = ({ ejection: { failures, successRate, volume } }: Settings): Ejection.Policy => ({
  consecutiveFailures: failures,
  successRate,
  minimumVolume: volume
})
