import type * as Clock from "effect/Clock"
import { Upload } from "../../../src/layers/forwarder/Upload.ts"

/** An upload whose client is waited for until `complete` is called. */
export const make = (clock: Clock.Clock) => {
  let complete = () => {}
  const upload = new Upload(clock, {
    keep: () => {},
    isWhole: true,
    isAwaited: true,
    settle: () => {},
    whenComplete: (done) => {
      complete = done
    }
  })
  return { upload, complete: () => complete() }
}
