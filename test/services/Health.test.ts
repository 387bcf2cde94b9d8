import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Health from "../../src/services/Health.ts"

// -----------------------------------------------------------------------------
// Every state, every signal, several moments and policies
// -----------------------------------------------------------------------------

const policies: ReadonlyArray<Health.Policy> = [
  Health.defaultPolicy,
  { rise: 3, fall: 2, ejectionTime: Duration.millis(700), maxEjectionTime: Duration.millis(2000) },
  { rise: 1, fall: 1, ejectionTime: Duration.zero, maxEjectionTime: Duration.zero }
]

const modes: ReadonlyArray<Health.Mode> = ["Ready", "Draining", "Disabled"]
const checks: ReadonlyArray<Omit<Health.Probe, "streak">> = [
  { state: "Unknown" },
  { state: "Unproven" },
  { state: "Passing" },
  { state: "Failing" },
  { state: "Failing", answered: true, silent: false },
  { state: "Failing", answered: false, silent: true }
]
const probes: ReadonlyArray<Health.Probe> = checks.flatMap((check) =>
  [0, 1, 2, 3].map((streak) => Object.assign({ streak }, check))
)
const trips = [1, 2, 9, 2000]
const circuits: ReadonlyArray<Health.Circuit> = [
  { _tag: "Closed" },
  ...[0, 1000].flatMap((until) => trips.map((trips): Health.Circuit => ({ _tag: "Open", until, trips }))),
  ...trips.map((trips): Health.Circuit => ({ _tag: "Trial", trips }))
]

const change: Health.Change = Object.freeze({ at: 500, why: "before" })

const states: ReadonlyArray<Health.Health> = modes.flatMap((mode) =>
  probes.flatMap((probe) =>
    circuits.flatMap((circuit) =>
      // One that was never ejected, and one that has recovered.
      (circuit._tag === "Closed" ? [Health.initial.changed.circuit, change] : [change]).map((changed) =>
        Object.freeze({
          mode,
          probe: Object.freeze(probe),
          circuit: Object.freeze(circuit),
          why: "before",
          changed: Object.freeze({ mode: change, probe: change, circuit: changed })
        })
      )
    )
  )
)

const signals: ReadonlyArray<Health.Signal> = [
  ...modes.map((mode): Health.Signal => ({ _tag: "ModeSet", mode, why: "after" })),
  { _tag: "ProbePassed", why: "after" },
  { _tag: "ProbeFailed", why: "after" },
  { _tag: "ProbeFailed", why: "after", answered: true },
  { _tag: "ProbeFailed", why: "after", silent: true },
  { _tag: "Tripped", why: "after" },
  ...[0, 0.5, 1].map((random): Health.Signal => ({ _tag: "Tripped", why: "after", random })),
  { _tag: "Recovered", why: "after" },
  { _tag: "Elapsed" }
]

const moments = [0, 999, 1000, 1001, 1e12]

interface Step {
  readonly before: Health.Health
  readonly signal: Health.Signal
  readonly now: number
  readonly policy: Health.Policy
  readonly after: Health.Health
}

const steps: ReadonlyArray<Step> = policies.flatMap((policy) =>
  states.flatMap((before) =>
    signals.flatMap((signal) =>
      moments.map((now) => ({ before, signal, now, policy, after: Health.transition(before, signal, now, policy) }))
    )
  )
)

/** The first step for which a rule does not hold, or nothing. */
const exception = (holds: (step: Step) => boolean): Step | undefined => steps.find((step) => !holds(step))

const equal = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

