/**
 * The backend, a program of its own: answers each path with a body of a fixed length, as cheaply as Node
 * can. Usage: `<port>`.
 */
import * as Net from "node:net"
import { answers } from "./Cases.ts"
import { Messages } from "./Messages.ts"

const answer = (length: number): Buffer =>
  Buffer.concat([
    Buffer.from(
      "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
        + `Date: ${new Date().toUTCString()}\r\nContent-Length: ${length}\r\n\r\n`
    ),
    Buffer.alloc(length, "d")
  ])

const prepared = new Map(Object.entries(answers).map(([path, length]) => [path, answer(length)]))

const pathOf = (head: string): string => head.slice(head.indexOf(" ") + 1, head.indexOf(" HTTP/1.1\r\n"))

const server = Net.createServer({ noDelay: true }, (socket) => {
  const messages = new Messages((head) => socket.write(prepared.get(pathOf(head)) ?? prepared.get("/tiny")!))
  socket.on("error", () => socket.destroy())
  socket.on("data", (bytes) => {
    try {
      // It is only a string once an encoding has been set.
      if (typeof bytes !== "string") messages.take(bytes)
    } catch {
      socket.end("HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    }
  })
})

server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 })
