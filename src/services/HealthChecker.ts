/**
 * When active checks are made.
 *
 * Owns the timetable as a pure rule. What a check is, is `Probe`; the fibers that keep the timetable are in
 * `layers/HealthChecker`.
 */
import * as Duration from "effect/Duration"
import type { Health } from "./Health.ts"
import * as Validate from "./Validate.ts"

/** The timetable of active checks. */
export interface Timetable {
  /** From the start of one check of a healthy backend to the start of the next, before jitter. */
  readonly interval: Duration.Duration
  /** How long a check may take, answer and all. 2 s unless it is given. */
  readonly timeout?: Duration.Duration | undefined
}

/** The same timetable if it is valid; throws otherwise, because an interval of 0 would check without a pause. */
export const checked = (timetable: Timetable): Timetable => {
  Validate.time("interval", timetable.interval)
  if (timetable.timeout !== undefined) Validate.time("timeout", timetable.timeout)
  return timetable
}

/** That of the settings. */
export const defaultTimeout = Duration.seconds(2)

/** 5 s, as nginx Plus has it: a dead backend is out soon enough, and a hundred balancers are no burden to anybody. */
export const defaultTimetable: Timetable = { interval: Duration.seconds(5) }

/** How often a failing backend is checked, and one whose results have begun to differ from its state. */
const fastInterval = 1_000

/** The most time between two checks of a backend that has failed for long. */
const slowestInterval = 30_000

/**
 * The time to the next check of a failing backend, as a share of the time that it has failed: every second in the first
 * minute, every 5 s after 5 minutes, every 30 s after half an hour. So its return is noticed late by a sixtieth of the
 * outage at most, and a backend that is gone for good is hardly asked any more.
 */
const share = 1 / 60

/** Checks are spread by this much either way, so that many balancers do not fall into step. */
const jitter = 0.1

const intervalOf = ({ changed, probe }: Health, interval: number, now: number, since: number): number => {
  const fast = Math.min(fastInterval, interval)
  // A result that contradicts the state is worth a second look soon, however long the state has lasted.
  if (probe.streak > 0) return fast
  if (probe.state !== "Failing") return interval
  return Math.max(fast, Math.min(slowestInterval, share * (now - Math.max(changed.probe.at, since))))
}

/**
 * Milliseconds from the start of the last check to the start of the next. `random` is evenly spread over [0, 1),
 * `now` is in milliseconds, and so is `since`, when the backend came to where it is.
 *
 * The fast interval is HAProxy's `fastinter`: news about a backend is worth a second look at once. HAProxy's
 * `downinter` and Envoy's `unhealthy_interval` are fixed; this one grows.
 */
export const untilNextCheck = (
  health: Health,
  timetable: Timetable,
  random: number,
  now: number,
  since = 0
): number => intervalOf(health, Duration.toMillis(timetable.interval), now, since) * (1 - jitter + 2 * jitter * random)

/** A pool of up to so many backends is small; of those that join together, as many are checked at once. */
export const smallPool = 100

/** Of the others so many have their first check in a second, which leaves most of a core to the traffic. */
const perSecond = 2_000

/**
 * Milliseconds from when a backend has joined to its first check. `index` is its place among the `count` that have
 * joined together, `random` as above.
 *
 * The first ones begin at once. The others are spread evenly, over the interval at the most, as HAProxy does it with
 * all: ten thousand checks in one instant would keep this process from reading the answers in time.
 */
export const untilFirstCheck = (index: number, count: number, timetable: Timetable, random: number): number => {
  if (index < smallPool) return 0
  const later = count - smallPool
  const spread = Math.min(Duration.toMillis(timetable.interval), (later / perSecond) * 1_000)
  return (spread * (index - smallPool + random)) / later
}
