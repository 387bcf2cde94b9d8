/**
 * A plan of chaos: the settings, the backends, what befalls them and when, what the operator and discovery do meanwhile,
 * and who asks for what. A seed gives a plan, the same one each time.
 *
 * Pure data. What a backend does that is ill in some way is in `Backends`; who plays a plan is `Chaos`.
 */
import * as Struct from "effect/Struct"
import { strategies, type StrategyName } from "../../src/layers/strategies/index.ts"
import * as Backend from "../../src/services/Backend.ts"
import type { Input } from "../../src/services/Configuration.ts"
import { type Dice, dice } from "../Dice.ts"
import { type Illness, kinds, originsOf } from "./Backends.ts"
import { type DrawnSettings, drawSettings } from "./DrawnSettings.ts"

/** Something that happens, at a time in milliseconds from the start. */
export type Event =
  | { readonly at: number; readonly _tag: "FallIll"; readonly id: string; readonly illness: Illness }
  | { readonly at: number; readonly _tag: "Stop" | "Start" | "Drain" | "Disable" | "Ready"; readonly id: string }
  | { readonly at: number; readonly _tag: "Discover"; readonly backends: ReadonlyArray<Backend.Backend> }
  | { readonly at: number; readonly _tag: "Swap"; readonly strategy: StrategyName }

/** A part of a request's body, and how long after the head the client sends it. */
export interface Piece {
  readonly after: number
  readonly text: string
}

/** What a client sends, and when. Its number is its target. */
export interface Request {
  readonly number: number
  readonly at: number
  readonly method: "DELETE" | "GET" | "HEAD" | "POST" | "PUT"
  readonly client: number
  readonly pieces: ReadonlyArray<Piece>
  /** How long the client waits for the end of the answer, if it does not wait for ever. */
  readonly patience: number | undefined
}

export interface Plan extends DrawnSettings {
  readonly seed: number
  readonly backends: ReadonlyArray<Backend.Backend>
  /** How long a backend works on a request when it is well. */
  readonly workTime: number
  readonly events: ReadonlyArray<Event>
  readonly requests: ReadonlyArray<Request>
  /** When the last of the events and of the requests is over. */
  readonly length: number
}

/** The key of the cookies. */
export const stickyKey = "a-key-for-chaos-only"

const ids = ["a", "b", "c", "d", "e"]

const strategyNames = Struct.keys(strategies)

const anyStrategy = ({ int }: Dice): StrategyName => strategyNames[int(0, strategyNames.length - 1)] ?? "first"

/** Settings that may contradict each other. */
const inputOf = (dice: Dice): Input<StrategyName> => {
  const { chance, int, maybe, pick } = dice
  return {
    strategy: anyStrategy(dice),
    ...maybe(0.2, { zone: "here" }),
    hash: { key: pick("client", "path"), ...maybe(0.2, { balanceFactor: pick("125%", "200%") }) },
    subset: maybe(0.1, { size: int(1, 4) }),
    sticky: chance(0.3) ? { cookie: "lb", keys: [stickyKey] } : {},
    health: {
      kind: pick("http", "http", "http", "tcp", "off"),
      path: "/health",
      interval: pick("1s", "2s", "5s"),
      timeout: pick("300ms", "1s", "2s"),
      rise: int(1, 3),
      fall: int(1, 3),
      initial: pick("checking", "checking", "up", "down"),
      panic: pick("0%", "50%", "50%", "100%")
    },
    ejection: {
      failures: pick(1, 2, 5),
      successRate: pick("0%", "50%", "80%", "95%"),
      volume: pick(3, 20),
      time: pick("500ms", "2s", "10s"),
      maxTime: "10s",
      maxShare: pick("0%", "50%", "50%", "100%")
    },
    slowStart: chance(0.3) ? { duration: pick("2s", "10s"), from: pick("1%", "10%", "100%") } : {},
    queue: {
      size: pick(0, 1, 4, 8, 128),
      timeout: pick("50ms", "300ms", "1s", "2s"),
      order: pick("oldest", "newest")
    },
    timeout: {
      ...maybe(0.5, { connect: pick("100ms", "500ms", "2s") }),
      response: pick("300ms", "1s", "5s"),
      ...maybe(0.3, { try: pick("250ms", "1s", "3s") }),
      ...maybe(0.3, { exchange: pick("400ms", "1500ms", "4s") }),
      idle: pick("1s", "5s")
    },
    retry: {
      tries: pick(1, 2, 2, 3, 4),
      statuses: pick([502, 503, 504], [502, 503, 504], [429, 500, 502, 503, 504], [503, 429], []),
      ...maybe(0.1, { methods: ["GET", "POST"] }),
      backoff: pick("1ms", "25ms", "200ms"),
      ...maybe(0.3, { maxWait: pick("500ms", "3s") }),
      budget: pick("0%", "5%", "20%", "100%"),
      minPerSecond: pick(0, 0, 1, 50)
    },
    hedge: chance(0.3) ? { after: pick("50%", "80%", "95%"), budget: pick("2%", "20%", "100%") } : {},
    limit: {
      ...maybe(0.25, { inFlight: int(1, 8) }),
      ...maybe(0.6, { inFlightPerBackend: int(1, 4) }),
      adaptive: pick("off", "off", "gradient")
    }
  }
}

