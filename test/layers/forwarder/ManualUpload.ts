import type * as Clock from "effect/Clock"
import { Upload } from "../../../src/layers/forwarder/Upload.ts"
import type { RequestBody } from "../../../src/services/Message.ts"

/** An upload whose client is waited for until `complete` is called. */
export const make = (clock: Clock.Clock, engine: Partial<RequestBody> = {}) => {
  let complete = () => {}
  const upload = new Upload(clock, {
    keep: () => {},
    isWhole: true,
    isAwaited: true,
    settle: () => {},
    ...engine,
    whenComplete: (done) => {
      complete = done
    }
  })
  return { upload, complete: () => complete() }
}
