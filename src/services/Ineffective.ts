/**
 * Settings that somebody has set and that do nothing, because another one has to be set, or is set, for them to.
 *
 * Owns which ones need which. What depends on the strategy is known to whoever has it. Limits that contradict each
 * other are `Consistency`.
 */
import type { Settings } from "./Configuration.ts"
import type { Given } from "./Consistency.ts"

type Concerned = Pick<Settings, "health" | "hedge" | "slowStart" | "sticky" | "subset">

/** Groups of settings, and what is missing for them. */
const needs = (
  { health, hedge, slowStart, sticky, subset }: Concerned
): ReadonlyArray<readonly [isMissing: boolean, what: string, keys: ReadonlyArray<string>]> => [
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
      "health.initial"
    ]
  ],
  [
    health.kind !== "http",
    `with health.kind ${health.kind}`,
    ["health.path", "health.method", "health.headers", "health.host", "health.status", "health.body"]
  ]
]

/** A line for each such setting. */
export const warnings = (settings: Concerned, given: Given): ReadonlyArray<string> =>
  needs(settings).flatMap(([isMissing, what, keys]) =>
    isMissing ? keys.filter((key) => given(key) !== undefined).map((key) => `${key} has no effect ${what}`) : []
  )
