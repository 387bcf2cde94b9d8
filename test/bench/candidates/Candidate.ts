/** What a candidate is to the bench: something that can be started on a port, in front of a backend. */
import type { Command } from "../Processes.ts"

/** Where a candidate is to work. */
export interface Place {
  readonly port: number
  readonly backendPort: number
  /** For its configuration file. */
  readonly folder: string
}

export interface Candidate {
  /** What `--only` and the table call it. */
  readonly name: string
  /** Whether it is started by `node`, and so collects its garbage when it is told to. */
  readonly onNode: boolean
  /** Undefined when it is not installed on this machine. */
  readonly version: () => string | undefined
  /** Writes what the candidate needs, and says how it is started. It stays in the foreground, as one process. */
  readonly command: (place: Place) => Command
}
