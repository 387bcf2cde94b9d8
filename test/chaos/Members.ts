/**
 * The pool: how the health of its members may change, that every change has a cause, that only so many are ejected, who is
 * offered traffic, panic included, that nobody else gets any but who is only ejected, where all others were tried, and
 * that drains are over when nothing is in flight.
 */
import type * as Health from "../../src/services/Health.ts"
import type { Load } from "../../src/services/Load.ts"
import { type Member, memberOf, type PoolState } from "../../src/services/Pool.ts"
import { numberOf } from "./Backends.ts"
import type { Plan } from "./Plan.ts"
import type { Make } from "./Scene.ts"

const tierOf = ({ endpoint }: Member): number => endpoint.backend.tier
const idOf = ({ endpoint }: Member): string => endpoint.backend.id

const isReady = ({ health }: Member): boolean => health.mode === "Ready"
const isEjected = ({ health }: Member): boolean => health.circuit._tag === "Open"
const isFailing = ({ health }: Member): boolean => health.probe.state === "Failing"
const isUsable = (member: Member): boolean =>
  !isEjected(member) && !isFailing(member) && member.health.probe.state !== "Unproven"
const isWell = (member: Member): boolean => isReady(member) && isUsable(member)

/** Who is offered traffic, found in the plainest way. */
const offeredIn = ({ members }: PoolState, { health }: Plan["settings"]) => {
  const ready = members.filter(isReady)
  const first = Math.min(...ready.filter(isWell).map(tierOf))
  const tier = ready.filter((member) => first === Infinity || tierOf(member) === first)
  const well = tier.filter(isWell)
  const answering = tier.filter((member) =>
    isWell(member) || (isFailing(member) && !isEjected(member) && member.health.probe.answered === true)
  )
  const silent = tier.filter((member) => isFailing(member) && !isEjected(member) && member.health.probe.silent === true)
  const isLastResort = health.panic > 0 && answering.length === 0 && silent.length > 0
  const panic = isLastResort || (well.length < tier.length * health.panic && answering.length > well.length)
  const unchecked = well.filter((member) => member.health.probe.state === "Unknown")
  const passed = well.filter(({ health: { circuit, probe } }) => probe.state === "Passing" && circuit._tag === "Closed")
  const haveToWait = health.initial === "checking" && health.kind !== "off" && !panic &&
    unchecked.length <= Math.min(passed.length, 100)
  const offered = ready.filter((member) =>
    (isWell(member) && !(haveToWait && unchecked.includes(member))) || (panic && answering.includes(member)) ||
    (isLastResort && silent.includes(member))
  )
  return { offered: offered.map(idOf), panic }
}

/** Whether one more may be ejected. */
const mayEject = (candidate: Member, { eligible, members }: PoolState, maxShare: number, now: number): boolean => {
  if (maxShare === 0) return false
  const others = members.filter((member) => member !== candidate)
  // Whether somebody asked one that has been on trial for long is not known any more.
  const isOnTrial = ({ health: { changed, circuit } }: Member): boolean =>
    circuit._tag === "Trial" && now - changed.circuit.at < 5_000
  const well = others.filter((member) => isWell(member) && !isOnTrial(member))
  const isOutOfUse = isFailing(candidate) || candidate.health.mode === "Draining"
  if (well.length > 0 && (isOutOfUse || well.some((other) => tierOf(other) > tierOf(candidate)))) return true
  const isAnyLeft = isFailing(candidate)
    ? eligible.some(({ backend }) => backend.id !== idOf(candidate))
    : well.length > 0
  /** Whom its checks have taken out counts only beside others that are as ill. */
  const isOut = (other: Member): boolean =>
    isEjected(other) ? isFailing(candidate) || !isFailing(other) : isWell(other) && isOnTrial(other)
  const out = others.filter((other) => isReady(other) && isOut(other)).length
  return isAnyLeft && out + 1 <= members.filter(isReady).length * maxShare
}

const nextCircuits: Readonly<Record<Health.Circuit["_tag"], ReadonlyArray<Health.Circuit["_tag"]>>> = {
  Closed: ["Closed", "Open"],
  Open: ["Open", "Trial"],
  Trial: ["Trial", "Closed", "Open"]
}