describe("transition, for every state and signal", () => {
  it("covers them all", () => {
    assert.strictEqual(states.length, 3 * 6 * 4 * (13 + 1))
    assert.strictEqual(steps.length, states.length * signals.length * moments.length * policies.length)
  })

  it("is total: the result is always a health", () => {
    assert.isUndefined(
      exception(({ after: { circuit, mode, probe } }) =>
        modes.includes(mode) && checks.some(({ state }) => state === probe.state) && Number.isInteger(probe.streak) &&
        probe.streak >= 0 &&
        (circuit._tag === "Closed" || circuit.trips >= 1) && (circuit._tag !== "Open" || Number.isFinite(circuit.until))
      )
    )
  })

  it("is pure: the same arguments give the same result", () => {
    // The states are frozen, so that a write would have thrown above.
    assert.isUndefined(
      exception(({ after, before, now, policy, signal }) =>
        equal(Health.transition(before, signal, now, policy), after)
      )
    )
  })

  it("returns the same object when nothing changed, and only then", () => {
    assert.isUndefined(exception(({ after, before }) => equal(after, before) === (after === before)))
  })

  it("changes the mode by ModeSet only, and then nothing else", () => {
    assert.isUndefined(exception(({ after, before, signal }) =>
      signal._tag === "ModeSet"
        ? after.mode === signal.mode && after.probe === before.probe && after.circuit === before.circuit
        : after.mode === before.mode
    ))
  })

  it("changes the probe axis by the results of probes only", () => {
    assert.isUndefined(
      exception(({ after, before, signal }) =>
        signal._tag === "ProbePassed" || signal._tag === "ProbeFailed" || after.probe === before.probe
      )
    )
  })

  it("keeps of a backend that fails its checks whether it answered the last one", () => {
    assert.isUndefined(
      exception(({ after: { probe }, signal }) =>
        !(signal._tag === "ProbeFailed" || signal._tag === "ProbePassed") || probe.state !== "Failing" ||
        (probe.answered ?? false) === (signal._tag === "ProbePassed" || (signal.answered ?? false))
      )
    )
  })

  it("never touches the circuit by a failed probe, and by a passed one only to allow a trial", () => {
    assert.isUndefined(exception(({ after, before, signal }) => {
      if (signal._tag === "ProbeFailed") return after.circuit === before.circuit
      if (signal._tag !== "ProbePassed") return true
      return before.circuit._tag === "Open"
        ? equal(after.circuit, { _tag: "Trial", trips: before.circuit.trips })
        : after.circuit === before.circuit
    }))
  })

  it("treats each axis the same, whatever the other two are", () => {
    assert.isUndefined(exception(({ after, before, now, policy, signal }) => {
      const alone = (health: Partial<Health.Health>) =>
        Health.transition({ ...Health.initial, ...health }, signal, now, policy)
      return equal(alone({ mode: before.mode }).mode, after.mode) &&
        equal(alone({ probe: before.probe }).probe, after.probe) &&
        equal(alone({ circuit: before.circuit, changed: before.changed }).circuit, after.circuit)
    }))
  })

  it("gives the reason of the signal exactly when a state changed, and not while a streak grows", () => {
    assert.isUndefined(exception(({ after, before, signal }) => {
      const changed = after.mode !== before.mode || after.probe.state !== before.probe.state ||
        !equal(after.circuit, before.circuit)
      return after.why === (changed ? (signal._tag === "Elapsed" ? "the ejection is over" : "after") : "before")
    }))
  })

  it("moves along the probe axis as documented and in no other way: the first result decides, and nothing is unknown again", () => {
    const arrows = new Set(
      steps.filter(({ after, before }) => after.probe.state !== before.probe.state).map(({ after, before, signal }) =>
        `${before.probe.state} -> ${after.probe.state} by ${signal._tag}`
      )
    )
    assert.sameMembers([...arrows], [
      "Unknown -> Passing by ProbePassed",
      "Unknown -> Failing by ProbeFailed",
      "Unproven -> Passing by ProbePassed",
      "Unproven -> Failing by ProbeFailed",
      "Passing -> Failing by ProbeFailed",
      "Failing -> Passing by ProbePassed"
    ])
  })

  it("never lets a streak reach its threshold: the state changes then, and the next streak begins at nothing", () => {
    assert.isUndefined(exception(({ after, before, policy, signal }) => {
      if (after.probe.state !== before.probe.state) return after.probe.streak === 0
      if (after.probe.streak <= before.probe.streak) {
        return after.probe.streak === before.probe.streak || after.probe.streak === 0
      }
      const threshold = signal._tag === "ProbePassed" ? policy.rise : policy.fall
      return after.probe.streak === before.probe.streak + 1 && after.probe.streak < threshold
    }))
  })

  it("ends a streak by a result that confirms the state", () => {
    assert.isUndefined(exception(({ after, before, signal }) => {
      const confirms = (before.probe.state === "Passing" && signal._tag === "ProbePassed") ||
        (before.probe.state === "Failing" && signal._tag === "ProbeFailed")
      return !confirms || (after.probe.state === before.probe.state && after.probe.streak === 0)
    }))
  })

  it("never forgets a trip while the backend has not recovered, and counts each new one", () => {
    const tripsOf = ({ circuit }: Health.Health) => (circuit._tag === "Closed" ? 0 : circuit.trips)
    assert.isUndefined(exception(({ after, before, signal }) => {
      if (after.circuit._tag === "Closed") return before.circuit._tag === "Closed" || signal._tag === "Recovered"
      const isNew = before.circuit._tag !== "Open" && after.circuit._tag === "Open"
      return tripsOf(after) === tripsOf(before) + (isNew ? 1 : 0)
    }))
  })

  it("keeps the time and the cause of each axis until that axis changes again, whatever happens to the others", () => {
    const axes = ["mode", "probe", "circuit"] as const
    const stateOf = (health: Health.Health, axis: typeof axes[number]) =>
      axis === "probe" ? health.probe.state : health[axis]
    assert.isUndefined(
      exception(({ after, before, now }) =>
        axes.every((axis) =>
          stateOf(after, axis) === stateOf(before, axis)
            ? after.changed[axis] === before.changed[axis]
            : equal(after.changed[axis], { at: now, why: after.why })
        )
      )
    )
  })

  it("moves along the circuit as documented and in no other way", () => {
    const arrows = new Set(
      steps.filter(({ after, before }) => after.circuit !== before.circuit).map(({ after, before, signal }) =>
        `${before.circuit._tag} -> ${after.circuit._tag} by ${signal._tag}`
      )
    )
    assert.sameMembers([...arrows], [
      "Closed -> Open by Tripped",
      "Trial -> Open by Tripped",
      "Trial -> Closed by Recovered",
      "Open -> Trial by Elapsed",
      "Open -> Trial by ProbePassed"
    ])
  })

  it("ends an ejection by time when its time has come and not before", () => {
    assert.isUndefined(
      exception(({ after, before: { circuit }, now, signal }) =>
        signal._tag !== "Elapsed" || circuit._tag !== "Open" ||
        (after.circuit._tag === "Trial") === (now >= circuit.until)
      )
    )
  })

  it("never ejects for longer than the longest ejection and a quarter of it, nor into the past", () => {
    assert.isUndefined(
      exception(({ after: { circuit }, before, now, policy }) =>
        circuit === before.circuit || circuit._tag !== "Open" ||
        circuit.until <= now + Duration.toMillis(policy.maxEjectionTime) * 1.25
      )
    )
    assert.isUndefined(
      exception(({ after, before, now }) =>
        after.circuit === before.circuit || after.circuit._tag !== "Open" || after.circuit.until >= now
      )
    )
  })
})

