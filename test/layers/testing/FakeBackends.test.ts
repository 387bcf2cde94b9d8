import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Cookies from "effect/http/Cookies"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as FakeBackends from "../../../src/layers/testing/FakeBackends.ts"
import { fromClientError } from "../../../src/services/Failure.ts"

const Fakes = FakeBackends.FakeBackends
const { breaksOff, delayed, down, during, freezes, garbles, handle, inTurn, onPath, repeats, respond } = FakeBackends
const { sometimes, stalls, trickles } = FakeBackends

/** Sends a request, and either reads the whole answer or says why there is none. */
const send = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.gen(function*() {
    const client = HttpClient.withScope(yield* HttpClient.HttpClient)
    const response = yield* client.execute(request)
    return { status: response.status, headers: response.headers, text: yield* response.text }
  }).pipe(Effect.scoped, Effect.mapError(fromClientError))

const get = (url: string) => send(HttpClientRequest.get(url))

const text = (url: string) => Effect.map(get(url), (response) => response.text)

/** Lets virtual time pass while an effect runs, and gives the exit that it has by then, if it has one. */
const after = <A, E, R>(time: Duration.Input, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust(time)
    return fiber.pollUnsafe()
  })

/** Asserts that a request fails for a reason after exactly this many milliseconds. */
const assertFails = (url: string, reason: string, message: string, ms: number) =>
  Effect.gen(function*() {
    const start = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.forkChild(
      Effect.flatMap(Effect.flip(get(url)), (error) => Effect.map(Clock.currentTimeMillis, (now) => ({ error, now })))
    )
    yield* TestClock.adjust(120_000)
    const { error, now } = yield* Fiber.join(fiber)
    assert.deepStrictEqual([error.reason, error.message, now - start], [reason, message, ms])
  })

const encoder = new TextEncoder()

/** One chunk after the other, each after ten seconds. */
const trickle = (...chunks: ReadonlyArray<string>): Stream.Stream<Uint8Array> =>
  Stream.fromIterable(chunks).pipe(
    Stream.mapEffect((chunk) => Effect.delay(Effect.succeed(encoder.encode(chunk)), "10 seconds"))
  )

