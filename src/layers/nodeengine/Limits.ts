/** How long the two halves of the engine wait. */
import * as Duration from "effect/Duration"

/** The limits of the engine. */
export interface Limits {
  /** For a connection to a backend. */
  readonly connectTimeout: Duration.Duration
  /** From the end of the request to the head of the response. */
  readonly responseTimeout: Duration.Duration
  /** Between two reads of a body, in either direction. */
  readonly idleTimeout: Duration.Duration
}

/** 2 s to connect, 15 s to the head of the response, 60 s between two reads. */
export const defaultLimits: Limits = {
  connectTimeout: Duration.seconds(2),
  responseTimeout: Duration.seconds(15),
  idleTimeout: Duration.seconds(60)
}
