/** MessageWriter: framing, how many calls of the system it takes, backpressure, and that it tells once how it ended. */
import { assert, describe, it } from "@effect/vitest"
import type { Framing } from "../../../src/layers/wire/Framing.ts"
import { MessageWriter } from "../../../src/layers/wire/MessageWriter.ts"
import { TransportFailure } from "../../../src/services/Failure.ts"
import { FullSocket } from "./FullSocket.ts"

// A field may have obs-text.
const head = "H\xe9AD\r\n\r\n"

const setup = (framing: Framing, hasSource = true) => {
  const told: Array<string> = []
  const socket = new FullSocket()
  const writer = new MessageWriter(
    socket,
    head,
    framing,
    hasSource
      ? {
        pause: () => void told.push("pause"),
        resume: () => void told.push("resume"),
        cancel: () => void told.push("cancel")
      }
      : undefined,
    {
      onWritten: () => void told.push("written"),
      onBroken: ({ message }) => void told.push(message),
      onWaiting: (isWaiting) => void told.push(isWaiting ? "waiting" : "going on")
    }
  )
  return { socket, told, writer }
}

const chunked: Framing = { _tag: "Chunked" }
const length = (length: number): Framing => ({ _tag: "Length", length })

describe("a message", () => {
  it("of a head alone is one call, at the end of the turn", async () => {
    const { socket, told, writer } = setup({ _tag: "None" })
    writer.end([])
    writer.flush()
    assert.deepStrictEqual(socket.calls, [])
    await socket.turn()
    assert.deepStrictEqual(socket.calls, [head])
    assert.deepStrictEqual(told, ["written"])
  })

  for (const size of [1, 5, 8_000, 9_000, 100_000]) {
    it(`of a head and ${size} bytes is one call, whatever the framing`, async () => {
      const body = "x".repeat(size)
      for (
        const [framing, expected] of [
          [length(size), head + body],
          [{ _tag: "Close" }, head + body],
          [chunked, `${head}${size.toString(16)}\r\n${body}\r\n0\r\n\r\n`]
        ] as const
      ) {
        const { socket, told, writer } = setup(framing)
        writer.data(Buffer.from(body))
        writer.end([])
        writer.flush()
        await socket.turn()
        assert.deepStrictEqual(socket.calls, [expected])
        assert.deepStrictEqual(told, ["written"])
      }
    })
  }

  it("is written when it is flushed, and as it was given", async () => {
    const { socket, writer } = setup(chunked)
    writer.flush()
    writer.flush()
    await socket.turn()
    writer.data(Buffer.from("a\xff", "latin1"))
    writer.data(Buffer.from("b"))
    writer.flush()
    writer.data(Buffer.alloc(0))
    writer.flush()
    await socket.turn()
    writer.end(["X-Sum", "1"])
    writer.flush()
    await socket.turn()
    assert.deepStrictEqual(socket.calls, [head, "2\r\na\xff\r\n1\r\nb\r\n", "0\r\nX-Sum: 1\r\n\r\n"])
  })

  it("is one call for a head and the pieces after it, which do not wait for the end of the turn", async () => {
    const { socket, writer } = setup(length(20_001))
    writer.flush()
    writer.data(Buffer.alloc(20_000, "x"))
    assert.strictEqual(writer.flush(), "released")
    assert.deepStrictEqual(socket.calls, [`${head}${"x".repeat(20_000)}`])
    writer.data(Buffer.from("y"))
    writer.end([])
    writer.flush()
    await socket.turn()
    assert.deepStrictEqual(socket.calls, [`${head}${"x".repeat(20_000)}`, "y"])
  })

  it("goes out before the end of its socket, in the same turn", async () => {
    const { socket, writer } = setup({ _tag: "None" })
    writer.end([])
    writer.flush()
    socket.end("bye")
    assert.deepStrictEqual(socket.calls, [`${head}bye`])
  })

  it("does not end a body in chunks with a piece of no bytes", async () => {
    const { socket, writer } = setup(chunked)
    writer.data(Buffer.alloc(0))
    writer.flush()
    await socket.turn()
    assert.include(socket.text, head)
    assert.notInclude(socket.text, "0\r\n")
  })

  for (
    const [what, size] of [["shorter", 4], ["longer", 6]] as const
  ) {
    it(`that is ${what} than its length is broken, and told once`, () => {
      const { socket, told, writer } = setup(length(5))
      writer.data(Buffer.alloc(size))
      writer.end([])
      writer.flush()
      writer.end([])
      writer.fail(TransportFailure.make({ reason: "reset_mid_body", message: "another" }))
      writer.flush()
      assert.deepStrictEqual(told, ["cancel", `the body is ${what} than its Content-Length`])
      assert.isBelow(socket.text.length, head.length + 5)
    })
  }

  it("that was given up says nothing, and writes nothing", async () => {
    const { socket, told, writer } = setup(length(5))
    writer.data(Buffer.alloc(5))
    writer.abandon()
    writer.abandon()
    writer.end([])
    writer.flush()
    await socket.turn()
    assert.deepStrictEqual(told, ["cancel"])
    assert.deepStrictEqual(socket.calls, [])
  })

  it("makes its source wait while the socket is full", async () => {
    const { socket, told, writer } = setup(length(1_000_000))
    socket.on("drain", () => writer.onDrain())
    socket.isFull = true
    writer.data(Buffer.alloc(500_000))
    for (let i = 0; i < 2; i++) assert.strictEqual(writer.flush(), "until resumed")
    assert.deepStrictEqual(told, ["pause", "waiting"])
    await socket.empty()
    assert.deepStrictEqual(told, ["pause", "waiting", "going on", "resume"])
    writer.data(Buffer.alloc(500_000))
    writer.end([])
    writer.flush()
    assert.deepStrictEqual(told, ["pause", "waiting", "going on", "resume", "written"])
  })

  it("does not go on after it was given up", async () => {
    const { socket, told, writer } = setup(length(1_000_000))
    socket.on("drain", () => writer.onDrain())
    socket.isFull = true
    writer.data(Buffer.alloc(500_000))
    writer.flush()
    writer.abandon()
    await socket.empty()
    assert.deepStrictEqual(told, ["pause", "waiting", "cancel"])
  })

  it("does not refer to pieces that are out, nor to those that it has copied into a text", () => {
    const { socket, writer } = setup(length(20_005))
    writer.data(Buffer.alloc(20_000))
    assert.strictEqual(writer.flush(), "released")
    writer.data(Buffer.alloc(5))
    writer.end([])
    assert.strictEqual(writer.flush(), "released")
    assert.strictEqual(socket.writableLength, 5)
  })

  it("refers to what the socket could not take, also after its end, so that nobody writes over it", async () => {
    const { socket, writer } = setup(length(20_000))
    assert.strictEqual(writer.flush(), "released")
    await socket.turn()
    socket.isFull = true
    writer.data(Buffer.alloc(20_000))
    writer.end([])
    assert.strictEqual(writer.flush(), "kept")
    assert.strictEqual(writer.flush(), "kept")
    await socket.empty()
    assert.strictEqual(writer.flush(), "released")
  })

  it("refers to what the socket could not take when it has no source that waits for that", async () => {
    const { socket, told, writer } = setup(length(1_000_000), false)
    socket.on("drain", () => writer.onDrain())
    socket.isFull = true
    writer.data(Buffer.alloc(500_000))
    assert.strictEqual(writer.flush(), "kept")
    assert.strictEqual(writer.flush(), "kept")
    await socket.empty()
    assert.strictEqual(writer.flush(), "released")
    assert.deepStrictEqual(told, ["waiting", "going on"])
  })

  it("refers to what the socket could not take, and has room for, also after its source had to wait", async () => {
    const { socket, writer } = setup(length(1_000_000))
    socket.on("drain", () => writer.onDrain())
    socket.isFull = true
    writer.data(Buffer.alloc(500_000))
    assert.strictEqual(writer.flush(), "until resumed")
    await socket.empty()
    socket.isFull = true
    writer.data(Buffer.alloc(9_000))
    assert.strictEqual(writer.flush(), "kept")
  })

  it("takes no trailers along that could be taken for fields of its head (RFC 9110 §6.5.1)", async () => {
    const { socket, writer } = setup(chunked)
    writer.end(["X-A", "1", "X-Forwarded-For", "6.6.6.6", "Connection", "close", "X-B", "2"])
    writer.flush()
    await socket.turn()
    assert.strictEqual(socket.text, `${head}0\r\nX-A: 1\r\nX-B: 2\r\n\r\n`)
  })
})
