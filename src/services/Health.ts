/**
 * The health of a backend: one pure transition over three independent axes.
 *
 * ```
 * mode     Ready | Draining | Disabled            what the operator and discovery want
 * probe    Unknown | Passing | Failing            active checks: `rise` or `fall` consecutive results
 *          Unproven                                as Unknown, but not used before its first check has passed
 * circuit  Closed | Open(until, trips) | Trial    real traffic: too many failures eject, a trial readmits
 * ```
 *
 * The axes do not overwrite each other: a backend that the operator drains can fail its probes meanwhile, and both facts
 * are kept, each with its cause. They meet in one place: a probe that passes begins the trial of an ejected backend.
 * What users see (`status`) and what the balancer needs (`isEligible`) is derived and never stored.
 *
 * Not here: who sends signals (`HealthChecker`, an operator, passive checks), and rules that concern the pool as a
 * whole, such as how many may be ejected at once (`Pool`).
 */
import * as Duration from "effect/Duration"

/**
 * What the operator wants: `Draining` finishes what it has, sessions of pinned clients among it, and takes nothing new;
 * `Disabled` is not used at all.
 */
export type Mode = "Ready" | "Draining" | "Disabled"

/**
 * What active checks say. `streak` counts the results in a row that contradict the current state; the state changes
 * when the streak is long enough.
 */
export interface Probe {
  readonly state: "Unknown" | "Unproven" | "Passing" | "Failing"
  readonly streak: number
  /** Whether a backend that is failing answered its last check, so that it could answer requests as well. */
  readonly answered?: boolean | undefined
  /** Whether that check got no answer although a request may get one. */
  readonly silent?: boolean | undefined
}

/** What real traffic says. `trips` counts ejections in a row, and each lasts longer than the one before. */
export type Circuit =
  | { readonly _tag: "Closed" }
  | { readonly _tag: "Open"; readonly until: number; readonly trips: number }
  | { readonly _tag: "Trial"; readonly trips: number }

/** When an axis came to its state, in milliseconds of `Monotonic`, and why. */
export interface Change {
  readonly at: number
  readonly why: string
}

/** The whole health of one backend. `why` is the cause of the last change, in words for the log. */
export interface Health {
  readonly mode: Mode
  readonly probe: Probe
  readonly circuit: Circuit
  readonly why: string
  /** The last change of each axis. */
  readonly changed: { readonly mode: Change; readonly probe: Change; readonly circuit: Change }
}

/**
 * What a backend is before its first check is over. `up` and `down` are HAProxy's `init-state`; one that is `checking`
 * is offered traffic only where too few others have passed theirs, which is the pool's rule.
 */
export type Initial = "up" | "checking" | "down"

/** Thresholds and times of the transition. */
export interface Policy {
  /** Passes in a row that bring a failing backend back. */
  readonly rise: number
  /** Failures in a row that take a backend out. */
  readonly fall: number
  /** The length of the first ejection; each further one in a row is twice as long. */
  readonly ejectionTime: Duration.Duration
  /** No ejection lasts longer, but for its jitter. */
  readonly maxEjectionTime: Duration.Duration
  /** Whether a backend that has just joined is offered traffic before its first check has passed: `up`, unless given. */
  readonly initial?: Initial | undefined
}

/**
 * The defaults. One failed probe takes a backend out and two passes bring it back (nginx Plus uses 1 and 1, HAProxy 3
 * and 2): with a probe every 5 s and a failing backend probed every second, a dead one is out within 6 s, and one that
 * recovers within a minute is back within 3. An ejection lasts 10 s like nginx's `fail_timeout`, doubled each time up to
 * 300 s like Envoy's.
 */
export const defaultPolicy: Policy = {
  rise: 2,
  fall: 1,
  ejectionTime: Duration.seconds(10),
  maxEjectionTime: Duration.seconds(300)
}

