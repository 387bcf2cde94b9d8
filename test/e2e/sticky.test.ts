/** Sticky sessions over real sockets: who has the cookie stays with its backend, as long as that may be used. */
import * as IpNetwork from "effect/net/IpNetwork"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { assert, type Balancer, type Lab, onEachEngine, type Wishes } from "./support/Lab.ts"
import { host, message, value, values } from "./support/Peer.ts"

/** A browser: it keeps the cookie of the balancer and sends it with another one. */
class Browser {
  cookie: string | undefined
  private readonly lab: Lab
  private readonly balancer: Balancer

  constructor(lab: Lab, balancer: Balancer, cookie?: string) {
    this.lab = lab
    this.balancer = balancer
    this.cookie = cookie
  }

  /** Asks once, on a connection of its own. Gives who answered, and the `Set-Cookie` if there was one. */
  async ask(...fields: ReadonlyArray<string>): Promise<{ readonly by: string; readonly set: string | undefined }> {
    const client = await this.lab.connect(this.balancer)
    const cookies = this.cookie === undefined ? [] : [`Cookie: a=1; ${this.cookie}; b="2, 3"`]
    const answer = await client.exchange(message("GET / HTTP/1.1", host, ...cookies, ...fields))
    client.destroy()
    const set = value(answer, "Set-Cookie")
    if (set !== undefined) this.cookie = set.slice(0, set.indexOf(";"))
    return { by: answer.status === 200 ? answer.body.toString() : String(answer.status), set }
  }

  /** Asks so often and gives all who answered. Nobody may set a cookie meanwhile. */
  async stay(times: number): Promise<ReadonlyArray<string>> {
    const who = new Set<string>()
    for (let i = 0; i < times; i++) {
      const { by, set } = await this.ask()
      assert.isUndefined(set)
      who.add(by)
    }
    return [...who]
  }
}

const key = (text: string) => Redacted.make(text.padEnd(16, "."))

const sticky: Wishes["sticky"] = { cookie: "lb", keys: [key("key")] }

const three = async (lab: Lab, wishes: Wishes = {}) => {
  const targets = await Promise.all(["a", "b", "c"].map((name) => lab.named(name)))
  const lb = await lab.balancer(targets, { sticky, ...wishes })
  const target = (name: string) => targets["abc".indexOf(name)]!
  const browser = (cookie?: string) => new Browser(lab, lb, cookie)
  return { browser, lb, target }
}

