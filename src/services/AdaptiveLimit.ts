/**
 * A limit of what may be in flight on one backend that finds itself: where more in flight only makes all wait
 * longer, it is too high.
 *
 * Owns the rule, which is pure but for the state that it is given. Whose state that is, and that the limit is kept, is
 * the work of the balancer.
 *
 * It is Gradient2 of Netflix' concurrency-limits: the latency of now beside the one without a queue, the baseline, says
 * how much too high the limit is, and the limit follows smoothly, with an allowance for a queue of the square root of
 * the limit (as in Envoy's `adaptive_concurrency`). Two things are different. Latencies are not judged one by one but
 * by windows, as Envoy does it, by their geometric mean: like Envoy's median it hardly notices one slow answer, and is
 * two numbers. And the baseline is no long average, which under lasting overload learns the overload and lets the limit
 * creep upwards: where it is not seen in any case, because there is little in flight, it is measured with the limit
 * halved for some answers. (Envoy lowers it to 3.)
 */

import type { Outcome } from "./Outcome.ts"

/** The limit is never lower: a backend that answers one at a time must still be seen. */
const floor = 4

/** Where the limit begins, as in Gradient2. */
export const initial = 20

/** How many times the baseline a latency may be, as in Gradient2. */
const tolerance = 1.5

/**
 * The part of the way to its new value that the limit goes with each window. Gradient2 goes 0.2 of it with each answer;
 * with this it goes from 20 to 1,000 in eleven seconds.
 */
const smoothing = 0.5

/** What is known of one backend. Times are milliseconds of the same clock. */
export interface State {
  /** The limit, with its fraction. */
  limit: number
  /** The latency without a queue, plus a millisecond; 0 is none yet. */
  baseline: number
  /** The latency of the last window, plus a millisecond, whatever it waited for; 0 is none yet. */
  latency: number
  /** When the current window began. */
  windowFrom: number
  /** The sum of the logarithms of its latencies, for their geometric mean. */
  logarithms: number
  successes: number
  failures: number
  /** The most tries in flight in it. */
  peak: number
  /** When the baseline is to be measured. */
  measureAt: number
  /** Since when the limit is halved for the measurement; `NaN` when there is none. */
  halvedAt: number
  /** Tries that began from then on count for the measurement; `NaN` before the halved limit is kept. */
  countFrom: number
}

/** The shortest window, in milliseconds (Envoy: 100), and the fewest answers in one. */
const windowLength = 100
const windowAnswers = 20

/**
 * The milliseconds from one measurement to the next one, and up to a quarter more, so that not all backends
 * are measured at once.
 */
const measureEvery = 30_000
const jitter = 0.25

/** And this many times what the last measurement took, so that slow backends are not kept at half of their limit. */
const restAfter = 9

/**
 * A measurement takes this many of the latencies that it finds. Of many requests that begin at once the quickest answers
 * come first: the first 20 of a hundred would say a third of the latency, and then the limit would fall to its floor.
 */
const measureFor = 10

/** How far the baseline moves towards the latency of a window: down, and up when little is in flight. */
const fall = 0.1
const rise = 0.05

/** One window lowers the limit to half at most. */
const steepest = 0.5

const later = (now: number, random: () => number): number => now + measureEvery * (1 + jitter * random())

/** The state of a backend that has just joined, whose limit is never above the ceiling. `random` is as in `end`. */
export const make = (ceiling: number, now: number, random: () => number): State => ({
  limit: Math.min(initial, ceiling),
  baseline: 0,
  latency: 0,
  windowFrom: now,
  logarithms: 0,
  successes: 0,
  failures: 0,
  peak: 0,
  measureAt: later(now, random),
  halvedAt: NaN,
  countFrom: NaN
})

const isHalved = ({ halvedAt }: State): boolean => !Number.isNaN(halvedAt)

/** The limit as it is to be kept now: a whole number. */
export const current = (state: State): number =>
  Math.floor(isHalved(state) ? Math.max(floor, state.limit / 2) : state.limit)

const clear = (state: State, now: number): void => {
  state.windowFrom = now
  state.logarithms =
    state.successes =
    state.failures =
    state.peak =
      0
}

const restore = (state: State, now: number, random: () => number): void => {
  const taken = now - state.halvedAt
  state.halvedAt = state.countFrom = NaN
  state.measureAt = later(now, random)
  state.measureAt += Math.max(0, restAfter * taken - measureEvery)
  clear(state, now)
}

/** Learns from a window that is full. */
const close = (state: State, ceiling: number, now: number, random: () => number): void => {
  const { failures, limit, peak, successes } = state
  const isNear = peak >= limit / 2
  let gradient = 1
  if (successes > 0) {
    const latency = state.latency = Math.exp(state.logarithms / successes)
    if (state.baseline === 0) state.baseline = latency
    else if (latency < state.baseline) state.baseline += (latency - state.baseline) * fall
    else if (!isNear) state.baseline += (latency - state.baseline) * rise
    if (isNear) gradient = Math.min(1, Math.max(steepest, (tolerance * state.baseline) / latency))
  }
  const target = limit * gradient * (1 - failures / (successes + failures)) + Math.sqrt(limit)
  const next = limit + (target - limit) * smoothing
  // What is not used is no reason to allow more.
  if (isNear || next < limit) state.limit = Math.min(ceiling, Math.max(floor, next))
  if (!isNear) state.measureAt = later(now, random)
  else if (now >= state.measureAt) state.halvedAt = now
  clear(state, now)
}

/**
 * Counts the end of a try, which took so many milliseconds to the head of its response. `inFlight` is what was in
 * flight with it. `random` gives numbers from 0 to below 1.
 */
export const end = (
  state: State,
  ceiling: number,
  outcome: Outcome,
  latencyMs: number,
  inFlight: number,
  now: number,
  random: () => number
): void => {
  state.peak = Math.max(state.peak, inFlight)
  if (isHalved(state)) {
    if (Number.isNaN(state.countFrom) && inFlight <= current(state)) state.countFrom = now
    // It had waited behind tries from before.
    if (!(now - latencyMs >= state.countFrom)) return
  }
  if (outcome === "success") {
    state.successes++
    // The clock counts milliseconds, so shorter latencies must look alike.
    state.logarithms += Math.log(1 + latencyMs)
  } else if (outcome === "failure") state.failures++

  if (state.successes + state.failures < windowAnswers) return
  if (isHalved(state)) {
    if (state.successes > 0) {
      const latency = Math.exp(state.logarithms / state.successes)
      if (now - state.countFrom < measureFor * latency) return
      state.baseline = latency
    }
    restore(state, now, random)
  } else if (now - state.windowFrom >= windowLength) close(state, ceiling, now, random)
}

/**
 * Milliseconds, and times the latency before it, that a measurement may take: long answers must not keep the limit
 * halved. The baseline would be no measure of it: where latencies have become many times as long for good, a measurement
 * is what finds that out.
 */
const patience = { fixed: 2_000, latencies: 20 }

/** Gives up a measurement that takes too long. To be called from time to time: a backend that hangs ends no try. */
export const expire = (state: State, now: number, random: () => number): void => {
  const taken = now - state.halvedAt
  if (taken > patience.fixed + patience.latencies * state.latency) restore(state, now, random)
}
