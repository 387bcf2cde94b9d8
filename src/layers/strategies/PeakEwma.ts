/**
 * Peak-EWMA: of two backends drawn at random, the one that promises the earlier answer: its latency, times the requests
 * that it has to see to first. As in Finagle and Linkerd.
 *
 * The latency is that of `Load`, which rises at once and falls with time. A backend that is not asked cannot show that
 * it has become better, so what is known of it fades towards the mean of the pool until it wins a draw. That one pick
 * makes the old latency count again, until there is an answer or it has faded anew: a slow backend is asked once in a
 * while and not by everybody. Without that it would be forgotten for good (traefik/traefik#12306).
 *
 * A backend without an answer yet is taken for an average one, so that it is neither flooded nor avoided. In flight
 * counts for the weight, the latency of an idle backend does not: where all answer alike, shares follow the weights.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Endpoint } from "../../services/Load.ts"
import { type Picker, Strategy } from "../../services/Strategy.ts"
import * as PowerOfTwoChoices from "./PowerOfTwoChoices.ts"
import * as RandomBits from "./RandomBits.ts"

/** The milliseconds in which a backend that is not asked loses 63 % of its distance to the mean. */
const fading = 500

/**
 * The milliseconds that a pause between two answers counts for at most. Below 200 requests a second it is requests and
 * not time that let a latency fade, so that less than one in 100 goes to a backend that is ten times slower.
 */
const longestPause = 5

/**
 * Costs that differ by less than this share are the same, or in an idle pool a hair's breadth would
 * decide who gets everything.
 */
const noise = 0.1

/**
 * Added to each latency, so that a millisecond is noise as well: clocks count in them, and of backends that answer in less
 * than one some would seem to take for ever.
 */
const unnoticed = 1 / noise

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

/** When the latest answer of all came; 0 when there was none yet. */
const latestAnswer = (endpoints: ReadonlyArray<Endpoint>): number =>
  endpoints.reduce((latest, { load }) => Math.max(latest, load.latencyAt), 0)

const pickerFor = (endpoints: ReadonlyArray<Endpoint>, random: RandomBits.RandomBits): Picker => {
  let mean = meanLatency(endpoints)
  // The time is that of the latest answer: to look at the clock would cost as much as all the rest, and 16 bytes. It is
  // kept in arrays, because V8 makes an object of a fraction in a variable.
  const now = Float64Array.of(latestAnswer(endpoints))
  // The time of the pool, in which pauses are short, and where in it a backend was last picked or
  // seen to have answered.
  const time = Float64Array.of(0)
  const heardAt = Float64Array.from(endpoints, ({ load }) => load.latencyAt - now[0]!)
  const answeredAt = Float64Array.from(endpoints, ({ load }) => load.latencyAt)

  // A list and an array side by side: two steps less through memory than by way of the endpoint.
  const loads = endpoints.map(({ load }) => load)
  const weights = Float64Array.from(endpoints, ({ backend }) => backend.weight)

  const cost = (i: number): number => {
    const load = loads[i]!
    if (load.latencyAt !== answeredAt[i]) {
      answeredAt[i] = load.latencyAt
      heardAt[i] = time[0]!
    }
    const latency = load.latency === 0
      ? mean
      : mean + (load.latency - mean) * Math.exp((heardAt[i]! - time[0]!) / fading)
    return (latency + unnoticed) * (1 + load.inFlight / weights[i]!)
  }
  const choose = PowerOfTwoChoices.make(endpoints, random, cost, noise)

  return {
    pick: () => {
      const chosen = choose()
      if (chosen >= 0) heardAt[chosen] = time[0]!
      return endpoints[chosen]
    },
    observe: ({ load }, outcome) => {
      // It has taught nothing, or that an answer takes longer, which `cost` sees.
      if (outcome === "aborted") return
      if (load.latency > 0) mean = mean === 0 ? load.latency : mean + (load.latency - mean) * meanShare
      // An answer that was kept for a while is told of after later ones.
      if (load.latencyAt > now[0]!) time[0]! += Math.min(load.latencyAt - now[0]!, longestPause)
      now[0] = load.latencyAt
    }
  }
}

/** `peak-ewma`: of two drawn by weight from `Random`, the one that promises the earlier answer. */
export const layer: Layer.Layer<Strategy> = Layer.effect(
  Strategy,
  Effect.map(RandomBits.make, (random) => ({
    name: "peak-ewma",
    make: (endpoints) => pickerFor(endpoints, random)
  }))
)