/** Something that was learned about a backend. `why` is a cause in words, such as `Connection refused`. */
export type Signal =
  | { readonly _tag: "ModeSet"; readonly mode: Mode; readonly why: string }
  | { readonly _tag: "ProbePassed"; readonly why: string }
  /**
   * `answered` if it was the answer that was wrong; `silent` if there was none, which need not be so for requests.
   */
  | {
    readonly _tag: "ProbeFailed"
    readonly why: string
    readonly answered?: boolean | undefined
    readonly silent?: boolean | undefined
  }
  /**
   * Real traffic failed too often, or the trial failed. `random` is from 0 to 1 and spreads the end of the ejection.
   */
  | { readonly _tag: "Tripped"; readonly why: string; readonly random?: number | undefined }
  /** The trial exchange succeeded. */
  | { readonly _tag: "Recovered"; readonly why: string }
  /** Time has passed; an ejection may be over. */
  | { readonly _tag: "Elapsed" }

const joined: Change = { at: 0, why: "not checked yet" }

/** The health of a backend that has just joined: offered traffic until a probe says otherwise. */
export const initial: Health = {
  mode: "Ready",
  probe: { state: "Unknown", streak: 0 },
  circuit: { _tag: "Closed" },
  why: joined.why,
  changed: { mode: joined, probe: joined, circuit: joined }
}

const unproven: Health = { ...initial, probe: { state: "Unproven", streak: 0 } }

/** The health of a backend that has just joined, by this policy. */
export const initialBy = (policy: Policy): Health => (policy.initial === "down" ? unproven : initial)

const stepProbe = (probe: Probe, result: "Passing" | "Failing", threshold: number): Probe => {
  if (probe.state === result) return probe.streak === 0 ? probe : { state: result, streak: 0 }
  const streak = probe.streak + 1
  // The first result decides at once: nobody wants to wait `rise` probes for a start.
  const isFirst = probe.state === "Unknown" || probe.state === "Unproven"
  return isFirst || streak >= threshold ? { state: result, streak: 0 } : { ...probe, streak }
}

const withProbe = (health: Health, probe: Probe, why: string): Health => {
  if (probe === health.probe) return health
  return { ...health, probe, why: probe.state === health.probe.state ? health.why : why }
}

/** Of one that fails its checks, what the last one says of requests. */
const withLastCheck = (health: Health, last: Required<Pick<Probe, "answered" | "silent">>): Health => {
  const { probe } = health
  const { answered = false, silent = false, state } = probe
  return state !== "Failing" || (answered === last.answered && silent === last.silent)
    ? health
    : { ...health, probe: { ...probe, ...last } }
}

/** An ejection is longer by up to this share, so that backends that failed together do not all come back together. */
const jitter = 0.25

const open = (trips: number, now: number, policy: Policy, random: number): Circuit => {
  // Beyond 64 doublings nothing is left to be learned, and 2 ** 1024 is infinite: that times zero is not a number.
  const length = Duration.toMillis(policy.ejectionTime) * 2 ** Math.min(trips - 1, 64)
  const capped = Math.min(length, Duration.toMillis(policy.maxEjectionTime))
  return { _tag: "Open", until: now + Math.round(capped * (1 + jitter * random)), trips }
}

const step = (health: Health, signal: Signal, now: number, policy: Policy): Health => {
  const { circuit } = health
  switch (signal._tag) {
    case "ModeSet":
      return signal.mode === health.mode ? health : { ...health, mode: signal.mode, why: signal.why }
    case "ProbePassed": {
      // One that has to pass more often has answered all the same.
      const next = withLastCheck(
        withProbe(health, stepProbe(health.probe, "Passing", policy.rise), signal.why),
        { answered: true, silent: false }
      )
      // A backend that answers its probe again may show it with one request before its time is over.
      return circuit._tag === "Open"
        ? { ...next, circuit: { _tag: "Trial", trips: circuit.trips }, why: signal.why }
        : next
    }
    case "ProbeFailed": {
      const next = withProbe(health, stepProbe(health.probe, "Failing", policy.fall), signal.why)
      const { answered = false, silent = false } = signal
      return withLastCheck(next, { answered, silent })
    }
    case "Tripped": {
      if (circuit._tag === "Open") return health
      const trips = circuit._tag === "Trial" ? circuit.trips + 1 : 1
      return { ...health, circuit: open(trips, now, policy, signal.random ?? 0), why: signal.why }
    }
    case "Recovered":
      return circuit._tag === "Trial" ? { ...health, circuit: { _tag: "Closed" }, why: signal.why } : health
    case "Elapsed":
      return circuit._tag === "Open" && now >= circuit.until
        ? { ...health, circuit: { _tag: "Trial", trips: circuit.trips }, why: "the ejection is over" }
        : health
  }
}

