/** What the two ends of a WebSocket say before it stands, and who cannot have one. */
import type { Differences } from "../../e2e/support/Engines.ts"
import { message } from "../../e2e/support/Peer.ts"
import { get } from "./Rules.ts"

export const asking = get("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")

export const agreeing = message(
  "HTTP/1.1 101 Switching Protocols",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

export const noTunnels: Differences = { node: { fails: "it does not forward upgrades" } }
