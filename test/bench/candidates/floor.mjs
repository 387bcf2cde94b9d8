/**
 * The floor: node:net on both sides, one connection behind for each in front, and nothing is parsed. Usage:
 * `<port> <backend port>`.
 */
import * as Net from "node:net"

const [port, backendPort] = process.argv.slice(2).map(Number)

const pass = (from, to) => {
  from.on("data", (bytes) => {
    if (!to.write(bytes)) from.pause()
  })
  to.on("drain", () => from.resume())
  from.on("end", () => to.end())
  from.on("error", () => to.destroy())
}

Net.createServer({ noDelay: true, allowHalfOpen: true }, (front) => {
  const back = Net.connect({ port: backendPort, host: "127.0.0.1", noDelay: true, allowHalfOpen: true })
  pass(front, back)
  pass(back, front)
}).listen({ port, host: "127.0.0.1", backlog: 4096 })
