/** A gibibyte between a fast side and one that does not read for a while: the program's memory stays as it was. */
import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import * as Net from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { host, message, probePath } from "./support/Peer.ts"
import { Program } from "./support/Program.ts"

const mebibyte = 1024 * 1024
const gibibyte = 1024 * mebibyte

/** By how much the resident memory may grow. */
const growth = {
  answer: 32 * mebibyte,
  // Node reads a client's connection into a new buffer each time, and collects them when there are some 64 MiB of them.
  upload: 128 * mebibyte
}

type Framing = "chunked" | "length"

const framingField: Readonly<Record<Framing, string>> = {
  chunked: "Transfer-Encoding: chunked",
  length: `Content-Length: ${gibibyte}`
}

/** Resident bytes of a process, if the system says it like that. */
const resident = (pid: number): number => {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
  return Number(kibibytes ?? assert.fail("no resident memory")) * 1024
}

/** Sends a gibibyte as fast as it is taken. */
const sendMuch = async (socket: Net.Socket, framing: Framing): Promise<void> => {
  const piece = Buffer.alloc(mebibyte, "x")
  const framed = framing === "length"
    ? piece
    : Buffer.concat([Buffer.from(`${mebibyte.toString(16)}\r\n`), piece, Buffer.from("\r\n")])
  for (let i = 0; i < 1024 && !socket.destroyed; i++) {
    if (!socket.write(framed)) await new Promise((resolve) => socket.once("drain", resolve))
  }
  if (framing === "chunked") socket.write("0\r\n\r\n")
}

/** A promise, and how to keep it. */
const promised = <A>() => {
  let resolve: (value: A) => void = () => {}
  const promise = new Promise<A>((kept) => resolve = kept)
  return { promise, resolve: (value: A) => resolve(value) }
}

/** Waits until nothing goes on, which shows in nothing but time. */
const untilStuck = async (socket: Net.Socket): Promise<void> => {
  const bytes = () => socket.bytesWritten - socket.writableLength
  for (let before = -1; before !== bytes();) {
    before = bytes()
    await sleep(100)
  }
  assert.isBelow(bytes(), gibibyte / 4, "nothing holds the sender up")
}

/** Reads what has a gibibyte of body, of which some bytes have come before. */
const readMuch = (socket: Net.Socket, before = 0): Promise<void> =>
  new Promise((resolve, reject) => {
    let bytes = before
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.length
      // The head, and what frames the chunks, are as good as nothing.
      if (bytes >= gibibyte) resolve()
    })
    socket.on("close", () => reject(new Error(`closed after ${bytes} bytes`)))
    socket.resume()
  })

const listen = async (onRequest: (socket: Net.Socket, head: string) => void) => {
  const server = Net.createServer((socket) => {
    let head = ""
    socket.on("error", () => {})
    const onData = (chunk: Buffer): void => {
      head += chunk.toString("latin1")
      if (!head.includes("\r\n\r\n")) return
      if (head.includes(probePath)) {
        head = ""
        socket.write(message("HTTP/1.1 200 OK", "Content-Length: 0"))
      } else {
        socket.off("data", onData).pause()
        onRequest(socket, head)
      }
    }
    socket.on("data", onData)
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  return { server, port: typeof address === "object" && address !== null ? address.port : 0 }
}

/** Runs the program in front of a backend, and samples its memory while an exchange of a client runs. */
const grown = async (
  onRequest: (socket: Net.Socket, head: string) => void,
  exchange: (client: Net.Socket) => Promise<void>
): Promise<number> => {
  const { port, server } = await listen(onRequest)
  const program = new Program([
    "serve",
    "--listen",
    "127.0.0.1:0",
    "--to",
    `http://127.0.0.1:${port}`,
    "--health-path",
    probePath,
    "--access-log",
    "off"
  ])
  const pid = program.pid
  const warm = Net.connect(await program.port(), "127.0.0.1")
  const client = Net.connect(await program.port(), "127.0.0.1")
  try {
    await sleep(300)
    const before = resident(pid)
    let most = before
    const sampling = setInterval(() => most = Math.max(most, resident(pid)), 20)
    await exchange(client).finally(() => clearInterval(sampling))
    return most - before
  } finally {
    warm.destroy()
    client.destroy()
    server.close()
    await program.dispose()
  }
}

describe.skipIf(process.platform !== "linux")("the memory of the program", () => {
  for (const framing of ["length", "chunked"] as const) {
    it(`does not grow with 1 GiB to a client that reads slowly (${framing})`, { timeout: 30_000 }, async () => {
      const origin = promised<Net.Socket>()
      const bytes = await grown((socket) => {
        origin.resolve(socket)
        socket.write(message("HTTP/1.1 200 OK", framingField[framing]))
        void sendMuch(socket, framing)
      }, async (client) => {
        client.pause()
        client.write(message("GET / HTTP/1.1", host))
        await untilStuck(await origin.promise)
        await readMuch(client)
      })
      assert.isBelow(bytes, growth.answer)
    })

    it(`does not grow with 1 GiB to a backend that reads slowly (${framing})`, { timeout: 30_000 }, async () => {
      const origin = promised<Net.Socket>()
      let come = 0
      const bytes = await grown((socket, head) => {
        origin.resolve(socket)
        come = head.length
      }, async (client) => {
        client.write(message("POST / HTTP/1.1", host, framingField[framing]))
        void sendMuch(client, framing)
        const socket = await origin.promise
        await untilStuck(client)
        const [answer] = await Promise.all([
          once(client, "data"),
          readMuch(socket, come).then(() => socket.write(message("HTTP/1.1 200 OK", "Content-Length: 0")))
        ])
        assert.match(String(answer[0]), /^HTTP\/1\.1 200 /)
      })
      assert.isBelow(bytes, growth.upload)
    })
  }
})
