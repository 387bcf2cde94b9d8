/**
 * Backends over TLS. The name that is asked for and checked is the one of the configuration, whatever a client says, and
 * nobody who cannot prove it is spoken to.
 *
 * The certificates are in `support/certificates`, made for these tests with openssl: three for `localhost`, of which one
 * is not trusted and one has expired, and one for another name. The others are good for a hundred years, and all for
 * nothing else.
 */
import { readFileSync } from "node:fs"
import { getCACertificates, setDefaultCACertificates } from "node:tls"
import { assert, onEachEngine } from "./support/Lab.ts"
import { message } from "./support/Peer.ts"

const pem = (name: string): string => readFileSync(new URL(`support/certificates/${name}.pem`, import.meta.url), "utf8")

const trusted = pem("localhost")

setDefaultCACertificates([...getCACertificates("default"), trusted, pem("other"), pem("expired")])

const get = (host: string): string => message("GET / HTTP/1.1", `Host: ${host}`)

const unchecked = { health: { kind: "off" } } as const

onEachEngine("a backend over TLS", (test) => {
  test("is asked for under its own name, whatever Host a client says", async (lab) => {
    const hosts: Array<string | undefined> = []
    const backend = await lab.https(trusted, (request, response) => {
      hosts.push(request.headers.host)
      response.end("hello")
    })
    const client = await lab.connect(await lab.balancer([backend], unchecked))
    const asked = ["example.com", "evil.test:8443", "localhost", "127.0.0.1"]
    for (const host of asked) assert.strictEqual((await client.exchange(get(host))).status, 200, host)
    assert.deepStrictEqual(hosts, asked)
    assert.deepStrictEqual(backend.names, ["localhost"])
  })

  test("gets bodies and gives them", async (lab) => {
    const backend = await lab.https(trusted, (request, response) => request.pipe(response))
    const client = await lab.connect(await lab.balancer([backend], unchecked))
    const body = "0123456789".repeat(100_000)
    const upload = message("POST / HTTP/1.1", "Host: a", `Content-Length: ${body.length}`) + body
    assert.isTrue((await client.exchange(upload)).body.toString() === body)
  })

  test("passes its health checks", async (lab) => {
    const lb = await lab.balancer([await lab.https(trusted, (_, response) => response.end())])
    await lb.untilStatus("Up")
  })

  for (
    const [what, certificate] of [
      ["of another name", "other"],
      ["that nobody vouches for", "unknown"],
      ["whose time is over", "expired"]
    ] as const
  ) {
    test(`with a certificate ${what} is not spoken to`, async (lab) => {
      let requests = 0
      const backend = await lab.https(pem(certificate), (_, response) => {
        requests++
        response.end()
      })
      const lb = await lab.balancer([backend], unchecked)
      const client = await lab.connect(lb)
      const host = certificate === "other" ? "other.example" : "localhost"
      assert.strictEqual((await client.exchange(get(host))).status, 502)
      assert.strictEqual((await lb.completed()).reason, "connect_failed")
      assert.strictEqual(requests, 0)
    })
  }

  test("that answers in plain text before the handshake is not believed", async (lab) => {
    const backend = await lab.raw(async (peer) => {
      await peer.send(message("HTTP/1.1 200 OK", "Content-Length: 5") + "plain")
    })
    const lb = await lab.balancer([{ origin: backend.origin.replace("http:", "https:") }], unchecked)
    const client = await lab.connect(lb)
    assert.strictEqual((await client.exchange(get("localhost"))).status, 502)
    assert.strictEqual((await lb.completed()).reason, "connect_failed")
  })
})
