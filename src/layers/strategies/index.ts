/** Every strategy, by the name that the configuration uses. A new one is a file beside this one and a line here. */
import * as LeastRequests from "./LeastRequests.ts"
import * as Random from "./Random.ts"
import * as RoundRobin from "./RoundRobin.ts"
import * as WeightedRoundRobin from "./WeightedRoundRobin.ts"

export const strategies = {
  "round-robin": RoundRobin.layer,
  "weighted-round-robin": WeightedRoundRobin.layer,
  random: Random.layer,
  "least-requests": LeastRequests.layer
}

export type StrategyName = keyof typeof strategies
