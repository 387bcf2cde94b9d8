/**
 * Settings that were given and have no effect, because of what another one says.
 *
 * Owns which ones need which. What depends on the strategy is in `layers/configuration/Oddities`, limits that contradict
 * each other in `Consistency`.
 */
import type { Settings } from "../Configuration.ts"
import type { Given } from "./Consistency.ts"

/** Groups of settings, and when they have no effect. */
const needs = (
  { ejection, engine, health, hedge, queue, retry, slowStart, sticky, subset }: Settings
): ReadonlyArray<readonly [isMissing: boolean, what: string, keys: ReadonlyArray<string>]> => [
  [
    engine === "node",
    "with engine node",
    ["limit.fields", "limit.target", "limit.body", "limit.connectionsPerClient"]
  ],
  [queue.size === 0, "with queue.size 0", ["queue.timeout", "queue.order"]],
  [
    retry.tries === 1,
    "with retry.tries 1",
    ["retry.bodyLimit", "retry.backoff", "retry.maxWait", "retry.budget", "retry.minPerSecond"]
  ],
  [
    retry.tries === 1 && hedge.after === undefined,
    "with retry.tries 1, without hedge.after",
    ["retry.statuses", "retry.methods"]
  ],
  [
    ejection.maxShare === 0,
    "with ejection.maxShare 0%",
    ["ejection.failures", "ejection.successRate", "ejection.volume", "ejection.time", "ejection.maxTime"]
  ],
  [subset.size === undefined, "without subset.size", ["subset.id"]],
  [slowStart.duration === undefined, "without slowStart.duration", ["slowStart.from", "slowStart.aggression"]],
  [hedge.after === undefined, "without hedge.after", ["hedge.budget"]],
  [
    sticky.cookie === undefined,
    "without sticky.cookie",
    ["sticky.keys", "sticky.maxAge", "sticky.path", "sticky.sameSite"]
  ],
  [
    health.kind === "off",
    "with health.kind off",
    [
      "health.address",
      "health.port",
      "health.interval",
      "health.timeout",
      "health.rise",
      "health.fall",
      "health.initial",
      "health.panic"
    ]
  ],
  [
    health.kind !== "http",
    `with health.kind ${health.kind}`,
    ["health.path", "health.method", "health.headers", "health.host", "health.status", "health.body"]
  ]
]

/** A line for each such setting. */
export const warnings = (settings: Settings, given: Given): ReadonlyArray<string> =>
  needs(settings).flatMap(([isMissing, what, keys]) =>
    isMissing ? keys.filter((key) => given(key) !== undefined).map((key) => `${key} has no effect ${what}`) : []
  )
