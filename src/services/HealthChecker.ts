/**
 * When active checks are made.
 *
 * Owns the timetable as a pure rule. What a check is, is `Probe`; the fibers that keep the timetable are in
 * `layers/HealthChecker`.
 */
import * as Duration from "effect/Duration"
import type { Health } from "./Health.ts"

/** The timetable of active checks. */
export interface Timetable {
  /** From the start of one check of a healthy backend to the start of the next, before jitter. */
  readonly interval: Duration.Duration
}

/** 5 s, as nginx Plus has it: a dead backend is out soon enough, and a hundred balancers are no burden to anybody. */
export const defaultTimetable: Timetable = { interval: Duration.seconds(5) }

/** How often a failing backend is checked, and one whose results have begun to differ from its state. */
const fastInterval = Duration.seconds(1)

/** Checks are spread by this much either way, so that many balancers do not fall into step. */
const jitter = 0.1

/**
 * Milliseconds from the start of the last check to the start of the next. `random` is evenly spread over [0, 1).
 *
 * The fast interval is HAProxy's `fastinter`: news about a backend is worth a second look at once.
 */
export const untilNextCheck = (health: Health, timetable: Timetable, random: number): number => {
  const unsettled = health.probe.state === "Failing" || health.probe.streak > 0
  const interval = unsettled ? Duration.min(fastInterval, timetable.interval) : timetable.interval
  return Duration.toMillis(interval) * (1 - jitter + 2 * jitter * random)
}
