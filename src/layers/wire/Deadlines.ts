/**
 * Timeouts without timers: everything that can expire says until when it may live, and one fiber looks at all of
 * them ten times a second.
 *
 * Setting a deadline is one assignment, so it can be done for every read of every socket; the price is that things
 * expire a little late, and never early. Owns the clock that deadlines are set by.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Monotonic from "../../services/Monotonic.ts"

/** Something that can expire. */
export interface Expirable {
  /** In milliseconds of the clock of `Deadlines`; infinite for never. */
  deadline: number
  expire(): void
}

/** Milliseconds. Looking at 10,000 connections takes a tenth of one. */
const lookEvery = 100

export class Deadlines {
  private readonly all = new Set<Expirable>()
  /** The time at the last look. */
  private lookedAt: number
  /** The clock of the deadlines. It leaves out the time in which the process was stopped, and so could not read. */
  private elapsed: number
  private readonly timeOfDay: () => number
  private dateText: string | undefined

  /** `timeOfDay` is in milliseconds since 1970. */
  constructor(now: number, timeOfDay: () => number) {
    this.lookedAt = this.elapsed = now
    this.timeOfDay = timeOfDay
  }

  /** What deadlines are compared with. */
  get now(): number {
    return this.elapsed
  }

  /** The deadline for something that may take this many milliseconds from now. */
  after(millis: number): number {
    return this.elapsed + lookEvery + millis
  }

  /** The time of day, since the last look at the earliest, as a `Date` field has it (RFC 9110 §5.6.7). */
  get date(): string {
    return this.dateText ??= new Date(this.timeOfDay()).toUTCString()
  }

  /** How many there are. */
  get size(): number {
    return this.all.size
  }

  add(one: Expirable): void {
    this.all.add(one)
  }

  delete(one: Expirable): void {
    this.all.delete(one)
  }

  /** Expires what is over. What has expired is not looked at again until it sets a new deadline. */
  look(now: number): void {
    this.elapsed += Math.min(now - this.lookedAt, 2 * lookEvery)
    this.lookedAt = now
    this.dateText = undefined
    for (const one of this.all) {
      if (one.deadline > this.elapsed) continue
      one.deadline = Infinity
      one.expire()
    }
  }
}

/** Deadlines that are looked at for as long as the scope is open. */
export const make: Effect.Effect<Deadlines, never, Scope.Scope> = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const deadlines = new Deadlines(Monotonic.millisUnsafe(clock), () => clock.currentTimeMillisUnsafe())
  yield* Effect.sleep(lookEvery).pipe(
    Effect.andThen(Effect.sync(() => deadlines.look(Monotonic.millisUnsafe(clock)))),
    // One that throws must not end all timeouts; the others are looked at the next time.
    Effect.catchDefect((defect) => Effect.logError("A timeout could not be kept", defect)),
    Effect.forever,
    Effect.forkScoped
  )
  return deadlines
})