describe("status and isEligible", () => {
  it("agree, for every state: who is up, checked for the first time or on trial is offered traffic, others are not", () => {
    const eligible: Readonly<Record<Health.Status, boolean>> = {
      Up: true,
      Checking: true,
      Trial: true,
      Draining: false,
      Disabled: false,
      Down: false,
      Ejected: false
    }
    const seen = new Set<Health.Status>()
    for (const state of states) {
      const status = Health.status(state)
      seen.add(status)
      const isTrusted = state.probe.state !== "Unproven"
      assert.strictEqual(Health.isEligible(state), eligible[status] && isTrusted, JSON.stringify(state))
      if (!isTrusted) assert.notStrictEqual(status, "Up", JSON.stringify(state))
    }
    assert.sameMembers([...seen], Object.keys(eligible))
  })

  it("never offer traffic to a backend that is out on any axis, and none in panic to one that nobody wants or that is unproven", () => {
    const isOut = ({ circuit, mode, probe }: Health.Health) =>
      mode !== "Ready" || probe.state === "Failing" || circuit._tag === "Open"
    const isUnwanted = ({ mode, probe }: Health.Health) => mode !== "Ready" || probe.state === "Unproven"
    assert.isUndefined(states.find((state) => Health.isEligible(state) && isOut(state)))
    assert.isUndefined(states.find((state) => Health.isWorthTrying(state) && isUnwanted(state)))
    const silent = states.map((state): Health.Health => ({ ...state, probe: { ...state.probe, silent: true } }))
    const tried = silent.filter(Health.isSilent)
    assert.isNotEmpty(tried)
    assert.isUndefined(tried.find((state) => isUnwanted(state) || Health.isEjected(state)))
  })

  it("leave pinned exchanges to who drains and would be eligible otherwise, and to who is eligible", () => {
    for (const state of states) {
      const ready = Health.isEligible({ ...state, mode: "Ready" })
      assert.strictEqual(Health.isOpenToPinned(state), state.mode !== "Disabled" && ready, JSON.stringify(state))
    }
  })

  it("name the worst fact first", () => {
    const worst: Health.Health = {
      ...Health.initial,
      mode: "Disabled",
      probe: { state: "Failing", streak: 0 },
      circuit: { _tag: "Open", until: 1, trips: 1 },
      why: ""
    }
    assert.strictEqual(Health.status(worst), "Disabled")
    assert.strictEqual(Health.status({ ...worst, mode: "Draining" }), "Draining")
    assert.strictEqual(Health.status({ ...worst, mode: "Ready" }), "Down")
    const passing: Health.Probe = { state: "Passing", streak: 0 }
    assert.strictEqual(Health.status({ ...worst, mode: "Ready", probe: passing }), "Ejected")
    const trial: Health.Health = { ...worst, mode: "Ready", probe: passing, circuit: { _tag: "Trial", trips: 1 } }
    assert.strictEqual(Health.status(trial), "Trial")
    assert.strictEqual(Health.status({ ...trial, probe: { state: "Unknown", streak: 0 } }), "Trial")
    assert.strictEqual(Health.status(Health.initial), "Checking")
  })

  it("let a backend that has just joined be used at once, unless the policy says that it must pass a check first", () => {
    assert.isTrue(Health.isEligible(Health.initial))
    assert.strictEqual(Health.initialBy(Health.defaultPolicy), Health.initial)
    assert.strictEqual(Health.initialBy({ ...Health.defaultPolicy, initial: "up" }), Health.initial)
    const waiting = Health.initialBy({ ...Health.defaultPolicy, initial: "down" })
    assert.deepStrictEqual([Health.status(waiting), Health.isEligible(waiting)], ["Checking", false])
    const passed = Health.transition(waiting, { _tag: "ProbePassed", why: "status: 200" }, 0, Health.defaultPolicy)
    assert.deepStrictEqual([Health.status(passed), Health.isEligible(passed)], ["Up", true])
  })
})

