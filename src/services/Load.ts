/**
 * How busy a backend is, and how it has done lately: the live numbers beside the frozen snapshots of the pool.
 *
 * Owns the counters that `Balancer` writes and strategies read. One object per backend, which is
 * an id at an origin, serves every snapshot, so that what was learned survives a change of weight or of strategy. It is a
 * bag of numbers on purpose: it never decides anything and can be copied to another process. All times are
 * milliseconds of the same clock; the balancer's are those of `Monotonic`, which is another one on each machine.
 */
import type * as AdaptiveLimit from "./AdaptiveLimit.ts"
import type { Backend } from "./Backend.ts"
import type { Outcome } from "./Outcome.ts"

/**
 * How far a try had come before its end: to a backend, to the head of a good answer, or to a tunnel, which says nothing
 * about how busy a backend is. `unmeasured` is a try whose time says nothing about the backend: its request was still
 * coming when it was answered or ended, or it had ended before and only hands over its answer.
 */
export type Stage = "unmeasured" | "sent" | "answered" | "tunnel"

/**
 * What a backend did in the last 30 s, in a ring of buckets of 3 s. The counts of the current bucket are in `Load` until
 * the next one begins: with 10,000 backends every further object that the end of a try touches costs as much as its
 * arithmetic, and these two arrays cost a third of a choice.
 */
export interface Window {
  readonly successes: Array<number>
  readonly failures: Array<number>
}

/** The counters of one backend. All are written by `Balancer` only. */
export interface Load {
  /** Tries that have begun and not ended. */
  inFlight: number
  /** Those of them that are tunnels. */
  tunnels: number
  /** Tries that have begun, since the backend joined. */
  total: number
  /** Tries that ended in failure, since the backend joined. */
  failed: number
  /** Failures since the last success. */
  consecutiveFailures: number
  /**
   * The moving average of latencies, in milliseconds, which a slow answer raises at once: see `observe`. 0 is none yet.
   */
  latency: number
  /** When `latency` was last updated. */
  latencyAt: number
  /** Which bucket of the window is being written, counted since the beginning of time. */
  bucket: number
  /** Tries that ended in success, in this bucket. */
  successes: number
  /** Tries that ended in failure, in this bucket. */
  failures: number
  readonly window: Window
  /** When the backend was last forgiven: older tries that still fail are not held against it. `NaN` if it never was. */
  forgivenAt: number
  /** How many tries may be in flight: as configured, less where there is an adaptive limit, or the ceiling of a trial. */
  limit: number
  /** The highest that the limit may be during a trial, see `isOnTrial`; it says nothing when there is none. */
  ceiling: number
  /** Whether the backend is on trial: the ceiling is then the tries that are left from before it, and one more. */
  isOnTrial: boolean
  /** When the trial began: older tries go on beside it. `NaN` when there is none. */
  trialFrom: number
  /** What the adaptive limit goes by, if there is one. */
  adaptive: AdaptiveLimit.State | undefined
  /** When the backend came back or joined, for its slow start; `NaN` when it is warm. */
  warmingSince: number
}

/** The length of a bucket of the window, in milliseconds. */
const bucketLength = 3_000

const buckets = 10

/** The load of a backend that has just joined. */
export const make = (): Load => ({
  inFlight: 0,
  tunnels: 0,
  total: 0,
  failed: 0,
  consecutiveFailures: 0,
  latency: 0,
  latencyAt: 0,
  bucket: 0,
  successes: 0,
  failures: 0,
  window: { successes: Array<number>(buckets).fill(0), failures: Array<number>(buckets).fill(0) },
  forgivenAt: NaN,
  limit: Infinity,
  ceiling: Infinity,
  isOnTrial: false,
  trialFrom: NaN,
  adaptive: undefined,
  warmingSince: NaN
})

/** A backend together with its live load: what a strategy picks. */
export interface Endpoint {
  readonly backend: Backend
  readonly load: Load
}

/** Counts the begin of a try, or with `isAgain` that one goes on that was counted before. */
export const begin = (load: Load, isAgain = false): void => {
  load.inFlight++
  if (!isAgain) load.total++
}

