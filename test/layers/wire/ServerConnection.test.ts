/** `ServerConnection` on a socket that leads nowhere: what depends on turns of the event loop. */
import { assert, describe, it } from "@effect/vitest"
import { Deadlines } from "../../../src/layers/wire/Deadlines.ts"
import type { Hold } from "../../../src/layers/wire/Flow.ts"
import * as Head from "../../../src/layers/wire/Head.ts"
import { ServerConnection } from "../../../src/layers/wire/ServerConnection.ts"
import type { ServerExchange } from "../../../src/layers/wire/ServerExchange.ts"
import { head } from "../../contract/support/Serving.ts"
import { FullSocket } from "./FullSocket.ts"

/** Answers with nothing. */
const answer = (exchange: ServerExchange): void => {
  const start = { status: 200, statusText: "OK", fields: [], upgrade: undefined }
  const writer = exchange.respond(start, { _tag: "None" }, undefined, () => {})
  writer.end([])
  writer.flush()
}

/** A connection whose requests are answered at once with nothing, but for those of `/hang`. */
const setup = (timeouts = { head: 1_000, idle: 1_000, keepAlive: 1_000 }) => {
  const socket = new FullSocket()
  const deadlines = new Deadlines(0, () => 0)
  /** Those of `/hang`. */
  const hanging: Array<ServerExchange> = []
  const server = {
    limits: { ...Head.defaultLimits, bodyBytes: Infinity },
    timeouts,
    deadlines,
    isClosing: false,
    handle: (exchange: ServerExchange) => {
      if (exchange.request.target === "/hang") hanging.push(exchange)
      else answer(exchange)
    },
    onRefused: () => {},
    onClose: () => {}
  }
  const connection = new ServerConnection(socket, server)
  const receive = (text: string) => void socket.emit("data", Buffer.from(text))
  return { connection, deadlines, hanging, receive, server, socket }
}

describe("a body of which so much has come that the client has to wait", () => {
  const pieces = [head("POST /hang", "Content-Length: 200000"), "x".repeat(100_000)]

  for (const [when, early] of [["in its turn", false], ["before its turn", true]] as const) {
    it(`does not fail for want of a client that has sent it ${when}`, () => {
      const { deadlines, hanging, receive } = setup()
      if (early) receive(head("GET /hang"))
      for (const piece of pieces) receive(piece)
      if (early) answer(hanging.shift()!)
      const [exchange] = hanging
      assert.strictEqual(exchange?.request.method, "POST")
      for (let now = 0; now < 10_000; now += 100) deadlines.look(now)
      assert.isFalse(exchange?.body?.isOver)
    })
  }
})

describe("a body whose client had to wait", () => {
  it("fails when nothing more comes of it once it may", () => {
    const { deadlines, hanging, receive } = setup()
    receive(head("POST /hang", "Content-Length: 5"))
    const body = hanging[0]?.body
    body?.pause()
    body?.resume()
    for (let now = 0; now < 10_000; now += 100) deadlines.look(now)
    assert.isTrue(body?.isOver)
  })
})