describe("FakeBackends answers", () => {
  it.effect("on a unix socket as well", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* text("http+unix://%2Frun%2Fapp.sock/path"), "from a socket")
      const { received } = yield* Fakes
      assert.deepStrictEqual(received("unix:/run/app.sock").map(({ target }) => target), ["/path"])
    }).pipe(Effect.provide(FakeBackends.layer({ "unix:/run/app.sock": respond("from a socket") }))))

  it.effect("by origin, with the head of a real server", () =>
    Effect.gen(function*() {
      const a = yield* get("http://a/")
      assert.deepStrictEqual({ ...a, headers: { ...a.headers } }, {
        status: 200,
        headers: { "content-type": "text/plain", "content-length": "6" },
        text: "from a"
      })
      const b = yield* get("http://b:3000/")
      assert.deepStrictEqual([b.status, b.headers["x-name"], b.text], [404, "b", "from b"])
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a:80/": respond("from a"),
      "http://b:3000": respond("from b", { status: 404, headers: { "x-name": "b" } })
    }))))

  it.effect("with its cookies, also those that are given as a header field", () =>
    Effect.gen(function*() {
      const { cookies } = yield* HttpClient.get("http://a")
      const lines = Cookies.toSetCookieHeaders(cookies)
      assert.deepStrictEqual(lines, ["theme=dark", "visit=1; Path=/; HttpOnly"])
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": respond("from a", {
        headers: { "set-cookie": "visit=1; Path=/; HttpOnly" },
        cookies: Cookies.fromSetCookie("theme=dark")
      })
    }))))

  it.effect("after a delay, and not sooner", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(text("http://a/"))
      yield* TestClock.adjust("19 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed("late"))
    }).pipe(Effect.provide(FakeBackends.layer({ "http://a": delayed("20 millis", respond("late")) }))))

  it.effect("with a handler that sees what a server would see", () =>
    Effect.gen(function*() {
      const upload = HttpClientRequest.post("http://a:81/up?x=%20").pipe(
        HttpClientRequest.setBody(HttpBody.stream(Stream.make(encoder.encode("some "), encoder.encode("bytes")))),
        HttpClientRequest.setHeader("x-mine", "1")
      )
      const response = yield* send(upload)
      assert.strictEqual(response.text, "POST /up?x=%20 a:81 chunked undefined some bytes")
      yield* send(HttpClientRequest.post("http://a:81/").pipe(HttpClientRequest.bodyText("four")))
      const [first, second] = (yield* Fakes).received("http://a:81")
      assert.deepStrictEqual(
        [first?.method, first?.target, first?.headers["x-mine"], first?.body, first?.outcome],
        ["POST", "/up?x=%20", "1", "some bytes", "success"]
      )
      assert.deepStrictEqual([second?.headers["content-length"], second?.body], ["4", "four"])
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a:81": handle((request) =>
        Effect.map(request.text, (body) => {
          const { host, "transfer-encoding": coding, "content-length": length } = request.headers
          return HttpServerResponse.text(`${request.method} ${request.url} ${host} ${coding} ${length} ${body}`)
        })
      )
    }))))

  it.effect("with 500 when the handler fails or throws", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* get("http://a/")).status, 500)
      assert.strictEqual((yield* get("http://b/")).status, 500)
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": handle(() => Effect.fail("no")),
      "http://b": handle(() => {
        throw new Error("oh no")
      })
    }))))

  it.effect("HEAD, 204 and 304 without a body, and keeps the head as it is", () =>
    Effect.gen(function*() {
      const head = yield* send(HttpClientRequest.head("http://a/"))
      assert.deepStrictEqual([head.text, head.headers["content-length"]], ["", "5"])
      assert.strictEqual((yield* get("http://b/")).text, "")
      assert.strictEqual((yield* get("http://c/")).text, "")
      const { inFlight, received } = yield* Fakes
      assert.deepStrictEqual(["http://a", "http://b", "http://c"].map(inFlight), [0, 0, 0])
      assert.strictEqual(received("http://a")[0]?.outcome, "success")
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": respond("hello"),
      "http://b": respond("never seen", { status: 204 }),
      "http://c": respond("never seen", { status: 304 })
    }))))

  it.effect("without a content type when the handler gave none", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* get("http://a/")).headers["content-type"], undefined)
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": handle(() =>
        Effect.succeed(HttpServerResponse.removeHeader(
          HttpServerResponse.setBody(
            HttpServerResponse.empty({ status: 200 }),
            HttpBody.uint8Array(encoder.encode("x"), "")
          ),
          "content-type"
        ))
      )
    }))))
})