// -----------------------------------------------------------------------------
// Stories
// -----------------------------------------------------------------------------

const passed: Health.Signal = { _tag: "ProbePassed", why: "status: 200" }
const failed: Health.Signal = { _tag: "ProbeFailed", why: "Connection refused" }
const tripped: Health.Signal = { _tag: "Tripped", why: "5 failures in a row" }
const elapsed: Health.Signal = { _tag: "Elapsed" }

const after = (
  policy: Health.Policy,
  signals: ReadonlyArray<Health.Signal>,
  from: Health.Health = Health.initial
): Health.Health => signals.reduce((health, signal) => Health.transition(health, signal, 0, policy), from)

const times = <A>(n: number, item: A): ReadonlyArray<A> => Array.from({ length: n }, () => item)

describe("probes", () => {
  const up = after(Health.defaultPolicy, [passed])
  const down = after(Health.defaultPolicy, [failed])

  it("decide at once with the first result, whatever the thresholds", () => {
    const slow: Health.Policy = { ...Health.defaultPolicy, rise: 5, fall: 5 }
    assert.strictEqual(Health.status(after(slow, [passed])), "Up")
    assert.strictEqual(Health.status(after(slow, [failed])), "Down")
  })

  it.each([1, 2, 3, 5])("take a backend out after %d failures in a row and not one fewer", (fall) => {
    const policy: Health.Policy = { ...Health.defaultPolicy, fall }
    assert.strictEqual(Health.status(after(policy, times(fall - 1, failed), up)), "Up")
    assert.strictEqual(Health.status(after(policy, times(fall, failed), up)), "Down")
  })

  it.each([1, 2, 3, 5])("bring a backend back after %d passes in a row and not one fewer", (rise) => {
    const policy: Health.Policy = { ...Health.defaultPolicy, rise }
    assert.strictEqual(Health.status(after(policy, times(rise - 1, passed), down)), "Down")
    assert.strictEqual(Health.status(after(policy, times(rise, passed), down)), "Up")
  })

  it("start counting again when a result breaks the row", () => {
    const policy: Health.Policy = { ...Health.defaultPolicy, rise: 3, fall: 3 }
    assert.strictEqual(Health.status(after(policy, [failed, failed, passed, failed, failed], up)), "Up")
    assert.strictEqual(Health.status(after(policy, [passed, passed, failed, passed, passed], down)), "Down")
  })

  it("by default need one failure and two passes", () => {
    assert.deepStrictEqual([Health.defaultPolicy.fall, Health.defaultPolicy.rise], [1, 2])
  })

  it("say why a backend is out, and keep the first cause", () => {
    assert.strictEqual(down.why, "Connection refused")
    const later = after(Health.defaultPolicy, [{ _tag: "ProbeFailed", why: "status: 500" }], down)
    assert.strictEqual(later.why, "Connection refused")
  })

  it("go on while a backend drains, and both facts are kept", () => {
    const draining = after(Health.defaultPolicy, [{ _tag: "ModeSet", mode: "Draining", why: "deploy" }, failed], up)
    assert.strictEqual(Health.status(draining), "Draining")
    const ready = after(Health.defaultPolicy, [{ _tag: "ModeSet", mode: "Ready", why: "deployed" }], draining)
    assert.strictEqual(Health.status(ready), "Down")
  })
})