const eventsOf = (dice: Dice, length: number, backends: Plan["backends"], make: (id: string) => Backend.Backend) => {
  const { chance, gap, next, pick } = dice
  const perSecond = pick(0.5, 1, 3)
  const all = backends.map(({ id }) => id)
  const events: Array<Event> = []
  let members = backends
  for (let at = gap(perSecond); at < length; at += gap(perSecond)) {
    const id = pick(all[0] ?? "a", ...all)
    const kind = next()
    if (kind < 0.6) {
      const illness = { kind: pick("well", ...kinds), extent: next(), showsInChecks: chance(0.5) }
      events.push({ at, _tag: "FallIll", id, illness })
    } else if (kind < 0.72) {
      events.push({ at, _tag: "Stop", id }, { at: at + pick(1, 100, 1_000, 5_000), _tag: "Start", id })
    } else if (kind < 0.84) {
      const _tag = chance(0.7) ? "Drain" : "Disable"
      events.push({ at, _tag, id }, { at: at + pick(10, 1_000, 5_000), _tag: "Ready", id })
    } else if (kind < 0.95) {
      const staying = members.filter(() => chance(0.75)).map((one) => (chance(0.3) ? make(one.id) : one))
      const joining = all.filter((id) => !staying.some((one) => one.id === id) && chance(0.5)).map(make)
      members = chance(0.05) ? [] : [...staying, ...joining]
      events.push({ at, _tag: "Discover", backends: members })
      if (chance(0.3)) events.push({ at: at + pick(0, 1, 50), _tag: "Discover", backends: members = backends })
    } else events.push({ at, _tag: "Swap", strategy: anyStrategy(dice) })
  }
  return events.sort((a, b) => a.at - b.at)
}

/** The text of a body tells whose it is wherever it is cut. */
const bodyText = (number: number, bytes: number): string => `${number},`.repeat(bytes).slice(0, bytes)

const piecesOf = ({ chance, int, pick }: Dice, number: number): ReadonlyArray<Piece> => {
  const text = bodyText(number, pick(1, 100, 600))
  const isSlow = chance(0.3)
  const count = int(1, Math.min(text.length, isSlow ? 5 : 2))
  const size = Math.ceil(text.length / count)
  const pieces: Array<Piece> = []
  for (let from = 0, after = 0; from < text.length; from += size) {
    if (isSlow) after += int(1, 2_000)
    pieces.push({ after, text: text.slice(from, from + size) })
  }
  return pieces
}

const requestsOf = (dice: Dice, length: number): ReadonlyArray<Request> => {
  const { chance, gap, int, pick } = dice
  const perSecond = pick(5, 20, 60)
  const clients = pick(1, 5, 30)
  const posts = pick(0.1, 0.4)
  const requests: Array<Request> = []
  const add = (at: number): void => {
    const number = requests.length
    const method = chance(posts) ? pick("POST", "PUT") : pick("GET", "GET", "GET", "HEAD", "DELETE")
    const patience = chance(0.1) ? pick(0, 1, 5, 20, 100, 1_000, 5_000) : undefined
    const pieces = method === "POST" || method === "PUT" ? piecesOf(dice, number) : []
    requests.push({ number, at, method, client: int(1, clients), pieces, patience })
  }
  for (let at = gap(perSecond); at < length; at += gap(perSecond)) {
    for (let burst = chance(0.01) ? int(2, 20) : 1; burst > 0; burst--) add(at)
  }
  return requests
}

/** The plan of a seed. */
export const make = (seed: number): Plan => {
  const random = dice(seed)
  const { chance, int, pick } = random
  const { input, settings } = drawSettings(() => inputOf(random))
  const hasTiers = chance(0.25)
  const hasWeights = chance(0.5)
  const hasZones = settings.zone !== undefined
  const makeBackend = (id: string): Backend.Backend =>
    Backend.make(pick(...originsOf(id)), {
      id,
      weight: hasWeights ? int(1, 3) : 1,
      tier: hasTiers ? pick(0, 0, 1, 2) : 0,
      ...(hasZones && { zone: pick("here", "there") })
    })
  const backends = ids.slice(0, pick(1, 2, 2, 3, 3, 4, 5)).map(makeBackend)
  const length = int(8, 16) * 1_000
  const events = eventsOf(random, length, backends, makeBackend)
  const requests = requestsOf(random, length)
  return {
    seed,
    input,
    settings,
    backends,
    workTime: pick(1, 5, 30),
    events,
    requests,
    length: Math.max(length, ...events.map(({ at }) => at))
  }
}