describe("the rest of a body that nobody wants any more", () => {
  /** A connection whose client is still sending the body of its request. */
  const uploading = (framing = "Transfer-Encoding: chunked") => {
    const lab = setup()
    lab.receive(head("POST /hang", framing))
    const [exchange] = lab.hanging
    assert(exchange !== undefined)
    const told: Array<string> = []
    exchange.body?.take({
      data: (piece) => void told.push(String(piece)),
      end: () => void told.push("end"),
      fail: ({ reason }) => void told.push(reason),
      flush: () => "released"
    })
    return { ...lab, exchange, told }
  }

  it("behind its response is thrown away, and the next request answered", async () => {
    const { exchange, receive, socket, told } = uploading()
    exchange.body?.pause()
    answer(exchange)
    assert.isFalse(socket.isPaused())
    receive(`5\r\nhello\r\n0\r\n\r\n${head("GET /")}`)
    await socket.turn()
    assert.lengthOf(socket.text.match(/200 OK/g)!, 2)
    assert.isFalse(socket.writableEnded)
    assert.deepStrictEqual(told, ["client_aborted"])
  })

  for (
    const [what, bytes] of [
      ["is more than 256 KiB", `60000\r\n${"x".repeat(300_000)}`],
      ["is malformed", "no size\r\n"]
    ] as const
  ) {
    it(`behind its response ends the connection when it ${what}`, () => {
      const { exchange, receive, socket } = uploading()
      answer(exchange)
      assert.isFalse(socket.writableEnded)
      receive(bytes)
      assert.isTrue(socket.writableEnded)
    })
  }

  it("before its response is not read any more when it is more than 256 KiB, and that response is the last one", async () => {
    const { exchange, receive, socket } = uploading("Content-Length: 400000")
    exchange.body?.pause()
    exchange.body?.cancel()
    assert.isFalse(socket.isPaused())
    receive("x".repeat(200_000))
    assert.isFalse(socket.isPaused())
    receive("x".repeat(100_000))
    assert.isTrue(socket.isPaused())
    assert.isFalse(socket.writableEnded)
    answer(exchange)
    await socket.turn()
    assert.include(socket.text, "Connection: close")
    assert.isTrue(socket.writableEnded)
    // With something unread, the end would be a reset.
    assert.isFalse(socket.isPaused())
  })
})

describe("requests that come before their turn", () => {
  const many = head("GET /").repeat(5_000)
  const answers = (socket: FullSocket) => socket.text.match(/200 OK/g)?.length ?? 0

  it("make their client wait when they are more than 64 KiB, and are answered then", async () => {
    const { hanging, receive, socket } = setup()
    receive(head("GET /hang"))
    receive(many)
    assert.isTrue(socket.isPaused())
    answer(hanging[0]!)
    for (let i = 0; i < 100 && answers(socket) <= 5_000; i++) await socket.turn()
    assert.strictEqual(answers(socket), 5_001)
    assert.isFalse(socket.isPaused())
  })

  it("are not worked on while their client does not read", async () => {
    const { receive, socket } = setup()
    socket.isFull = true
    receive(many)
    assert.isBelow(socket.writableLength, 100_000)
    await socket.turn()
    await socket.empty()
    for (let i = 0; i < 100 && answers(socket) < 5_000; i++) await socket.turn()
    assert.strictEqual(answers(socket), 5_000)
  })
})

describe("a response that its client has not read to its end", () => {
  /** Whether the connection was reset when it was closed, and after how many milliseconds. */
  const ending = async (request: string, keepAlive: number) => {
    const { deadlines, receive, socket } = setup({ head: 1_000, idle: 1_000, keepAlive })
    let wasReset = false
    socket.resetAndDestroy = () => {
      wasReset = true
      return socket.destroy()
    }
    socket.isFull = true
    receive(request)
    await socket.turn()
    assert.isAbove(socket.writableLength, 0)
    let now = 0
    while (!socket.destroyed && now < 10_000) deadlines.look(now += 100)
    return { now, wasReset }
  }

  for (const [what, fields] of [["stays", []], ["ends", ["Connection: close"]]] as const) {
    it(`never looks complete on a connection that ${what}: that is reset when nothing is read for the idle time (RFC 9112 §8)`, async () => {
      for (const keepAlive of [200, 5_000]) {
        const { now, wasReset } = await ending(head("GET /", ...fields), keepAlive)
        assert.isTrue(wasReset)
        assert.isAtLeast(now, 1_000)
      }
    })
  }

  it("and is read later leaves a connection that is closed as any other", async () => {
    const { deadlines, receive, socket } = setup({ head: 1_000, idle: 1_000, keepAlive: 200 })
    socket.resetAndDestroy = () => assert.fail("it was reset")
    socket.isFull = true
    receive(head("GET /"))
    await socket.turn()
    let now = 0
    while (now < 600) deadlines.look(now += 100)
    assert.isFalse(socket.destroyed)
    await socket.empty()
    while (!socket.destroyed && now < 10_000) deadlines.look(now += 100)
    assert.isBelow(now, 2_000)
  })
})

