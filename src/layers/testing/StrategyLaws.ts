/**
 * The laws that any strategy must keep, to be run on one's own.
 *
 *   for (const law of StrategyLaws.laws) {
 *     it.effect(law.name, () => StrategyLaws.check(law, { layer: MyStrategy.layer }))
 *   }
 *
 * A law is tried on pools that are drawn at random, always the same for the same seed. It fails with the smallest pool
 * that it could find on which it does not hold. It needs no test runner and no other package. A law is up to half a
 * million picks: the test of a strategy that takes long for each needs more time than runners give. What a strategy
 * promises is taken from the strategy (`ignoresWeights`, `usesKey`), and a law about something that it does not promise
 * holds.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type { Endpoint } from "../../services/Load.ts"
import { Strategy } from "../../services/Strategy.ts"
import * as KeyVerdicts from "./KeyVerdicts.ts"
import * as ManualClock from "./ManualClock.ts"
import * as PoolCase from "./PoolCase.ts"
import * as StarvationVerdicts from "./StarvationVerdicts.ts"
import * as Verdicts from "./StrategyVerdicts.ts"

/** A law: a name, the pools that it is about, and how it is judged. */
export interface Law {
  /** A sentence that begins with "it", as test runners have it. */
  readonly name: string
  /** How many pools are tried. */
  readonly runs: number
  readonly space: PoolCase.Space
  /** The highest weight, where it hangs on what the strategy promises. */
  readonly maxWeightFor?: ((bounds: Verdicts.Bounds) => number) | undefined
  /** Pools that are tried as well, because chance would hardly find them. */
  readonly always?: ReadonlyArray<ReadonlyArray<number>> | undefined
  /** What is wrong, or `undefined`. May throw, which is wrong as well. */
  readonly judge: (trial: Verdicts.Sample) => string | undefined
}

const anyPool: PoolCase.Space = { size: [1, 40], maxWeight: 1000, maxInFlight: 10_000 }
const idlePool: PoolCase.Space = { size: [1, 12], maxWeight: 10, maxInFlight: 0 }
const fewBackends: PoolCase.Space = { size: [2, 6], maxWeight: 10, maxInFlight: 0 }

export const emptyList: Law = {
  name: "picks nobody from an empty list, and does not throw",
  runs: 1,
  space: { size: [0, 0], maxWeight: 1, maxInFlight: 0 },
  judge: Verdicts.emptyList
}

export const ownList: Law = {
  name: "picks somebody, and only of its own list, whatever the load, the context and what it is told",
  runs: 40,
  space: anyPool,
  judge: Verdicts.ownList
}

export const onlyReads: Law = {
  name: "leaves the list and the loads alone",
  runs: 10,
  space: anyPool,
  judge: Verdicts.onlyReads
}

export const repeatable: Law = {
  name: "picks the same again with the same random numbers at the same time",
  runs: 20,
  space: anyPool,
  judge: Verdicts.repeatable
}

export const fairShares: Law = {
  name: "gives each its share: by weight, or the same to all where it ignores weights",
  runs: 10,
  space: fewBackends,
  always: [[1000, ...Array<number>(99).fill(1)], [60, 40]],
  judge: Verdicts.fairShares
}

export const nobodyStarves: Law = {
  name: "starves nobody who is well, not even who was slow or has failed once",
  runs: 20,
  space: idlePool,
  always: [Array<number>(100).fill(1)],
  judge: StarvationVerdicts.nobodyStarves
}

export const nobodyStarvesInChange: Law = {
  name: "starves nobody who stays while somebody else comes and goes, unless it uses keys",
  runs: 15,
  space: { ...idlePool, size: [3, 12] },
  judge: StarvationVerdicts.nobodyStarvesInChange
}

export const sameKey: Law = {
  name: "sends the same key to the same backend, where it uses keys",
  runs: 20,
  space: idlePool,
  judge: KeyVerdicts.sameKey
}

export const fewKeysMove: Law = {
  name: "moves the keys of a backend that goes or gets another weight and hardly any other, where it uses keys",
  runs: 20,
  space: { ...idlePool, size: [2, 12] },
  maxWeightFor: KeyVerdicts.moveMaxWeight,
  judge: KeyVerdicts.fewKeysMove
}

export const nextBest: Law = {
  name: "finds whom it likes best of those that can be taken, where it ranks them",
  runs: 20,
  space: idlePool,
  judge: KeyVerdicts.nextBest
}

/** All of them. */
export const laws: ReadonlyArray<Law> = [
  emptyList,
  ownList,
  onlyReads,
  repeatable,
  fairShares,
  nobodyStarves,
  nobodyStarvesInChange,
  sameKey,
  fewKeysMove,
  nextBest
]

