/** Ports for programs that have to be told theirs. */
import { once } from "node:events"
import * as Net from "node:net"

/** A port of this host that was free a moment ago. */
export const freePort = async (host = "127.0.0.1"): Promise<number> => {
  const server = Net.createServer().listen(0, host)
  await once(server, "listening")
  const { port } = server.address() as Net.AddressInfo
  await once(server.close(), "close")
  return port
}