describe("a response that was written in the turn in which its connection", () => {
  it("is left by the client is sent", () => {
    const { receive, socket } = setup()
    socket.resetAndDestroy = () => assert.fail("it was reset")
    receive(head("GET /") + head("GET /hang"))
    socket.emit("end")
    assert.isTrue(socket.destroyed)
    assert.match(socket.text, /^HTTP\/1.1 200 OK\r\n/)
  })

  it("is cut is sent", () => {
    const { connection, receive, socket } = setup()
    receive(head("GET /"))
    connection.cut()
    assert.match(socket.text, /^HTTP\/1.1 200 OK\r\n/)
  })

  it("has to end is sent, and nobody waits for a client that reads nothing", () => {
    const { connection, receive, socket } = setup()
    socket.resetAndDestroy = () => assert.fail("it was reset")
    receive(head("GET /"))
    connection.terminate()
    assert.match(socket.text, /^HTTP\/1.1 200 OK\r\n/)
    const stuck = setup()
    stuck.socket.isFull = true
    stuck.socket.write("something")
    stuck.receive(head("GET /"))
    stuck.connection.terminate()
    assert.isTrue(stuck.socket.destroyed)
  })
})

describe("a response that began before its server was closed", () => {
  it("is the last one of its connection, which says nothing of it", async () => {
    const { hanging, receive, server, socket } = setup()
    receive(head("GET /hang"))
    const start = { status: 200, statusText: "OK", fields: [], upgrade: undefined }
    const writer = hanging[0]!.respond(start, { _tag: "Length", length: 4 }, undefined, () => {})
    writer.flush()
    server.isClosing = true
    writer.data(Buffer.from("last"))
    writer.end([])
    assert.isFalse(socket.writableEnded)
    writer.flush()
    assert.isTrue(socket.writableEnded)
    await socket.turn()
    assert.match(socket.text, /last$/)
  })
})