describe("FakeBackends fails as the engine does", () => {
  it.effect("when a connection is refused, also by an origin that has no script", () =>
    Effect.gen(function*() {
      yield* assertFails("http://a/", "connect_failed", "Connection refused", 0)
      yield* assertFails("http://nobody/", "connect_failed", "Connection refused", 0)
      assert.strictEqual((yield* Fakes).received("http://a").length, 0)
    }).pipe(Effect.provide(FakeBackends.layer({ "http://a": FakeBackends.refuses }))))

  it.effect("when a connection is reset before the head", () =>
    assertFails("http://a/", "reset_before_headers", "Connection reset", 0).pipe(
      Effect.provide(FakeBackends.layer({ "http://a": FakeBackends.resets }))
    ))

  it.effect("when an answer is no HTTP", () =>
    assertFails("http://a/", "protocol_error", "The answer is not valid HTTP", 0).pipe(
      Effect.provide(FakeBackends.layer({ "http://a": garbles }))
    ))

  it.effect("when a body is never ended", () =>
    Effect.gen(function*() {
      yield* assertFails("http://a/", "reset_mid_body", "The body stopped", 60_000)
      assert.deepStrictEqual((yield* Fakes).received("http://a")[0]?.outcome, "failure")
    }).pipe(Effect.provide(FakeBackends.layer({ "http://a": stalls(3, respond("hello")) }))))

  it.effect("when a connection takes more than 2 s, or a head more than 15", () =>
    Effect.gen(function*() {
      yield* assertFails("http://a/", "connect_timeout", "Connection timed out", 2000)
      yield* assertFails("http://b/", "headers_timeout", "No answer in time", 15_000)
      const { inFlight, received } = yield* Fakes
      assert.strictEqual(received("http://a").length, 0)
      assert.deepStrictEqual([received("http://b")[0]?.outcome, inFlight("http://b")], ["failure", 0])
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": FakeBackends.unreachable,
      "http://b": FakeBackends.hangs
    }))))

  it.effect("after the time limits that are given", () =>
    Effect.gen(function*() {
      yield* assertFails("http://a/", "connect_timeout", "Connection timed out", 100)
      yield* assertFails("http://b/", "headers_timeout", "No answer in time", 200)
      yield* assertFails("http://c/", "reset_mid_body", "The body stopped", 300)
    }).pipe(Effect.provide(FakeBackends.layer(
      {
        "http://a": FakeBackends.unreachable,
        "http://b": FakeBackends.hangs,
        "http://c": handle(() => Effect.succeed(HttpServerResponse.stream(Stream.never)))
      },
      { connectTimeout: "100 millis", responseTimeout: "200 millis", idleTimeout: "300 millis" }
    ))))

  it.effect("when a body stops for 60 s, but not when it is merely slow", () =>
    Effect.gen(function*() {
      yield* assertFails("http://stops/", "reset_mid_body", "The body stopped", 70_000)
      const slow = yield* after("20 minutes", text("http://slow/"))
      assert.deepStrictEqual(slow, Exit.succeed("x".repeat(100)))
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://stops": handle(() =>
        Effect.succeed(HttpServerResponse.stream(Stream.concat(trickle("x"), Stream.never)))
      ),
      "http://slow": handle(() => Effect.succeed(HttpServerResponse.stream(trickle(..."x".repeat(100)))))
    }))))

  it.effect("counts the time for a head from the end of the upload", () =>
    Effect.gen(function*() {
      const upload = HttpClientRequest.post("http://a/").pipe(
        HttpClientRequest.setBody(HttpBody.stream(trickle(..."0123456789")))
      )
      const exit = yield* after("110 seconds", Effect.map(send(upload), (response) => response.text))
      assert.deepStrictEqual(exit, Exit.succeed("ok"))
      assert.strictEqual((yield* Fakes).received("http://a")[0]?.body, "0123456789")
    }).pipe(Effect.provide(FakeBackends.layer({ "http://a": delayed("10 seconds", respond("ok")) }))))

  it.effect("when an answer breaks off, wherever it does", () =>
    Effect.gen(function*() {
      const client = yield* HttpClient.HttpClient
      for (
        const [origin, expected] of [["http://none", ""], ["http://some", "hel"], ["http://all", "hello"]] as const
      ) {
        const response = yield* client.get(origin)
        assert.strictEqual(response.headers["content-length"], "5")
        let seen = ""
        const error = yield* response.stream.pipe(
          Stream.runForEach((chunk) => Effect.sync(() => seen += new TextDecoder().decode(chunk))),
          Effect.mapError(fromClientError),
          Effect.flip
        )
        assert.deepStrictEqual([error.reason, seen], ["reset_mid_body", expected])
        assert.strictEqual((yield* Fakes).received(origin)[0]?.outcome, "failure")
      }
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://none": breaksOff(0, respond("hello")),
      "http://some": breaksOff(3, respond("hello")),
      "http://all": breaksOff(99, respond("hello"))
    }))))
})