export const members: Make = (scene, complain) => {
  const { ejection, hedge, sticky } = scene.plan.settings
  const modes = new Map<string, Health.Mode>()
  const draining = new Map<Load, string>()

  const isTakenBack = (id: string, load: Load): boolean => {
    const member = memberOf(scene.state(), id)
    return member?.endpoint.load === load && isReady(member)
  }

  const compare = (before: Member, after: Member, pool: PoolState): void => {
    const id = idOf(after)
    const isSame = before.endpoint.backend.origin === after.endpoint.backend.origin
    if (isSame !== (before.endpoint.load === after.endpoint.load)) {
      complain(`what was known of ${id} is ${isSame ? "lost" : "held of it in another place"}`)
    }
    const [from, to] = [before.health, after.health]
    for (const [axis, { at, why }] of Object.entries(to.changed)) {
      if (at > 0 && why === "") complain(`the ${axis} of ${id} has changed without a cause`)
    }
    if (from.probe.state !== to.probe.state && to.probe.state !== "Passing" && to.probe.state !== "Failing") {
      complain(`the checks of ${id} went from ${from.probe.state} to ${to.probe.state}`)
    }
    if (!nextCircuits[from.circuit._tag].includes(to.circuit._tag)) {
      complain(`the circuit of ${id} went from ${from.circuit._tag} to ${to.circuit._tag}`)
    }
    const isEjectedNow = isEjected(after) && !isEjected(before)
    const isOneTooMany = isEjectedNow && !mayEject(before, pool, ejection.maxShare, to.changed.circuit.at)
    if (isOneTooMany) complain(`${id} was ejected as one too many`)
  }

  return {
    onMode: (id, mode) => {
      const member = memberOf(scene.state(), id)
      if (member === undefined) return
      modes.set(id, mode)
      if (mode === "Draining") draining.set(member.endpoint.load, id)
    },
    onDrained: (id, load) => {
      draining.delete(load)
      const member = memberOf(scene.state(), id)
      if (isTakenBack(id, load)) complain(`${id} is said to be drained, and was taken back`)
      // Sessions go on there.
      if (member?.endpoint.load !== load || member.health.mode !== "Draining" || sticky.cookie !== undefined) return
      const joinedAt = scene.loads.get(load)!
      // The loser of two tries at a time gives its place back before its backend knows.
      const mayHaveLost = (target: string): boolean =>
        hedge.after !== undefined && (scene.exchanges.get(numberOf(target))?.tries.length ?? 0) > 1
      const open = scene.receivedAt(member.endpoint.backend.origin).filter(({ at, outcome, target }) =>
        outcome === undefined && at >= joinedAt && !scene.hasAnsweredIll(id, target) && !mayHaveLost(target)
      )
      if (open.length > 0) complain(`${id} is said to be drained, and works on ${open.map(({ target }) => target)}`)
    },
    onTakenBack: (id, load) => {
      draining.delete(load)
      if (!isTakenBack(id, load)) complain(`${id} is said to be taken back, and is not`)
    },
    onChange: (before, after) => {
      for (const id of modes.keys()) if (memberOf(after, id) === undefined) modes.delete(id)
      for (const member of after.members) {
        const known = memberOf(before, idOf(member))
        if (known !== undefined) compare(known, member, before)
      }
      const { offered, panic } = offeredIn(after, scene.plan.settings)
      const eligible = after.eligible.map(({ backend }) => backend.id)
      if (offered.join() !== eligible.join()) complain(`${eligible} are offered traffic instead of ${offered}`)
      if (panic !== after.panic) complain(panic ? "there is no panic" : "there is a panic")
    },
    onTry: ({ cookie, request: { number }, tries }, id) => {
      const { eligible, members } = scene.state()
      if (eligible.some(({ backend }) => backend.id === id)) return
      const member = members.find((one) => idOf(one) === id)
      const mayBePinned = sticky.cookie !== undefined && cookie !== undefined
      if (mayBePinned && member !== undefined && member.health.mode !== "Disabled" && isUsable(member)) return
      const isOnlyEjected = member !== undefined && isReady(member) && isEjected(member) && !isFailing(member) &&
        member.health.probe.state !== "Unproven"
      if (isOnlyEjected && eligible.every(({ backend }) => tries.includes(backend.id))) return
      complain(`/${number} was sent to ${id}, which is not offered traffic`)
    },
    onPause: () => {
      for (const member of scene.state().members) {
        const wanted = modes.get(idOf(member)) ?? "Ready"
        if (member.health.mode !== wanted) complain(`${idOf(member)} is ${member.health.mode} instead of ${wanted}`)
      }
      for (const [load, id] of draining) {
        if (load.inFlight === 0) complain(`nobody was told that ${id} is drained`)
        if (isTakenBack(id, load)) complain(`nobody was told that ${id} was taken back`)
      }
    }
  }
}