onEachEngine("sticky sessions", (test) => {
  test("keep each client with the backend that it came to first, whatever the strategy", async (lab) => {
    const { browser, lb } = await three(lab)
    const browsers = [browser(), browser(), browser()]
    const first = []
    for (const one of browsers) {
      const { by, set } = await one.ask()
      assert.match(set ?? "", /^lb=[\w-]{22}; Path=\/; HttpOnly; SameSite=Lax$/)
      first.push(by)
    }
    assert.deepStrictEqual(first, ["a", "b", "c"])
    for (const strategy of ["round-robin", "random", "ring-hash"] as const) {
      await lb.use(strategy)
      for (const [i, one] of browsers.entries()) assert.deepStrictEqual(await one.stay(4), [first[i]!])
    }
  })

  test("are off unless there is a name for the cookie", async (lab) => {
    const { browser } = await three(lab, { sticky: {} })
    const one = browser("lb=a")
    assert.deepStrictEqual(await one.stay(3), ["a", "b", "c"])
  })

  test("do not show backends the cookie, and all others as they were", async (lab) => {
    const target = await lab.answering(message("HTTP/1.1 200 OK", "Set-Cookie: theirs=1", "Content-Length: 0"))
    const lb = await lab.balancer([target], { sticky })
    const client = await lab.connect(lb)
    const first = await client.exchange(message("GET / HTTP/1.1", "Host: a", "Cookie: x=1"))
    const [theirs, ours] = values(first, "Set-Cookie")
    assert.strictEqual(theirs, "theirs=1")
    const cookie = ours!.slice(0, ours!.indexOf(";"))
    const answer = await client.exchange(
      message("GET / HTTP/1.1", "Host: a", `cOOKie: a=1;  b="2, 3";${cookie}; c`, `Cookie: ${cookie}`, "Cookie: d=4")
    )
    assert.deepStrictEqual(values(answer, "Set-Cookie"), ["theirs=1"])
    assert.deepStrictEqual(
      target.requests.at(-1)!.fields.filter(([name]) => name.toLowerCase() === "cookie"),
      [["cOOKie", "a=1;  b=\"2, 3\"; c"], ["Cookie", "d=4"]]
    )
  })

  test("go on elsewhere when the backend is gone, and stay there", async (lab) => {
    const { browser, target } = await three(lab)
    const one = browser()
    const { by } = await one.ask()
    const before = one.cookie
    await target(by).stop()
    // The first to notice is a request, and not a check.
    const next = await one.ask()
    assert.notStrictEqual(next.by, by)
    assert.match(next.set ?? "", /^lb=/)
    assert.notStrictEqual(one.cookie, before)
    assert.deepStrictEqual(await one.stay(4), [next.by])
  })

  test("outlast the draining of a backend, which gets nobody new", async (lab) => {
    const { browser, lb, target } = await three(lab)
    const pinned = browser()
    const { by } = await pinned.ask()
    await lb.setMode(target(by), "Draining")
    assert.deepStrictEqual(await pinned.stay(4), [by])
    for (let i = 0; i < 6; i++) assert.notStrictEqual((await browser().ask()).by, by)
    await lb.setMode(target(by), "Disabled")
    const next = await pinned.ask()
    assert.notStrictEqual(next.by, by)
    assert.isDefined(next.set)
    assert.deepStrictEqual(await pinned.stay(4), [next.by])
    // Its new place is its place.
    await lb.setMode(target(by), "Ready")
    assert.deepStrictEqual(await pinned.stay(4), [next.by])
  })

  test("do not take a tunnel to a backend that drains: it would be cut there, and come back", async (lab) => {
    const targets = await Promise.all(
      ["a", "b"].map((name) =>
        lab.answering(({ fields }) =>
          fields.some(([key]) => key.toLowerCase() === "upgrade")
            ? message("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: chat", `X-By: ${name}`)
            : `${message("HTTP/1.1 200 OK", "Content-Length: 1")}${name}`
        )
      )
    )
    const lb = await lab.balancer(targets, { sticky, health: { kind: "off" } })
    const one = new Browser(lab, lb)
    assert.strictEqual((await one.ask()).by, "a")
    const open = async () => {
      const client = await lab.connect(lb)
      const answer = await client.exchange(
        message("GET / HTTP/1.1", "Host: a", `Cookie: ${one.cookie}`, "Connection: Upgrade", "Upgrade: chat")
      )
      assert.strictEqual(answer.status, 101)
      return { by: value(answer, "X-By"), set: value(answer, "Set-Cookie") }
    }
    assert.deepStrictEqual(await open(), { by: "a", set: undefined })
    await lb.setMode(targets[0]!, "Draining")
    assert.deepStrictEqual(await one.stay(3), ["a"])
    const { by, set } = await open()
    assert.strictEqual(by, "b")
    assert.match(set ?? "", /^lb=/)
  }, { node: { races: "it does not forward upgrades" } })

  test("are for TLS only where the client uses it, as proxies say that are trusted", async (lab) => {
    const https = "X-Forwarded-Proto: https"
    const { browser } = await three(lab)
    assert.notInclude((await browser().ask(https)).set, "Secure")
    const trusting = await three(lab, {
      sticky: { ...sticky, sameSite: "none" },
      trustedProxies: [Result.getOrThrow(IpNetwork.fromString("127.0.0.0/8"))]
    })
    assert.match((await trusting.browser().ask(https)).set ?? "", /HttpOnly; Secure; SameSite=None$/)
    assert.match((await trusting.browser().ask("X-Forwarded-Proto: https, http")).set ?? "", /Secure/)
    assert.match((await trusting.browser().ask()).set ?? "", /HttpOnly$/)
    assert.match((await trusting.browser().ask("X-Forwarded-Proto: http")).set ?? "", /HttpOnly$/)
  })

  test("are not for those who make up a cookie", async (lab) => {
    const { browser, target } = await three(lab)
    for (const forged of [target("c").origin, "AAAAAAAAAAAAAAAAAAAAAA", "", "%00"]) {
      const { set } = await browser(`lb=${forged}`).ask()
      assert.match(set ?? "", /^lb=[\w-]{22};/)
    }
  })

  test("are the same for several balancers with the same keys, and new keys take over", async (lab) => {
    const targets = await Promise.all(["a", "b", "c"].map((name) => lab.named(name)))
    const withKeys = (...names: ReadonlyArray<string>) =>
      lab.balancer(targets, { sticky: { ...sticky, keys: names.map(key) } })
    const before = new Browser(lab, await withKeys("old"))
    await before.ask()
    const { by } = await new Browser(lab, await withKeys("old"), before.cookie).ask()
    const during = new Browser(lab, await withKeys("new", "old"), before.cookie)
    const moved = await during.ask()
    assert.strictEqual(moved.by, by)
    assert.isDefined(moved.set)
    assert.notStrictEqual(during.cookie, before.cookie)
    assert.deepStrictEqual(await during.stay(3), [by])
    const after = new Browser(lab, await withKeys("new"), during.cookie)
    assert.deepStrictEqual(await after.stay(3), [by])
    assert.isDefined((await new Browser(lab, await withKeys("new"), before.cookie).ask()).set)
  })

  test("do not begin with a backend that cannot do its work", async (lab) => {
    const target = await lab.answering(message("HTTP/1.1 503 Oops", "Content-Length: 0"))
    const lb = await lab.balancer([target], { sticky })
    assert.deepStrictEqual(await new Browser(lab, lb).ask(), { by: "503", set: undefined })
  })
})
