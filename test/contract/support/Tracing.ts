/** A tracer for tests. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Tracer from "effect/Tracer"

/** A tracer that keeps the spans that have begun, and tells of the first that has ended. */
export const traced = Effect.gen(function*() {
  const ended = yield* Deferred.make<{ readonly span: Tracer.Span; readonly exit: Exit.Exit<unknown, unknown> }>()
  const spans: Array<Tracer.Span> = []
  class Told extends Tracer.NativeSpan {
    override end(endTime: bigint, exit: Exit.Exit<unknown, unknown>): void {
      super.end(endTime, exit)
      Deferred.doneUnsafe(ended, Exit.succeed({ span: this, exit }))
    }
  }
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Told(options)
      spans.push(span)
      return span
    }
  })
  return { ended: Deferred.await(ended), spans, trace: Effect.provideService(Tracer.Tracer, tracer) }
})
