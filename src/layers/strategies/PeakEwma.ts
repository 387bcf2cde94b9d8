/**
 * Peak-EWMA: of two backends drawn at random, the one that promises the earlier answer: its latency, times the requests that it
 * has to see to first. As in Finagle and Linkerd.
 *
 * The latency is that of `Load`, which rises at once and falls with time. A backend that is not asked cannot show that it has
 * become better, so what is known of it fades towards the mean of the pool until it wins a draw. That one pick makes the old
 * latency count again, until there is an answer or it has faded anew: a slow backend is asked once in a while and not by
 * everybody. Without that it would be forgotten for good (traefik/traefik#12306).
 *
 * A backend without an answer yet is taken for an average one, so that it is neither flooded nor avoided. In flight counts for
 * the weight, the latency of an idle backend does not: where all answer alike, shares follow the weights.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type { Endpoint } from "../../services/Load.ts"
import { type Picker, Strategy } from "../../services/Strategy.ts"
import * as PowerOfTwoChoices from "./PowerOfTwoChoices.ts"

/** The milliseconds in which a backend that is not asked loses 63 % of its distance to the mean. */
const fading = 500

/** A pause of the whole pool counts as so many milliseconds at most: who hardly asks has no request to waste on the slow. */
const longestPause = 50

/** Costs that differ by less than this share are the same, or in an idle pool a hair's breadth would decide who gets everything. */
const noise = 0.1

/** The share that one answer has in the mean of the pool. */
const meanShare = 0.02

/** The mean latency of the answers, not of the backends: one that is avoided hardly counts. 0 is none yet. */
const meanLatency = (endpoints: ReadonlyArray<Endpoint>): number => {
  let sum = 0
  let total = 0
  for (const { load } of endpoints) {
    if (load.latency === 0) continue
    sum += load.latency * load.total
    total += load.total
  }
  return total === 0 ? 0 : sum / total
}

const pickerFor = (endpoints: ReadonlyArray<Endpoint>, random: () => number, clock: Clock.Clock): Picker => {
  let mean = meanLatency(endpoints)
  let lastPick = clock.currentTimeMillisUnsafe()
  // The time of the pool, in which pauses are short, and where in it a backend was last picked or seen to have answered.
  let time = 0
  const heardAt = Float64Array.from(endpoints, ({ load }) => load.latency === 0 ? 0 : load.latencyAt - lastPick)
  const answeredAt = Float64Array.from(endpoints, ({ load }) => load.latencyAt)

  const cost = (i: number): number => {
    const { backend, load } = endpoints[i]!
    if (load.latencyAt !== answeredAt[i]) {
      answeredAt[i] = load.latencyAt
      heardAt[i] = time
    }
    const average = mean === 0 ? 1 : mean
    const latency = load.latency === 0
      ? average
      : average + (load.latency - average) * Math.exp((heardAt[i]! - time) / fading)
    return latency * (1 + load.inFlight / backend.weight)
  }
  const choose = PowerOfTwoChoices.make(endpoints, random, cost, noise)

  return {
    pick: () => {
      const now = clock.currentTimeMillisUnsafe()
      time += Math.min(Math.max(now - lastPick, 0), longestPause)
      lastPick = now
      const chosen = choose()
      if (chosen >= 0) heardAt[chosen] = time
      return endpoints[chosen]
    },
    observe: ({ load }) => {
      if (load.latency > 0) mean = mean === 0 ? load.latency : mean + (load.latency - mean) * meanShare
    }
  }
}

export const layer: Layer.Layer<Strategy> = Layer.effect(
  Strategy,
  Effect.gen(function*() {
    const random = yield* Random.Random
    const clock = yield* Clock.Clock
    return {
      name: "peak-ewma",
      make: (endpoints) => pickerFor(endpoints, () => random.nextDoubleUnsafe(), clock)
    }
  })
)