describe("FakeBackends follows its script", () => {
  it.effect("by chance", () =>
    Effect.gen(function*() {
      const answers = yield* Effect.replicateEffect(text("http://a/"), 1000)
      const odd = answers.filter((answer) => answer === "odd").length
      assert.isAbove(odd, 250)
      assert.isBelow(odd, 350)
      assert.strictEqual(yield* text("http://never/"), "usual")
      assert.strictEqual(yield* text("http://always/"), "odd")
    }).pipe(
      Random.withSeed("chance"),
      Effect.provide(FakeBackends.layer({
        "http://a": sometimes(0.3, respond("odd"), respond("usual")),
        "http://never": sometimes(0, respond("odd"), respond("usual")),
        "http://always": sometimes(1, respond("odd"), respond("usual"))
      }))
    ))

  it.effect("in turn, where refused requests count and health checks do not", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(get("http://a/"))).reason, "connect_failed")
      const check = HttpClientRequest.get("http://a/", { headers: { "user-agent": "evenkeel-health-check" } })
      assert.strictEqual((yield* send(check)).text, "second")
      assert.deepStrictEqual(yield* Effect.replicateEffect(text("http://a/"), 3), ["second", "last", "last"])
      const { probes, received } = yield* Fakes
      assert.deepStrictEqual([probes("http://a").length, received("http://a").length], [1, 3])
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": inTurn(FakeBackends.refuses, respond("second"), respond("last"))
    }))))

  it.effect("by path, whatever the query", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* text("http://a/health?deep"), "well")
      assert.strictEqual((yield* Effect.flip(get("http://a/healthy"))).reason, "reset_before_headers")
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": onPath("/health", respond("well"), FakeBackends.resets)
    }))))

  it.effect("by time: one way in a period, another way before and after it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* text("http://a/"), "before and after")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* text("http://a/"), "during")
      // What has begun goes on as it began.
      const late = yield* after("2 seconds", text("http://b/"))
      assert.deepStrictEqual(late, Exit.succeed("during"))
      assert.deepStrictEqual(yield* text("http://a/"), "before and after")
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": during({ from: "1 second", until: "3 seconds" }, respond("during"), respond("before and after")),
      "http://b": during({ until: "3 seconds" }, delayed("2 seconds", respond("during")), respond("after"))
    }))))

  it.effect("by time: again and again what it does in a period", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      for (let second = 0; second < 6; second++) {
        seen.push(yield* text("http://a/"))
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(seen, ["x", "y", "y", "x", "y", "y"])
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": repeats("3 seconds", during({ until: "1 second" }, respond("x"), respond("y")))
    }))))

  it.effect("by time: stands still, before the head and in the body, and goes on", () =>
    Effect.gen(function*() {
      const begun = yield* Effect.forkChild(text("http://a/"))
      const reading = yield* Effect.forkChild(text("http://b/"))
      yield* TestClock.adjust("2 seconds")
      // The head of this one has come already.
      const { received } = yield* Fakes
      assert.deepStrictEqual(received("http://a").length, 1)
      const during = yield* Effect.forkChild(text("http://a/"))
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual([begun, reading, during].map((fiber) => fiber.pollUnsafe()), Array(3).fill(undefined))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(begun.pollUnsafe(), Exit.succeed("a"))
      assert.deepStrictEqual(reading.pollUnsafe(), Exit.succeed("xyz"))
      // This one is only begun now.
      assert.isUndefined(during.pollUnsafe())
      yield* TestClock.adjust("1500 millis")
      assert.deepStrictEqual(during.pollUnsafe(), Exit.succeed("a"))
      assert.deepStrictEqual(yield* after("1500 millis", text("http://a/")), Exit.succeed("a"))
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": freezes({ from: "1 second", until: "5 seconds" }, delayed("1500 millis", respond("a"))),
      "http://b": freezes({ from: "1 second", until: "5 seconds" }, trickles(1, "400 millis", respond("xyz")))
    }))))

  it.effect("in pieces, which take their time", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(text("http://a/"))
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed("hello"))
    }).pipe(Effect.provide(FakeBackends.layer({ "http://a": trickles(2, "10 seconds", respond("hello")) }))))

  it.effect("by time: dies, which open connections notice, and comes back", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* text("http://a/"), "alive")
      assert.strictEqual((yield* Effect.flip(get("http://late/"))).reason, "connect_failed")
      yield* TestClock.setTime(9_000)
      const waiting = yield* Effect.forkChild(Effect.flip(get("http://slow/")))
      const reading = yield* Effect.forkChild(Effect.flip(get("http://long/")))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(waiting.pollUnsafe() ?? reading.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(waiting)).reason, "reset_before_headers")
      assert.strictEqual((yield* Fiber.join(reading)).reason, "reset_mid_body")
      assert.strictEqual((yield* Effect.flip(get("http://a/"))).reason, "connect_failed")
      yield* TestClock.setTime(29_999)
      assert.strictEqual((yield* Effect.flip(get("http://a/"))).reason, "connect_failed")
      yield* TestClock.setTime(30_000)
      assert.strictEqual(yield* text("http://a/"), "alive")
      assert.strictEqual(yield* text("http://late/"), "alive")
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": down({ from: "10 seconds", until: "30 seconds" }, respond("alive")),
      "http://slow": down({ from: "10 seconds" }, delayed("5 seconds", respond("alive"))),
      "http://long": down(
        { from: "10 seconds" },
        handle(() => Effect.succeed(HttpServerResponse.stream(trickle("a", "b"))))
      ),
      "http://late": down({ until: "30 seconds" }, respond("alive"))
    }))))
})