/** A strategy, and what is to be known of it to judge it. */
export interface Subject<E = never> extends Verdicts.Bounds {
  readonly layer: Layer.Layer<Strategy, E>
  /** For other pools than those of the default seed, 1. */
  readonly seed?: number | undefined
}

/** A law that does not hold. The message has everything that is needed to see it happen again. */
export class LawBroken extends Schema.TaggedError<LawBroken>("evenkeel/layers/testing/LawBroken")("LawBroken", {
  strategy: Schema.String,
  law: Schema.String,
  /** The smallest pool that was found, in words. */
  pool: Schema.String,
  /** The weights of its backends. */
  weights: Schema.Array(Schema.Finite),
  /** The seed of the strategy's random numbers. */
  seed: Schema.Finite,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.strategy} breaks a law: it ${this.law}. ${this.reason}. The pool: ${this.pool} (seed ${this.seed}).`
  }
}

/** The strategy with these random numbers, and built for nobody else. */
const build = <E>(layer: Layer.Layer<Strategy, E>, seed: number, clock: Clock.Clock) =>
  Strategy.pipe(
    Effect.provide(Layer.fresh(layer)),
    Random.withSeed(seed),
    Effect.provideService(Clock.Clock, clock)
  )

/** What is wrong on one pool, if anything. */
const judge = <E>(law: Law, subject: Subject<E>, pool: PoolCase.PoolCase) =>
  Effect.gen(function*() {
    const clock = ManualClock.make()
    const [strategy, twin] = [
      yield* build(subject.layer, pool.seed, clock),
      yield* build(subject.layer, pool.seed, clock)
    ]
    const list = (): ReadonlyArray<Endpoint> => PoolCase.endpoints(pool)
    const reason = yield* Effect.sync(() => law.judge({ strategy, twin, clock, list, bounds: subject })).pipe(
      Effect.catchDefect((defect) => Effect.succeed(`It threw ${String(defect)}`))
    )
    return { reason, name: strategy.name }
  })

/** How many pools are tried at most in search of the smallest. */
const maxTries = 600

/** And for how many milliseconds: the law of a slow strategy has to be named before its test runs out of time. */
const maxSearch = 1_500

/** The smallest pool on which the law does not hold either, and why, as far as a bounded search finds it. */
const shrink = Effect.fnUntraced(function*<E>(law: Law, subject: Subject<E>, pool: PoolCase.PoolCase, reason: string) {
  let smallest = { pool, reason }
  let tries = maxTries
  // Of real time, which the clock of a test need not be.
  const until = performance.now() + maxSearch
  for (let found = true; found;) {
    found = false
    for (const candidate of PoolCase.smaller(smallest.pool, law.space)) {
      if (tries-- === 0 || performance.now() > until) return smallest
      const verdict = yield* judge(law, subject, candidate)
      if (verdict.reason === undefined) continue
      smallest = { pool: candidate, reason: verdict.reason }
      found = true
      break
    }
  }
  return smallest
})

/** Tries a law on a strategy. Fails with the smallest pool on which it does not hold. */
export const check = Effect.fn("StrategyLaws.check")(function*<E>(
  law: Law,
  subject: Subject<E>
): Effect.fn.Return<void, E | LawBroken> {
  const random = yield* Random.withSeed(Random.Random, subject.seed ?? 1)
  const space = { ...law.space, maxWeight: law.maxWeightFor?.(subject) ?? law.space.maxWeight }
  const drawn = Array.from({ length: law.runs }, () => PoolCase.draw(space, () => random.nextDoubleUnsafe()))
  const always = (law.always ?? []).map((weights): PoolCase.PoolCase => ({
    seed: 1,
    members: weights.map((weight) => ({ weight, inFlight: 0 }))
  }))
  for (const pool of [...drawn, ...always]) {
    const { name, reason } = yield* judge(law, subject, pool)
    if (reason === undefined) continue
    const smallest = yield* shrink(law, subject, pool, reason)
    return yield* LawBroken.make({
      strategy: name,
      law: law.name,
      pool: PoolCase.describe(smallest.pool),
      weights: smallest.pool.members.map(({ weight }) => weight),
      seed: smallest.pool.seed,
      reason: smallest.reason
    })
  }
})

/** Tries every law. Fails with the first that does not hold. */
export const checkAll = <E>(subject: Subject<E>): Effect.Effect<void, E | LawBroken> =>
  Effect.forEach(laws, (law) => check(law, subject), { discard: true })
