/** How long the two halves of the engine wait, and how much they take. */
import * as Duration from "effect/Duration"

/** The limits of the engine. */
export interface Limits {
  /** For a connection to a backend. */
  readonly connectTimeout: Duration.Duration
  /** From the end of the request to the head of the response. */
  readonly responseTimeout: Duration.Duration
  /** Between two reads of a body, in either direction. */
  readonly idleTimeout: Duration.Duration
  /** From the first byte of a request's head to its end. */
  readonly headTimeout: Duration.Duration
  /** Between two requests of a client. */
  readonly keepAliveTimeout: Duration.Duration
  /** Between two requests to a backend. */
  readonly backendKeepAliveTimeout: Duration.Duration
  /** Of a connection to a backend. An older one ends with an answer. */
  readonly backendLifetime: Duration.Duration
  /** Bytes of a head. */
  readonly headBytes: number
  /** Connections of clients; no limit, unless given. */
  readonly maxConnections?: number | undefined
  /** Connections to an origin. */
  readonly maxConnectionsPerOrigin: number
}

/**
 * 2 s to connect, 15 s to the head of the response, 60 s between two reads; 10 s for a head, of at most 16 KiB, because
 * a slower one is an attack (slowloris); 75 s between requests as nginx has it, above the 60 s of common cloud
 * balancers, so that they close first and lose no request; 4 s between requests to a backend, because Node's own
 * servers close after 5 s, and 1 h for each of its connections, as nginx has it.
 */
export const defaultLimits: Limits = {
  connectTimeout: Duration.seconds(2),
  responseTimeout: Duration.seconds(15),
  idleTimeout: Duration.seconds(60),
  headTimeout: Duration.seconds(10),
  keepAliveTimeout: Duration.seconds(75),
  backendKeepAliveTimeout: Duration.seconds(4),
  backendLifetime: Duration.hours(1),
  headBytes: 16 * 1024,
  maxConnectionsPerOrigin: 1024
}