/**
 * The milliseconds in which an old latency loses 63 % of its say. Finagle and Linkerd have 10 s; with that a
 * backend that was at 1.5 s gets nothing for half a minute after it is back at 20 ms, with this it has its share
 * again after three seconds.
 */
const latencyMemory = 500

/**
 * A failure counts as this long at least, or a backend that fails at once would look like the best of
 * all. Linkerd has 5 s.
 */
const failureLatency = 1_000

/**
 * Peak-EWMA (Finagle's `PeakEwma`): a latency above the average replaces it at once, one below moves it by as much as
 * time has passed. So bad news is believed immediately and good news when it lasts. An answer that was kept while another
 * try was made may be told of after later ones.
 */
const observe = (load: Load, latency: number, now: number): void => {
  if (latency > load.latency) load.latency = latency
  else load.latency = latency + (load.latency - latency) * Math.exp(-Math.max(0, now - load.latencyAt) / latencyMemory)
  load.latencyAt = now
}

/** Forgets the results of the window. */
const clear = (load: Load): void => {
  load.successes = load.failures = 0
  load.window.successes.fill(0)
  load.window.failures.fill(0)
}

/** Makes the bucket of this time the one that is written, and empties those in which nothing was written. */
const turn = (load: Load, now: number): void => {
  const bucket = Math.floor(now / bucketLength)
  if (bucket === load.bucket) return
  const { window } = load
  window.successes[load.bucket % buckets] = load.successes
  window.failures[load.bucket % buckets] = load.failures
  for (let i = Math.max(load.bucket + 1, bucket - buckets + 1); i <= bucket; i++) {
    window.successes[i % buckets] = window.failures[i % buckets] = 0
  }
  load.successes = load.failures = 0
  load.bucket = bucket
}

/** Learns how long the head of a good answer took. At the end of the body this would be old news. */
export const answered = (load: Load, latencyMs: number, now: number, stage: Stage): void => {
  observe(load, latencyMs, now)
  if (stage === "tunnel") load.tunnels++
}

/**
 * Counts the end of a try. `latencyMs` is its latency, to the head of its response or to its end without one, unless
 * that was learned when it was `answered`, or there is none to learn. `beganAt` is when all of it began, where that was
 * earlier.
 */
export const end = (
  load: Load,
  outcome: Outcome,
  latencyMs: number,
  now: number,
  stage: Stage = "sent",
  beganAt: number = now - latencyMs
): void => {
  load.inFlight--
  if (stage === "tunnel") load.tunnels--
  const isLearned = stage !== "sent"
  // Streams and tunnels have no other end than that their client leaves, and their head was good.
  const isGood = outcome === "success" || (outcome === "aborted" && (stage === "answered" || stage === "tunnel"))
  if (outcome === "aborted" && !isGood) {
    // An answer would have taken at least as long.
    if (!isLearned && latencyMs > load.latency && load.latency > 0) observe(load, latencyMs, now)
    return
  }
  turn(load, now)
  if (isGood) {
    load.consecutiveFailures = 0
    load.successes++
    if (!isLearned) observe(load, latencyMs, now)
  } else {
    load.failed++
    // Sent to a backend that was ill as everybody knows, and has shown since that it is well.
    if (beganAt < load.forgivenAt) return
    load.consecutiveFailures++
    load.failures++
    observe(load, isLearned ? failureLatency : Math.max(latencyMs, failureLatency), now)
  }
}

/** The tries of the window, and how many of them succeeded. */
export const recent = (load: Load, now: number): { readonly total: number; readonly succeeded: number } => {
  turn(load, now)
  let succeeded = load.successes
  let failed = load.failures
  for (let i = 0; i < buckets; i++) {
    succeeded += load.window.successes[i]!
    failed += load.window.failures[i]!
  }
  return { total: succeeded + failed, succeeded }
}

/**
 * Forgets the results of real traffic, also of tries that are still under way, for a real second chance. The averages
 * stay: they forget by themselves.
 */
export const forgive = (load: Load, now: number): void => {
  load.consecutiveFailures = 0
  load.forgivenAt = now
  clear(load)
}
