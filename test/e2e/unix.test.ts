/** Backends on unix sockets, which either engine reaches, with its traffic and with its checks. */
import { mkdtemp, rm } from "node:fs/promises"
import * as Http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, type Lab, onEachEngine } from "./support/Lab.ts"
import { host, message, probePath } from "./support/Peer.ts"

/** A backend on a socket of this name that answers with what it was asked, and what it was asked. */
const onSocket = async (lab: Lab, name: string) => {
  const folder = await mkdtemp(join(tmpdir(), "evenkeel-"))
  lab.afterwards(() => rm(folder, { recursive: true }))
  const path = join(folder, name)
  const asked: Array<string> = []
  const listen = async () => {
    const server = Http.createServer(async (request, response) => {
      let body = ""
      for await (const chunk of request) body += String(chunk)
      asked.push(`${request.method} ${request.url} for ${request.headers.host}`)
      response.end(`${name}: ${body}`)
    })
    await new Promise<void>((resolve) => server.listen(path, resolve))
    const stop = () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    lab.afterwards(stop)
    return stop
  }
  return { origin: `unix:${path}`, asked, listen }
}

const post = message("POST /Over/there?a=%2F HTTP/1.1", host, "Content-Length: 5") + "hello"

onEachEngine("a unix socket", (test) => {
  test("takes requests, which say for which host they are", async (lab) => {
    const backend = await onSocket(lab, "App-1-ü.sock")
    await backend.listen()
    const lb = await lab.balancer([backend], { health: { kind: "off" } })
    const client = await lab.connect(lb)
    for (let i = 0; i < 2; i++) {
      const answer = await client.exchange(post)
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.body.toString(), "App-1-ü.sock: hello")
    }
    const asked = "POST /Over/there?a=%2F for example.com"
    assert.deepStrictEqual(backend.asked, [asked, asked])
    const backends = await lab.balancer([backend], { health: { kind: "off" }, hostHeader: "backend" })
    await (await lab.connect(backends)).exchange(post)
    assert.strictEqual(backend.asked.at(-1), "POST /Over/there?a=%2F for localhost")
  })

  test("is one of several backends", async (lab) => {
    const [one, two] = [await onSocket(lab, "one.sock"), await onSocket(lab, "two.sock")]
    await Promise.all([one.listen(), two.listen()])
    const lb = await lab.balancer([one, await lab.named("port"), two])
    const client = await lab.connect(lb)
    const answers: Array<string> = []
    for (let i = 0; i < 4; i++) {
      answers.push((await client.exchange(message("GET / HTTP/1.1", "Host: a"))).body.toString())
    }
    assert.deepStrictEqual(answers, ["one.sock: ", "port", "two.sock: ", "one.sock: "])
  })

  test("is checked over HTTP, by the name of localhost, and goes and comes back", async (lab) => {
    const backend = await onSocket(lab, "app.sock")
    const stop = await backend.listen()
    const lb = await lab.balancer([backend], { healthInterval: 50 })
    await lb.untilStatus("Up")
    assert.strictEqual(backend.asked[0], `GET ${probePath} for localhost`)
    await stop()
    await lb.untilStatus("Down")
    await backend.listen()
    await lb.untilStatus("Up")
  })

  test("is checked by connecting alone", async (lab) => {
    const [backend, nobody] = [await onSocket(lab, "app.sock"), await onSocket(lab, "nobody.sock")]
    await backend.listen()
    const lb = await lab.balancer([backend, nobody], { health: { kind: "tcp" } })
    await lb.untilChecked()
    assert.deepStrictEqual(lb.members.map(({ health }) => health.probe.state), ["Passing", "Failing"])
    assert.deepStrictEqual(backend.asked, [])
  })

  test("that nobody listens on is a backend that cannot be reached", async (lab) => {
    const nobody = await onSocket(lab, "nobody.sock")
    const lb = await lab.balancer([nobody], { health: { kind: "off" } })
    const answer = await (await lab.connect(lb)).exchange(message("GET / HTTP/1.1", "Host: a"))
    assert.strictEqual(answer.status, 502)
    assert.strictEqual((await lb.completed()).reason, "connect_failed")
  })
})