/**
 * The next health after a signal. Pure and total, and the same object when nothing changed.
 *
 * `now` is in milliseconds, from the same clock for every call; the pool's are those of `Monotonic`.
 */
export const transition = (health: Health, signal: Signal, now: number, policy: Policy): Health => {
  const next = step(health, signal, now, policy)
  if (next === health) return health
  const change: Change = { at: now, why: next.why }
  const { circuit, mode, probe } = health.changed
  return {
    ...next,
    changed: {
      mode: next.mode === health.mode ? mode : change,
      probe: next.probe.state === health.probe.state ? probe : change,
      circuit: next.circuit === health.circuit ? circuit : change
    }
  }
}

/** In another place: an ejection is over, because what requests have met with elsewhere says nothing of this one. */
export const moved = (health: Health): Health =>
  health.circuit._tag === "Open" ? { ...health, circuit: { ...health.circuit, until: 0 } } : health

/** The one word that users see, worst fact first. */
export type Status = "Disabled" | "Draining" | "Down" | "Ejected" | "Trial" | "Checking" | "Up"

/** Derives the status. */
export const status = (health: Health): Status => {
  if (health.mode !== "Ready") return health.mode
  if (isFailing(health)) return "Down"
  if (isEjected(health)) return "Ejected"
  if (isOnTrial(health)) return "Trial"
  return health.probe.state === "Passing" || hasRecovered(health) ? "Up" : "Checking"
}

/** Whether real traffic has shown that it is well, which counts like a passed check where there are no checks. */
export const hasRecovered = ({ changed, circuit, probe }: Health): boolean =>
  probe.state === "Unknown" && circuit._tag === "Closed" && changed.circuit !== joined

/** Whether real traffic has taken it out for a while. */
export const isEjected = ({ circuit }: Health): boolean => circuit._tag === "Open"

/** Whether it has to show, with one exchange at a time where others are left, that it can be used again. */
export const isOnTrial = ({ circuit }: Health): boolean => circuit._tag === "Trial"

/** Whether its checks have taken it out. */
export const isFailing = ({ probe }: Health): boolean => probe.state === "Failing"

const passesChecks = (health: Health): boolean => !isFailing(health) && health.probe.state !== "Unproven"

/** Whether neither the operator nor real traffic has taken it out. */
const isLeftIn = (health: Health): boolean => health.mode === "Ready" && !isEjected(health)

/** Whether the balancer may offer new exchanges to this backend. */
export const isEligible = (health: Health): boolean => isLeftIn(health) && passesChecks(health)

/**
 * Whether nothing but its ejection keeps the balancer from offering it new exchanges. Where nobody else is left it may be
 * asked: it may be well by now, and who is left out for other reasons is not.
 */
export const isOnlyEjected = (health: Health): boolean =>
  health.mode === "Ready" && passesChecks(health) && isEjected(health)

/** Whether exchanges of clients that are pinned to this backend may go on there: while it drains, too. */
export const isOpenToPinned = (health: Health): boolean =>
  health.mode !== "Disabled" && passesChecks(health) && !isEjected(health)

/**
 * Whether a pool in panic offers new exchanges to this backend although its checks fail: they must at least have been
 * answered, because a backend that does not answer its checks would hardly answer requests (but see `isSilent`). Modes
 * and ejections are kept.
 */
export const isWorthTrying = (health: Health): boolean =>
  isLeftIn(health) && (passesChecks(health) || (isFailing(health) && health.probe.answered === true))

/**
 * Whether a pool in panic offers new exchanges to this backend when nobody is worth trying: its checks get no answer, but
 * they go somewhere else than the traffic, or may wait for something that requests do not need.
 */
export const isSilent = (health: Health): boolean =>
  isLeftIn(health) && isFailing(health) && health.probe.silent === true
