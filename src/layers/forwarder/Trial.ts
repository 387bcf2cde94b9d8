/**
 * When a trial is over whose answer has no end, or none for a long time, such as a stream of events or a download, and
 * when another one begins beside it, because its request has none.
 *
 * Owns the rule: a backend has shown that it is well when the body of its answer still comes after a while.
 * What that means for its health is in `Ejection`. A body that has fallen silent shows nothing: it goes on, or
 * ends by `timeout.idle`. How long a client takes to send shows nothing either. Neither must keep the backend from the
 * requests of others.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { LazyBody, ResponseBody } from "../../services/Message.ts"
import type { Exchange } from "./Exchange.ts"
import type { Upload } from "./Upload.ts"

/**
 * Bytes have to come so long after the head. Nearly every answer is over by then and was judged at its end;
 * a backend that cuts its answers, or leaves them half-way, has done so; and it is short beside the 10 s of
 * the shortest ejection.
 */
const patience = "5 seconds"

/**
 * After so many looks that have found nothing new, another trial begins beside it. A quiet stream of events may be
 * silent for hours. It is not sooner because each such trial of a backend that leaves its answers half-way costs one
 * more client.
 */
const silentLooks = 10

/** So long a request may take to come before another trial begins beside it. */
const uploadPatience = "3 seconds"

/** How often is looked whether there are more bytes, or whose time it is. */
const every = "1 second"

/**
 * Watches the body of an answer until the trial is over, or the exchange. `body` is the engine's, if it has one of its
 * own; `stream` is the platform's, which is counted on its way and has to be handed over as it is given back.
 */
export const watch = Effect.fnUntraced(function*(
  exchange: Exchange,
  body: ResponseBody | undefined,
  stream: LazyBody
) {
  let bytes = 0
  const received = () => bytes + (body?.received ?? 0)
  const over = Effect.gen(function*() {
    yield* Effect.sleep(patience)
    const before = received()
    let looks = 0
    while (received() === before) {
      if (looks++ === silentLooks) exchange.bypass()
      yield* Effect.sleep(every)
    }
    exchange.proven()
  })
  yield* Effect.forkScoped(over)
  return () => Stream.tap(stream(), (piece) => Effect.sync(() => bytes += piece.length))
})

/** Watches the request of a trial until it is complete, or has taken its time. A backend that does not read holds it. */
export const spare = Effect.fnUntraced(function*(exchange: Exchange, upload: Upload) {
  const { attempt } = exchange
  const over = Effect.gen(function*() {
    yield* Effect.sleep(uploadPatience)
    while (!upload.isComplete && exchange.attempt === attempt) {
      if (upload.isAwaited) return exchange.bypass()
      yield* Effect.sleep(every)
    }
  })
  yield* Effect.forkScoped(over)
})