describe("ejections", () => {
  const policy: Health.Policy = {
    ...Health.defaultPolicy,
    ejectionTime: Duration.seconds(10),
    maxEjectionTime: Duration.seconds(300)
  }

  it("double with each one in a row, up to the longest", () => {
    let health = Health.initial
    let now = 5_000
    const lengths: Array<number> = []
    for (let i = 0; i < 8; i++) {
      health = Health.transition(health, tripped, now, policy)
      assert.strictEqual(Health.status(health), "Ejected")
      const { circuit } = health
      assert(circuit._tag === "Open")
      lengths.push(circuit.until - now)
      assert.strictEqual(Health.transition(health, elapsed, circuit.until - 1, policy), health)
      now = circuit.until
      health = Health.transition(health, elapsed, now, policy)
      assert.strictEqual(Health.status(health), "Trial")
    }
    assert.deepStrictEqual(lengths, [10, 20, 40, 80, 160, 300, 300, 300].map((seconds) => seconds * 1000))
  })

  it("are longer by up to a quarter, by chance, also the longest", () => {
    const lengths = (trips: number) =>
      [undefined, 0, 0.5, 1].map((random) => {
        const from: Health.Health = { ...Health.initial, circuit: { _tag: "Trial", trips: trips - 1 } }
        const signal: Health.Signal = { ...tripped, ...(random === undefined ? {} : { random }) }
        const { circuit } = Health.transition(from, signal, 5_000, policy)
        assert(circuit._tag === "Open")
        return circuit.until - 5_000
      })
    assert.deepStrictEqual(lengths(1), [10_000, 10_000, 11_250, 12_500])
    assert.deepStrictEqual(lengths(9), [300_000, 300_000, 337_500, 375_000])
  })

  it("start from the first length again after a trial that went well", () => {
    const again = after(policy, [tripped, passed, tripped, passed, { _tag: "Recovered", why: "ok" }, tripped])
    assert.deepStrictEqual(again.circuit, { _tag: "Open", until: 10_000, trips: 1 })
  })

  it("are not made longer by failures of requests that were still under way", () => {
    const ejected = after(policy, [tripped])
    assert.strictEqual(Health.transition(ejected, tripped, 9_000, policy), ejected)
  })

  it("end early when the backend answers a probe", () => {
    assert.strictEqual(Health.status(after(policy, [passed, tripped, passed])), "Trial")
  })

  it("are not ended by a probe that fails, or by a success of a request from before", () => {
    const ejected = after(policy, [passed, tripped])
    assert.strictEqual(after(policy, [failed], ejected).circuit, ejected.circuit)
    assert.strictEqual(after(policy, [{ _tag: "Recovered", why: "late" }], ejected), ejected)
  })
})
