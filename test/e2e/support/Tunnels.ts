/** What the two ends of a tunnel say before it stands, and who cannot have one. */
import type { Differences } from "./Engines.ts"
import { host, message } from "./Peer.ts"

export const asking = message("GET / HTTP/1.1", host, "Connection: Upgrade", "Upgrade: chat")

export const agreeing = message("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: chat")

export const noTunnels: Differences = { node: { races: "it does not forward upgrades" } }
