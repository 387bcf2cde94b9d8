/** What befalls the backends, and what a client may see of it at most. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Illness } from "./Backend.ts"
import type { Backend } from "./Backends.ts"

/**
 * The most that is allowed; what is undefined is not limited. For all scenarios alike: no POST twice, no wrong body, an
 * even spread within five seconds of the recovery.
 */
export interface Limit {
  readonly get?: number
  readonly post?: number
  /** Of both methods together. */
  readonly failed?: number
  readonly slow?: number
}

export interface Scenario {
  /** What `--scenario` calls it. */
  readonly name: string
  readonly title: string
  readonly limit: Limit
  /** Does it, beginning with the backend that is the first in the list. All are well again when it resolves. */
  readonly play: (backends: ReadonlyArray<Backend>) => Promise<void>
}

/** In milliseconds. */
const illTime = 5_000
const pause = 2_000
const downTime = 1_000

const killed = async (backends: ReadonlyArray<Backend>): Promise<void> => {
  await Promise.all(backends.map((backend) => backend.kill()))
  await sleep(illTime)
  await Promise.all(backends.map((backend) => backend.start()))
}

const ill = (illness: Illness): Scenario["play"] => async ([backend]) => {
  await backend!.fall(illness)
  await sleep(illTime)
  await backend!.fall(undefined)
}

/** Does something to each in turn, two seconds apart. */
const inTurn = (what: (backend: Backend) => Promise<void>): Scenario["play"] => async (backends) => {
  for (const [i, backend] of backends.entries()) {
    await Promise.all([what(backend), i < backends.length - 1 ? sleep(pause) : undefined])
  }
}

/** `isSeenByProbes` says whether health checks meet with the same where the scenario itself leaves it open. */
export const scenarios = (isSeenByProbes: boolean): ReadonlyArray<Scenario> => [
  {
    name: "killed",
    title: "killed, back after 5 s",
    limit: { get: 0, post: 0 },
    play: (backends) => killed(backends.slice(0, 1))
  },
  {
    name: "stopped",
    title: "stopped (SIGSTOP), continued",
    limit: { get: 0, post: 8, slow: 40 },
    play: async ([backend]) => {
      backend!.freeze()
      await sleep(illTime)
      backend!.thaw()
    }
  },
  {
    name: "reset",
    title: "resets the connection after the request",
    limit: { get: 0, post: 6 },
    play: ill({ kind: "reset", isSeenByProbes })
  },
  {
    name: "close",
    title: "closes it cleanly",
    limit: { get: 0, post: 6 },
    play: ill({ kind: "close", isSeenByProbes })
  },
  {
    name: "cut",
    title: "cuts the answer half-way",
    limit: { failed: 12 },
    play: ill({ kind: "cut", isSeenByProbes })
  },
  {
    name: "503",
    title: "answers 503 to everything, its health path included",
    limit: { get: 0, post: 8 },
    play: ill({ kind: "unavailable", isSeenByProbes: true })
  },
  {
    name: "slow",
    title: "answers in 1.5 s, health path in 0",
    limit: { get: 0, post: 0, slow: 40 },
    play: ill({ kind: "slow", isSeenByProbes: false })
  },
  {
    name: "two-killed",
    title: "two of three killed",
    limit: { get: 0, post: 0 },
    play: (backends) => killed(backends.slice(0, 2))
  },
  {
    name: "restarted",
    title: "each restarted gracefully in turn",
    limit: { get: 0, post: 0 },
    play: inTurn((backend) => backend.restart())
  },
  {
    name: "each-killed",
    title: "each killed in turn",
    limit: { get: 0, post: 1 },
    play: inTurn(async (backend) => {
      await backend.kill()
      await sleep(downTime)
      await backend.start()
    })
  }
]

/** The names, without the rest. */
export const names: ReadonlyArray<string> = scenarios(true).map(({ name }) => name)