describe("what has come before its turn when the server is closed", () => {
  const stopped = (early: string) => {
    const lab = setup()
    lab.receive(head("GET /hang"))
    lab.receive(early)
    lab.server.isClosing = true
    answer(lab.hanging[0]!)
    return lab
  }

  /** The answers, as whether each says that it is the last one. */
  const answers = (text: string) =>
    text.split("HTTP/1.1 200 OK").slice(1).map((one) => one.includes("Connection: close"))

  it("is answered, and the last answer says that there is no other", async () => {
    const { hanging, socket } = stopped(head("GET /hang") + head("GET /"))
    answer(hanging[1]!)
    assert.isTrue(socket.writableEnded)
    await socket.turn()
    assert.deepStrictEqual(answers(socket.text), [false, false, true])
  })

  for (
    const [what, early, late] of [
      ["is whole", head("GET /hang"), ""],
      ["is a part of a head", "GET /hang HTTP/1.1\r\n", "Host: a\r\n\r\n"],
      ["is a part of a body", `${head("POST /hang", "Content-Length: 5")}he`, "llo"]
    ] as const
  ) {
    it(`is answered where it ${what}, and what comes behind it is not`, async () => {
      const { connection, hanging, receive, server, socket } = setup()
      receive(head("GET /hang") + early)
      server.isClosing = true
      connection.leave()
      receive(late + head("GET /"))
      for (let i = 0; i < 2; i++) answer(hanging[i]!)
      assert.isTrue(socket.writableEnded)
      await socket.turn()
      assert.deepStrictEqual(answers(socket.text), [false, true])
    })
  }

  it("is answered also where each answer is complete before the next request is looked at", async () => {
    const { socket } = stopped(head("GET /").repeat(3))
    await socket.turn()
    assert.deepStrictEqual(answers(socket.text), [false, false, false, true])
    assert.isTrue(socket.writableEnded)
  })

  it("is answered also where it comes with the end of a body that is answered at once", async () => {
    const { hanging, receive, server, socket } = setup()
    receive(`${head("POST /hang", "Content-Length: 5")}he`)
    const [exchange] = hanging
    assert(exchange !== undefined)
    exchange.body?.take({ data: () => {}, end: () => answer(exchange), fail: () => {}, flush: () => "released" })
    server.isClosing = true
    receive(`llo${head("GET /")}`)
    await socket.turn()
    assert.deepStrictEqual(answers(socket.text), [false, true])
    assert.isTrue(socket.writableEnded)
  })

  it("is answered also where it comes late, if nothing has said so to its client", async () => {
    const { connection, hanging, receive, server, socket } = setup()
    receive(head("GET /hang"))
    const start = { status: 200, statusText: "OK", fields: [], upgrade: undefined }
    const writer = hanging[0]!.respond(start, { _tag: "Length", length: 4 }, undefined, () => {})
    writer.flush()
    server.isClosing = true
    connection.leave()
    receive(head("GET /").repeat(2))
    writer.data(Buffer.from("last"))
    writer.end([])
    writer.flush()
    assert.isTrue(socket.writableEnded)
    await socket.turn()
    assert.deepStrictEqual(answers(socket.text), [false, true])
  })

  it("is not answered any more when the time is up", async () => {
    const { connection, hanging, receive, server, socket } = setup()
    receive(head("GET /hang") + head("GET /hang"))
    server.isClosing = true
    connection.terminate()
    answer(hanging[0]!)
    assert.lengthOf(hanging, 1)
    assert.isTrue(socket.writableEnded)
    await socket.turn()
    assert.include(socket.text, "Connection: close")
  })

  it("is waited for where it is a part of a request", () => {
    const [begin, end] = ["GET / HTTP/1.1\r\n", "Host: a\r\n\r\n"]
    const { receive, socket } = stopped(begin)
    assert.isFalse(socket.writableEnded)
    receive(end)
    assert.isTrue(socket.writableEnded)
  })

  it("does not keep the connection open where it is no request", () => {
    assert.isTrue(stopped("\r\n").socket.writableEnded)
  })

  /** The same, with a client that has not read what it was answered before. */
  const unread = (early: string) => {
    const lab = setup()
    lab.receive(head("GET /hang"))
    lab.receive(early)
    lab.server.isClosing = lab.socket.isFull = true
    lab.socket.write("x".repeat(100_000))
    answer(lab.hanging[0]!)
    return lab
  }

  it("is no reason to take its connection for idle, and is answered when its client reads", async () => {
    const { connection, socket } = unread(head("GET /"))
    assert.isFalse(connection.isIdle)
    await socket.turn()
    await socket.empty()
    await socket.turn()
    assert.lengthOf(socket.text.match(/200 OK/g)!, 2)
    assert.isTrue(socket.writableEnded)
  })

  it("does not keep the connection open where it is no request, and its client had to read first", async () => {
    const { socket } = unread("\r\n")
    await socket.turn()
    assert.isFalse(socket.writableEnded)
    await socket.empty()
    assert.isTrue(socket.writableEnded)
  })
})