describe("FakeBackends can be changed while it runs", () => {
  it.effect("a stopped backend refuses and breaks off, and a started one goes on with its script", () =>
    Effect.gen(function*() {
      const { inFlight, received, start, stop } = yield* Fakes
      const waiting = yield* Effect.forkChild(Effect.flip(get("http://a/slow")))
      const reading = yield* Effect.forkChild(Effect.flip(get("http://a/long")))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(inFlight("http://a"), 2)
      yield* stop("http://a")
      assert.strictEqual((yield* Fiber.join(waiting)).reason, "reset_before_headers")
      assert.strictEqual((yield* Fiber.join(reading)).reason, "reset_mid_body")
      assert.strictEqual(inFlight("http://a"), 0)
      assert.deepStrictEqual(received("http://a").map(({ outcome }) => outcome), ["failure", "failure"])
      assert.strictEqual((yield* Effect.flip(get("http://a/"))).reason, "connect_failed")
      yield* stop("http://a")
      yield* start("http://a")
      yield* start("http://a")
      assert.strictEqual(yield* text("http://a/"), "fast")
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": onPath(
        "/slow",
        FakeBackends.hangs,
        onPath("/long", handle(() => Effect.succeed(HttpServerResponse.stream(Stream.never))), respond("fast"))
      )
    }))))

  it.effect("a backend gets another script, and a new one appears", () =>
    Effect.gen(function*() {
      const { received, script } = yield* Fakes
      yield* script("http://a", respond("new"))
      yield* script("http://b", respond("also new"))
      assert.deepStrictEqual([yield* text("http://a/"), yield* text("http://b/")], ["new", "also new"])
      assert.strictEqual(received("http://b").length, 1)
    }).pipe(Effect.provide(FakeBackends.layer({ "http://a": respond("old") }))))

  it.effect("a mistake in an origin is an error that says what there is", () =>
    Effect.gen(function*() {
      const { received, stop } = yield* Fakes
      assert.throws(() => received("http://b"), "there is no fake backend http://b, only http://a")
      const exit = yield* Effect.exit(stop("http://b"))
      assert.isTrue(Exit.hasDies(exit))
      const bad = yield* Effect.exit(Effect.provide(Effect.void, FakeBackends.layer({ "a:80/x": respond("") })))
      assert.isTrue(Exit.hasDies(bad))
    }).pipe(Effect.provide(FakeBackends.layer({ "http://a": respond("") }))))
})

describe("FakeBackends notices a client that leaves", () => {
  it.effect("before the head: the handler is interrupted and the request was aborted", () => {
    let interrupted = false
    return Effect.gen(function*() {
      const { inFlight, received } = yield* Fakes
      const fiber = yield* Effect.forkChild(get("http://a/"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([inFlight("http://a"), received("http://a")[0]?.outcome], [1, undefined])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([inFlight("http://a"), received("http://a")[0]?.outcome], [0, "aborted"])
      assert.isTrue(interrupted)
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": handle(() => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted = true)))
    })))
  })

  it.effect("in the middle of the body, also when it reads no more", () =>
    Effect.gen(function*() {
      const { inFlight, received } = yield* Fakes
      const client = HttpClient.withScope(yield* HttpClient.HttpClient)
      yield* Effect.scoped(Effect.gen(function*() {
        const response = yield* client.get("http://a/")
        yield* Stream.runDrain(Stream.take(response.stream, 1))
        assert.strictEqual(inFlight("http://a"), 1)
      }))
      assert.deepStrictEqual([inFlight("http://a"), received("http://a")[0]?.outcome], [0, "aborted"])
    }).pipe(Effect.provide(FakeBackends.layer({
      "http://a": handle(() =>
        Effect.succeed(HttpServerResponse.stream(Stream.concat(Stream.make(encoder.encode("x")), Stream.never)))
      )
    }))))
})
