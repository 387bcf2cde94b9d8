/** What the settings mean for each service that has options of its own. */
import * as Duration from "effect/Duration"
import type * as Balancer from "./Balancer.ts"
import type { Settings } from "./Configuration.ts"
import type * as Ejection from "./Ejection.ts"
import type * as Forwarder from "./Forwarder.ts"
import * as HashKey from "./HashKey.ts"
import type * as Pool from "./Pool.ts"
import * as SlowStart from "./SlowStart.ts"
import * as TrustedProxies from "./TrustedProxies.ts"

/** How the pool judges health. Without checks all are up from the start, because nobody could prove it. */
export const pool = ({ ejection, health }: Settings): Pool.Policy => ({
  rise: health.rise,
  fall: health.fall,
  initial: health.kind === "off" ? "up" : health.initial,
  panicThreshold: health.panic,
  ejectionTime: ejection.time,
  maxEjectionTime: ejection.maxTime,
  maxEjected: ejection.maxShare
})

/** The limits of the balancer, its queue, and its slow start. */
export const balancer = ({ limit, queue, slowStart: { aggression, duration, from } }: Settings): Balancer.Options => ({
  maxInFlight: limit.inFlightPerBackend,
  adaptive: limit.adaptive === "gradient",
  maxTotalInFlight: limit.inFlight ?? Infinity,
  queue,
  slowStart: duration === undefined ? SlowStart.off : { aggression, from, duration }
})

/** When real traffic ejects. For how long is the pool's business. */
export const ejection = ({ ejection: { failures, successRate, volume } }: Settings): Ejection.Policy => ({
  consecutiveFailures: failures,
  successRate,
  minimumVolume: volume
})

const millisOf = (duration: Duration.Duration | undefined): number =>
  duration === undefined ? Infinity : Duration.toMillis(duration)

/** How requests are forwarded and tried again. */
export const forwarder = (
  { hash, hedge, hostHeader, retry, timeout, trustedProxies }: Settings
): Forwarder.Options => ({
  hostHeader,
  isTrustedProxy: TrustedProxies.isIn(trustedProxies),
  hashKey: HashKey.extractor(hash.key),
  retry: {
    tries: retry.tries,
    reasons: new Set(retry.on),
    statuses: new Set(retry.statuses),
    methods: new Set(retry.methods),
    bodyLimit: retry.bodyLimit,
    backoff: Duration.toMillis(retry.backoff),
    maxWait: retry.maxWait && Duration.toMillis(retry.maxWait),
    budget: { ratio: retry.budget, perSecond: retry.minPerSecond }
  },
  exchangeTimeout: millisOf(timeout.exchange),
  tryTimeout: millisOf(timeout.try),
  hedge: hedge.after === undefined ? undefined : { after: hedge.after, budget: hedge.budget }
})
