/** What of a message arrives on the other side, in both directions: everything that is not about one connection, as it was. */
import * as IpNetwork from "effect/net/IpNetwork"
import * as Result from "effect/Result"
import { assert, onEachEngine } from "./support/Lab.ts"
import { type Asked, message, ok, type Received, value, values } from "./support/Peer.ts"

const get = (...fields: ReadonlyArray<string>): string => message("GET / HTTP/1.1", "Host: example.com", ...fields)

const network = (text: string): IpNetwork.IpNetwork => Result.getOrThrow(IpNetwork.fromString(text))

/** Field lines that are neither framing nor about the connection nor ours. */
const content = (received: Received): ReadonlyArray<string> =>
  received.fields
    .filter(([name]) =>
      !/^(?:host|connection|keep-alive|content-length|transfer-encoding|date|x-forwarded-.*)$/i.test(name)
    )
    .map(([name, value]) => `${name}: ${value}`)

const forwarded = (request: Asked): ReadonlyArray<string> =>
  ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"].map((name) => values(request, name).join(" | "))

onEachEngine("forwarding", (test) => {
  test("three requests get three backends, in order, and the fourth the first one again", async (lab) => {
    const lb = await lab.balancer([await lab.named("a"), await lab.named("b"), await lab.named("c")])
    const client = await lab.connect(lb)
    const bodies: Array<string> = []
    for (let i = 0; i < 4; i++) bodies.push((await client.exchange(get())).body.toString())
    assert.deepStrictEqual(bodies, ["a", "b", "c", "a"])
  })

  test("request fields keep their order, case and repetition", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    const fields = [
      "X-Zeta: 1",
      "accept: */*",
      "X-ALPHA: a",
      "x-alpha: b",
      "Cookie: a=1; b=2",
      "Cookie: c=3",
      "User-Agent: test",
      "X-Empty:",
      "X-Comma: a,b ,  c",
      "X-Inner:   a  \t b  ",
      "If-None-Match: \"x\", W/\"y\"",
      "Authorization: Basic dTpw"
    ]
    await client.exchange(get(...fields))
    assert.deepStrictEqual(
      content(backend.requests[0]!),
      fields.map((field) => field.replace(/:\s*/, ": ").replace(/\s+$/, field.endsWith(":") ? " " : ""))
    )
  })

  test("field names that JavaScript knows are names like any other (CVE-2026-21710)", async (lab) => {
    const names = ["__proto__: a", "constructor: b", "toString: c", "hasOwnProperty: d", "__proto__: e"]
    const backend = await lab.answering(message("HTTP/1.1 200 OK", "Content-Length: 0", ...names))
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(get(...names))
    assert.deepStrictEqual(content(backend.requests[0]!), names)
    assert.deepStrictEqual(content(answer), names)
  })

  test("no field is lost among thousands (Node keeps 2,000 by default; CVE-2026-21717)", async (lab) => {
    const names = Array.from({ length: 2_100 }, (_, i) => `${i}: `)
    const backend = await lab.answering(message("HTTP/1.1 200 OK", "Content-Length: 0", ...names))
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(get(...names))
    assert.deepStrictEqual(content(backend.requests[0]!), names)
    assert.deepStrictEqual(content(answer), names)
  })

  test("response fields keep their order, case and repetition", async (lab) => {
    const fields = [
      "X-Zeta: 1",
      "link: </a>; rel=preload",
      "Link: </b>; rel=preload",
      "WARNING: 199 - a",
      "Warning: 199 - b",
      "ETag: \"x\"",
      "Vary: a",
      "vary: b",
      "Server: origin/1",
      "Date: Mon, 01 Jan 2024 00:00:00 GMT",
      "X-Empty: "
    ]
    const backend = await lab.answering(message("HTTP/1.1 200 OK", ...fields, "Content-Length: 0"))
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(get())
    assert.deepStrictEqual(
      answer.fields.filter(([name]) => !/^(?:connection|keep-alive|content-length)$/i.test(name)).map((field) =>
        field.join(": ")
      ),
      fields
    )
  })

  test("Set-Cookie lines are repeated and untouched, whatever is in them", async (lab) => {
    const cookies = [
      "Set-Cookie: a=1; Path=/; SameSite=Strange; Foo=bar",
      "set-cookie: a=2; expires=Thu, 01 Jan 1970 00:00:00 GMT",
      "Set-Cookie: =; ;;",
      "Set-Cookie: b=\"quoted, comma\"; HttpOnly"
    ]
    const backend = await lab.answering(message("HTTP/1.1 200 OK", ...cookies, "Content-Length: 0"))
    const client = await lab.connect(await lab.balancer([backend]))
    assert.deepStrictEqual(content(await client.exchange(get())), cookies)
  })

  test("bytes from 0x80 in values arrive as they were, in both directions (obs-text, RFC 9110 §5.5)", async (lab) => {
    const fields = ["X-Latin: caf\xe9", "X-Utf: \xc3\xa9\xe2\x82\xac", "X-All: \x80\xa0\xff"]
    const backend = await lab.answering(message("HTTP/1.1 200 OK", ...fields, "Content-Length: 0"))
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(get(...fields))
    assert.deepStrictEqual(content(backend.requests[0]!), fields)
    assert.deepStrictEqual(content(answer), fields)
  })

  test("every final status goes through with its reason phrase, also those that nobody knows (RFC 9110 §15)", async (lab) => {
    const backend = await lab.answering((request) =>
      message(`HTTP/1.1 ${request.target.slice(1)} As You Like It`, "Content-Length: 0")
    )
    const client = await lab.connect(await lab.balancer([backend]))
    const statuses = [200, 201, 202, 203, 205, 206, 207, 226, 299, 300, 301, 302, 303, 307, 308, 399]
    statuses.push(400, 401, 402, 403, 404, 405, 407, 409, 410, 416, 417, 418, 421, 422, 425, 429, 451, 499)
    statuses.push(500, 501, 502, 503, 504, 505, 511, 599, 600, 700, 999)
    for (const status of statuses) {
      const answer = await client.exchange(message(`GET /${status} HTTP/1.1`, "Host: example.com"))
      assert.deepStrictEqual([answer.status, answer.reason], [status, "As You Like It"])
    }
  })

  test("a reason phrase may be empty, missing or full of strange bytes (RFC 9112 §4)", async (lab) => {
    const lines = ["HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.1 200 caf\xc3\xa9 \xe2\x82\xac", "HTTP/1.1 404 \t~"]
    let next = 0
    const backend = await lab.answering(() => message(lines[next++]!, "Content-Length: 0"))
    const client = await lab.connect(await lab.balancer([backend]))
    for (const line of lines) {
      const answer = await client.exchange(get())
      assert.strictEqual(answer.line.trimEnd(), line.trimEnd())
    }
  })

  test("a reason phrase of bytes that no phrase has does not spoil the answer", async (lab) => {
    const phrases = ["caf\xe9", "a\x01b", "a\x7fb"]
    let next = 0
    const backend = await lab.answering(() => message(`HTTP/1.1 200 ${phrases[next++]}`, "Content-Length: 2") + "ok")
    const client = await lab.connect(await lab.balancer([backend]))
    for (const phrase of phrases) {
      const answer = await client.exchange(get())
      assert.deepStrictEqual([answer.status, answer.body.toString()], [200, "ok"], phrase)
    }
  })

  test("nothing is added to what a client sends but Host, Connection and X-Forwarded-*", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.exchange(get())
    assert.deepStrictEqual(
      backend.requests[0]!.fields.map(([name]) => name.toLowerCase()).toSorted(),
      ["connection", "host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]
    )
  })

  test("nothing is added to what a backend sends but Date and what is about the connection (RFC 9110 §6.6.1)", async (lab) => {
    const backend = await lab.answering(message("HTTP/1.1 200 OK", "Content-Length: 2") + "ok")
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(get())
    const names = answer.fields.map(([name]) => name.toLowerCase()).filter((name) =>
      !/^(?:connection|keep-alive)$/.test(name)
    )
    assert.deepStrictEqual(names.toSorted(), ["content-length", "date"])
  })

  test("trace fields of the client go through as they were", async (lab) => {
    const fields = ["traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "b3: 0"]
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.exchange(get(...fields))
    assert.deepStrictEqual(content(backend.requests[0]!), fields)
  })

  test("X-Forwarded-* say who asked, and what a stranger put into them is dropped (Caddy GHSA-f59h-q822-g45g, CVE-2026-39858)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.exchange(get(
      "X-Forwarded-For: 6.6.6.6",
      "x-forwarded-for: 7.7.7.7",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: evil.example",
      "X-Forwarded-Port: 1",
      "X-Forwarded-Anything: 1",
      "X_Forwarded_For: 6.6.6.6",
      "X.Forwarded.For: 6.6.6.6",
      "x-forwarded_for: 6.6.6.6",
      "X-Real-IP: 6.6.6.6",
      "Forwarded: for=6.6.6.6",
      "X-Kept: 1"
    ))
    assert.deepStrictEqual(forwarded(backend.requests[0]!), ["127.0.0.1", "http", "example.com"])
    assert.deepStrictEqual(content(backend.requests[0]!), ["X-Kept: 1"])
  })

  test("a trusted proxy's X-Forwarded-* are believed and its address is appended", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend], { trustedProxies: [network("127.0.0.0/8")] }))
    await client.exchange(get(
      "X-Forwarded-For: 6.6.6.6",
      "x-forwarded-for: 7.7.7.7",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: public.example"
    ))
    assert.deepStrictEqual(
      forwarded(backend.requests[0]!),
      ["6.6.6.6, 7.7.7.7, 127.0.0.1", "https", "public.example"]
    )
  })

  test("Connection cannot take away what we say (CVE-2022-31813, CVE-2024-45410)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.exchange(
      message(
        "POST / HTTP/1.1",
        "Host: example.com",
        "Connection: X-Forwarded-For, x-forwarded-host, X-Forwarded-Proto, Host, Content-Length",
        "Content-Length: 2"
      ) + "ab"
    )
    const request = backend.requests[0]!
    assert.deepStrictEqual(forwarded(request), ["127.0.0.1", "http", "example.com"])
    assert.strictEqual(value(request, "host"), "example.com")
    assert.strictEqual(request.body.toString(), "ab")
  })

  test("what concerns one connection stays there, in requests (RFC 9110 §7.6.1, §11.7.2; CVE-2016-5385)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.exchange(get(
      "Connection: keep-alive, X-Secret, x-other ,,",
      "connection: X-Third",
      "Keep-Alive: timeout=5",
      "Proxy-Connection: keep-alive",
      "X-Secret: 1",
      "X-Other: 2",
      "X-Third: 3",
      "TE: trailers",
      "Trailer: X-End",
      "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
      "Proxy-Authorization: Basic dTpw",
      "Proxy: http://evil.example",
      "X-Kept: 1"
    ))
    assert.deepStrictEqual(content(backend.requests[0]!), ["X-Kept: 1"])
  })

  test("what concerns one connection stays there, in responses (RFC 9110 §7.6.1)", async (lab) => {
    const backend = await lab.answering(message(
      "HTTP/1.1 200 OK",
      "Connection: keep-alive, X-Secret",
      "Keep-Alive: timeout=99",
      "X-Secret: 1",
      "Upgrade: h2c",
      "Proxy-Authenticate: Basic",
      "Trailer: X-End",
      "X-Kept: 1",
      "Content-Length: 0"
    ))
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(get())
    assert.deepStrictEqual(content(answer), ["X-Kept: 1"])
    assert.notStrictEqual(value(answer, "keep-alive"), "timeout=99")
  })
})
