/**
 * The health of a backend in words, for the log and for people.
 *
 * Owns the sentences. What the health is, and what moves it, is `Health`.
 */
import * as Duration from "effect/Duration"
import { type Change, hasRecovered, type Health, status } from "./Health.ts"

/** To the second, and above an hour to the minute. */
const words = (millis: number): string => {
  const unit = millis < 3_600_000 ? 1_000 : 60_000
  const rounded = Math.max(0, Math.ceil(millis / unit)) * unit
  return rounded === 0 ? "0s" : Duration.format(Duration.millis(rounded))
}

const since = ({ at }: Change, now: number): string => `for ${words(now - at)}`

const last = ({ circuit, mode, probe }: Health["changed"]): Change =>
  [probe, circuit, mode].reduce((latest, change) => (change.at > latest.at ? change : latest))

/** Results that contradict the state and are too few to change it. */
const against = (count: number, result: string): string =>
  count === 0 ? "" : `, but ${count === 1 ? "the last check" : `the last ${count} checks`} ${result}`

/** The cause of what `status` says, such as `Connection refused`: whatever else has changed on another axis since. */
export const cause = (health: Health): string => {
  switch (status(health)) {
    case "Disabled":
    case "Draining":
      return health.changed.mode.why
    case "Down":
      return health.changed.probe.why
    case "Ejected":
    case "Trial":
      return health.changed.circuit.why
    case "Checking":
    case "Up":
      return health.why
  }
}

/**
 * The state of a backend and its causes in one sentence, such as `down for 12s: Connection refused`. When there are
 * several reasons not to use it, all are said, the one that decides first. `now` is that of `Monotonic`.
 */
export const explain = (health: Health, now: number): string => {
  const { changed, circuit, mode, probe } = health
  const facts: Array<string> = []
  if (mode !== "Ready") facts.push(`${mode.toLowerCase()} ${since(changed.mode, now)}: ${changed.mode.why}`)
  if (probe.state === "Failing") {
    facts.push(`down ${since(changed.probe, now)}: ${changed.probe.why}${against(probe.streak, "passed")}`)
  }
  if (circuit._tag === "Open") {
    const again = circuit.trips === 1 ? "" : `, ejection ${circuit.trips} in a row`
    facts.push(`ejected for ${words(circuit.until - now)} more: ${changed.circuit.why}${again}`)
  }
  if (circuit._tag === "Trial") {
    const ejections = circuit.trips === 1 ? "its ejection" : `${circuit.trips} ejections in a row`
    facts.push(`on trial ${since(changed.circuit, now)} after ${ejections}: ${changed.circuit.why}`)
  }
  if (facts.length > 0) return facts.join("; ")
  switch (hasRecovered(health) ? "Passing" : probe.state) {
    case "Unknown":
      return "not checked yet"
    case "Unproven":
      return "not checked yet, and not used before its first check has passed"
    default:
      return `up ${since(last(changed), now)}: ${last(changed).why}${against(probe.streak, "failed")}`
  }
}