describe("the memory of what a client sends", () => {
  const size = 40_000

  /** Text in memory of its own, as Node reads it. */
  const read = (text: string): Buffer => {
    const chunk = Buffer.from(new ArrayBuffer(text.length))
    chunk.write(text, "latin1")
    return chunk
  }

  const isBack = (chunk: Buffer): boolean => chunk.length === 0

  /** A connection with the body of a request under way, whose taker refers to it for so long. */
  const taken = (hold: Hold, ...fields: ReadonlyArray<string>) => {
    const lab = setup()
    lab.receive(head("POST /hang", ...fields))
    const [exchange] = lab.hanging
    const pieces: Array<Buffer> = []
    exchange?.body?.take({ data: (piece) => void pieces.push(piece), end: () => {}, fail: () => {}, flush: () => hold })
    const send = (text: string): Buffer => {
      const chunk = read(text)
      lab.socket.emit("data", chunk)
      return chunk
    }
    return { ...lab, exchange, pieces, send }
  }

  const length = `Content-Length: ${size}`
  const chunked = "Transfer-Encoding: chunked"

  it("goes back at once when nobody refers to it any more", () => {
    assert.isTrue(isBack(taken("released", length).send("x".repeat(size))))
    assert.isTrue(isBack(taken("released", chunked).send(`9c40\r\n${"x".repeat(size)}\r\n0\r\n\r\n`)))
  })

  it("is not touched as long as somebody does", () => {
    for (const hold of ["kept", "until resumed"] as const) {
      const { pieces, send } = taken(hold, length)
      assert.isFalse(isBack(send("x".repeat(size))))
      assert.deepStrictEqual(pieces.map(String), ["x".repeat(size)])
    }
  })

  it("is not touched before the body is asked for, nor before the turn of its request", () => {
    for (const before of ["", head("GET /hang")]) {
      const { hanging, receive, socket } = setup()
      receive(before)
      const chunk = read(head("POST /hang", length) + "x".repeat(size))
      socket.emit("data", chunk)
      assert.isFalse(isBack(chunk))
      if (before !== "") answer(hanging.shift()!)
      const pieces: Array<string> = []
      const data = (piece: Buffer) => void pieces.push(String(piece))
      hanging[0]?.body?.take({ data, end: () => {}, fail: () => {}, flush: () => "released" })
      assert.strictEqual(pieces.join(""), "x".repeat(size))
    }
  })

  it("is not touched when the body turns out to be malformed behind what somebody still refers to", () => {
    const { pieces, send } = taken("kept", chunked)
    assert.isFalse(isBack(send(`9c40\r\n${"x".repeat(size)}\r\nno size\r\n`)))
    assert.deepStrictEqual(pieces.map(String), ["x".repeat(size)])
  })

  it("goes back when nobody wants the rest of the body", () => {
    const { exchange, send } = taken("kept", length)
    exchange?.body?.cancel()
    assert.isTrue(isBack(send("x".repeat(size - 1))))
  })

  it("is left to the collector where it is little, or a part of more", () => {
    assert.isFalse(isBack(taken("released", length).send("x".repeat(1_000))))
    const { socket } = taken("released", length)
    const part = Buffer.alloc(2 * size).subarray(size)
    socket.emit("data", part)
    assert.isFalse(isBack(part))
  })

  it("is not touched when it is behind a request and somebody who takes the connection over refers to it", () => {
    const { connection, hanging, receive, socket } = setup()
    receive(head("POST /hang", "Content-Length: 4"))
    const received: Array<Buffer> = []
    const holder = { receive: (chunk: Buffer) => received.push(chunk) > 0, onEnd: () => {}, onClose: () => {} }
    const end = () => connection.handOver(holder)
    hanging[0]?.body?.take({ data: () => {}, end, fail: () => {}, flush: () => "released" })
    const chunk = read("body" + "x".repeat(size))
    socket.emit("data", chunk)
    assert.isFalse(isBack(chunk))
    assert.deepStrictEqual(received.map(String), ["x".repeat(size)])
  })

  it("goes back from a tunnel as soon as the other end has it", () => {
    const { connection, socket } = setup()
    const other = setup()
    connection.joinTo(other.connection, () => {})
    const [first, second] = [read("x".repeat(size)), read("y".repeat(size))]
    socket.emit("data", first)
    assert.isTrue(isBack(first))
    other.socket.isFull = true
    socket.emit("data", second)
    assert.isFalse(isBack(second))
    assert.strictEqual(other.socket.text, "x".repeat(size) + "y".repeat(size))
  })
})
