/** The backends of the configuration: known at the start, and the same for ever. */
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { Backend } from "../../services/Backend.ts"
import { Discovery } from "../../services/Discovery.ts"

/** Always these backends. The stream does not end, because a source that ends has nothing more to say. */
export const layer = (backends: ReadonlyArray<Backend>): Layer.Layer<Discovery> =>
  Layer.succeed(Discovery, {
    name: "static",
    backends: Stream.concat(Stream.succeed(backends), Stream.never)
  })
