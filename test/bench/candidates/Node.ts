/** How a candidate on Node is started, and its garbage collected. */
import { fileURLToPath } from "node:url"
import type { Command } from "../Processes.ts"

/** Node with these arguments, the file first. SIGUSR2 makes it collect its garbage, so that memory can be compared. */
export const node = (...args: ReadonlyArray<string>): Command => ({
  file: process.execPath,
  args: [
    // Node.js 22 says of the types that it strips that this is an experiment.
    "--disable-warning=ExperimentalWarning",
    "--expose-gc",
    "--import",
    fileURLToPath(new URL("collect.mjs", import.meta.url)),
    ...args
  ]
})
