import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as IpNetwork from "effect/net/IpNetwork"
import { systemError } from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { inspect } from "node:util"
import * as Configuration from "../../src/layers/Configuration.ts"
import type { Flags } from "../../src/layers/configuration/Flags.ts"
import type { ConfigurationError } from "../../src/services/configuration/Source.ts"
import { golden } from "../golden/Golden.ts"

/** What the sources say. Files that are not here do not exist. */
interface Situation {
  readonly flags?: Flags
  readonly variables?: Readonly<Record<string, string>>
  readonly files?: Readonly<Record<string, string>>
}

const load = ({ files = {}, flags = {}, variables = {} }: Situation) =>
  Configuration.load(flags).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables)),
    Effect.provide(FileSystem.layerNoop({
      readFileString: (path) => {
        const fail = (_tag: "NotFound" | "PermissionDenied" | "BadResource", cause?: Error) =>
          Effect.fail(systemError({ _tag, module: "FileSystem", method: "readFile", pathOrDescriptor: path, cause }))
        if (path === "folder") return fail("BadResource", new Error("EISDIR: illegal operation on a directory, read"))
        const text = files[path]
        return text === undefined
          ? fail("NotFound")
          : text === "secret"
          ? fail("PermissionDenied")
          : Effect.succeed(text)
      }
    }))
  )

const problems = (situation: Situation): Effect.Effect<ReadonlyArray<string>, Configuration.Loaded> =>
  load(situation).pipe(Effect.flip, Effect.map((error: ConfigurationError) => error.problems))

const ofFile = (text: string, name = "evenkeel.yaml"): Situation => ({
  flags: { config: [name] },
  files: { [name]: text }
})

describe("Configuration.make", () => {
  it("has a default for everything", () => {
    const settings = Configuration.make()
    assert.deepStrictEqual(settings.listen, { host: undefined, port: 3000 })
    assert.deepStrictEqual(settings.to.map(({ id, origin, weight }) => `${id} ${origin} ${weight}`), [
      "http://localhost:3001 http://localhost:3001 1",
      "http://localhost:3002 http://localhost:3002 1",
      "http://localhost:3003 http://localhost:3003 1"
    ])
    assert.strictEqual(settings.strategy, "round-robin")
    assert.deepStrictEqual(settings.health, {
      kind: "http",
      path: "/",
      method: "GET",
      headers: [],
      status: [{ first: 200, last: 399 }],
      interval: Duration.seconds(5),
      timeout: Duration.seconds(2),
      rise: 2,
      fall: 1,
      initial: "checking",
      panic: 0.5
    })
    assert.deepStrictEqual(settings.timeout, {
      connect: Duration.seconds(2),
      response: Duration.seconds(15),
      idle: Duration.seconds(60),
      head: Duration.seconds(10),
      keepAlive: Duration.seconds(75),
      backendKeepAlive: Duration.seconds(4),
      backendLifetime: Duration.hours(1),
      drain: Duration.seconds(30),
      shutdown: Duration.seconds(30)
    })
    assert.strictEqual(settings.hostHeader, "preserve")
    assert.deepStrictEqual(settings.trustedProxies, [])
    assert.strictEqual(settings.accessLog, undefined)
  })

  it("takes settings as they are written in a file", () => {
    const settings = Configuration.make({
      listen: "[::1]:8080",
      to: ["http://a:1,weight=3", { url: "http://b:2", id: "b" }],
      health: { interval: "500ms" },
      trustedProxies: ["10.0.0.0/8", "::1"]
    })
    assert.deepStrictEqual(settings.listen, { host: "::1", port: 8080 })
    assert.deepStrictEqual(settings.to.map(({ id, weight }) => [id, weight]), [["http://a:1", 3], ["b", 1]])
    assert.deepStrictEqual(settings.health.interval, Duration.millis(500))
    assert.deepStrictEqual(settings.trustedProxies.map(IpNetwork.format), ["10.0.0.0/8", "::1/128"])
  })

  it("takes what is undefined for what is left out, also of a backend", () => {
    const settings = Configuration.make({
      listen: undefined,
      to: [{
        url: "http://a:1",
        id: undefined,
        weight: undefined,
        zone: undefined,
        tier: undefined,
        backup: undefined
      }],
      health: { path: undefined, interval: undefined },
      timeout: undefined,
      retry: { tries: undefined },
      sticky: { cookie: undefined }
    })
    assert.deepStrictEqual(settings, Configuration.make({ to: ["http://a:1"] }))
  })

  it("throws everything that is wrong", () => {
    const wrong = { listen: "x", health: { rise: 0, rize: 1 }, timeout: 3, colour: "red" }
    const words = (run: () => unknown): string => {
      try {
        return String(run())
      } catch (error) {
        return error instanceof Error ? error.message : String(error)
      }
    }
    // @ts-expect-error The types say so too.
    assert.deepStrictEqual(words(() => Configuration.make(wrong)).split("\n"), [
      "listen: expected an address such as :3000, 127.0.0.1:3000, localhost:3000 or [::1]:3000, got \"x\"",
      "health.rise: expected a whole number of 1 or more, got 0",
      "settings: unknown key \"health.rize\" (did you mean \"health.rise\"?)",
      "timeout: expected a group of settings, got 3",
      "settings: unknown key \"colour\""
    ])
  })
})

describe("what only code can say", () => {
  const wrongBy = (input: object): string =>
    Configuration.check(input).pipe(Result.flip, Result.getOrThrow, ({ message }) => message)

  it.each<readonly [object, string]>([
    [{ queue: { size: -1 } }, "queue.size: expected a whole number of 0 or more, got -1"],
    [{ retry: { minPerSecond: -1 } }, "retry.minPerSecond: expected a whole number of 0 or more, got -1"],
    [{ retry: { tries: NaN } }, "retry.tries: expected a whole number of 1 or more, got NaN"],
    [{ retry: { tries: Infinity } }, "retry.tries: expected a whole number of 1 or more, got Infinity"],
    [{ retry: { tries: 2n } }, "retry.tries: expected a whole number of 1 or more, got 2n"],
    [{ timeout: { response: 5n } }, "timeout.response: expected a duration such as 5s or 500ms, got 5n"],
    [
      { health: { path: new Date(0) } },
      "health.path: expected a path that begins with a slash, such as /healthz, got 1970-01-01T00:00:00.000Z"
    ]
  ])("is shown as code has it: %s", (input, message) => assert.strictEqual(wrongBy(input), message))

  it.each<readonly [object, string]>([
    [new Date(0), "Date"],
    [new Map([["to", ["http://a"]]]), "Map"],
    [new Set(["to"]), "Set"],
    [[], "[]"],
    [() => ({}), "Function"]
  ])("is no group of settings: %s", (value, found) => {
    assert.strictEqual(wrongBy(value), `settings: expected a group of settings, got ${found}`)
    assert.strictEqual(wrongBy({ health: value }), `health: expected a group of settings, got ${found}`)
  })

  it("is not shown where a secret may be in it", () => {
    const keys = new Map([["keys", ["the secret"]]])
    assert.strictEqual(wrongBy({ sticky: keys }), "sticky: expected a group of settings, got Map")
  })

  it("may be an object of a class, or of no class", () => {
    class Health {
      readonly rise = 4
    }
    const bare: object = Object.assign(Object.create(null), { fall: 3 })
    assert.strictEqual(Configuration.make({ health: new Health() }).health.rise, 4)
    assert.strictEqual(Configuration.make({ health: bare }).health.fall, 3)
  })
})

describe("the strategy where none is given", () => {
  const backends = (n: number) => Array.from({ length: n }, (_, i) => `http://a${i}`)

  it.each(
    [[1, "least-requests"], [2, "least-requests"], [3, "peak-ewma"], [9, "peak-ewma"]] as const
  )("goes by the number of backends that are: %i", (n, strategy) => {
    assert.strictEqual(Configuration.make({ to: backends(n) }).strategy, strategy)
    assert.strictEqual(Configuration.make({ to: backends(n), strategy: "random" }).strategy, "random")
  })

  it.effect("is round-robin over the backends of the quickstart, and goes by the number from any source", () =>
    Effect.gen(function*() {
      const chosen = (situation: Situation) => Effect.map(load(situation), ({ settings }) => settings.strategy)
      assert.strictEqual(yield* chosen({ flags: { listen: [":1"] } }), "round-robin")
      assert.strictEqual(yield* chosen({ flags: { to: backends(3) } }), "peak-ewma")
      assert.strictEqual(yield* chosen({ variables: { EVENKEEL_TO: "http://a http://b" } }), "least-requests")
      assert.strictEqual(
        yield* chosen({ flags: { to: backends(3) }, variables: { EVENKEEL_STRATEGY: "first" } }),
        "first"
      )
    }))
})

describe("precedence", () => {
  const sources = ["flag", "variable", "file"] as const

  it.effect.each([0, 1, 2, 3, 4, 5, 6, 7])(
    "is flags, environment, file, default, whichever there are (%i)",
    (bits) =>
      Effect.gen(function*() {
        const given = sources.filter((_, i) => (bits >> i) % 2 === 1)
        const has = (source: typeof sources[number]) => given.includes(source)
        const { settings } = yield* load({
          flags: { "config": ["f.yaml"], ...(has("flag") ? { "health-path": ["/flag"] } : {}) },
          variables: has("variable") ? { EVENKEEL_HEALTH_PATH: "/variable" } : {},
          files: { "f.yaml": has("file") ? "health: { path: /file, rise: 9 }" : "health: { rise: 9 }" }
        })
        assert.strictEqual(settings.health.path, `/${given[0] ?? ""}`)
        assert.strictEqual(settings.health.rise, 9)
      })
  )

  it.effect("lets each source set what the others do not, and replaces lists as a whole", () =>
    Effect.gen(function*() {
      const { settings } = yield* load({
        flags: { "config": ["f.json"], "to": ["http://flag:1", "http://flag:2"] },
        variables: { EVENKEEL_TO: "http://variable:1", EVENKEEL_HEALTH_FALL: "4" },
        files: {
          "f.json": "{\"to\": [\"http://file:1\"], \"health\": {\"rise\": 3, \"fall\": 3}, \"hostHeader\": \"backend\"}"
        }
      })
      assert.deepStrictEqual(settings.to.map(({ origin }) => origin), ["http://flag:1", "http://flag:2"])
      assert.deepStrictEqual([settings.health.rise, settings.health.fall], [3, 4])
      assert.strictEqual(settings.hostHeader, "backend")
    }))

  it.effect("lets PORT stand for the address, below EVENKEEL_LISTEN and --listen, above the file", () =>
    Effect.gen(function*() {
      const port = (situation: Situation) => Effect.map(load(situation), ({ settings }) => settings.listen.port)
      const file = ofFile("listen: 1")
      assert.strictEqual(yield* port({ ...file, variables: { PORT: "2" } }), 2)
      assert.strictEqual(yield* port({ ...file, variables: { PORT: "2", EVENKEEL_LISTEN: ":3" } }), 3)
      assert.strictEqual(yield* port({ flags: { listen: ["4"] }, variables: { PORT: "no port" } }), 4)
      assert.strictEqual(yield* port({ variables: { PORT: "" } }), 3000)
    }))

  it.effect("finds the file by the flag before the variable", () =>
    Effect.gen(function*() {
      const files = { a: "listen: 1", b: "listen: 2" }
      const port = (situation: Situation) => Effect.map(load(situation), ({ settings }) => settings.listen.port)
      assert.strictEqual(yield* port({ files, variables: { EVENKEEL_CONFIG: "b" } }), 2)
      assert.strictEqual(yield* port({ files, flags: { config: ["a"] }, variables: { EVENKEEL_CONFIG: "b" } }), 1)
    }))
})

describe("every setting", () => {
  const examples: Readonly<Record<string, readonly [text: string, yaml: string]>> = {
    "listen": ["127.0.0.1:81", "127.0.0.1:81"],
    "to": ["http://a:1 http://b:2,weight=2", "[http://a:1, { url: http://b:2, weight: 2 }]"],
    "strategy": ["random", "random"],
    "zone": ["eu-1a", "eu-1a"],
    "hash.key": ["cookie:user", "cookie:user"],
    "hash.balanceFactor": ["150%", "150"],
    "sticky.cookie": ["lb", "lb"],
    "sticky.keys": [
      "the-new-key-0123456789 the-old-key-0123456789",
      "[the-new-key-0123456789, the-old-key-0123456789]"
    ],
    "sticky.maxAge": ["30d", "30d"],
    "sticky.path": ["/shop", "/shop"],
    "sticky.sameSite": ["strict", "strict"],
    "health.kind": ["tcp", "tcp"],
    "health.path": ["/up", "/up"],
    "health.method": ["HEAD", "HEAD"],
    "health.headers": ["X-Check: very deep\nX-Other:1", "['X-Check: very deep', 'X-Other:1']"],
    "health.host": ["example.com:80", "example.com:80"],
    "health.status": ["200", "200"],
    "health.body": ["all is well", "all is well"],
    "health.address": ["::1", "'::1'"],
    "health.port": ["9000", "9000"],
    "health.interval": ["7s", "7s"],
    "health.timeout": ["800ms", "800ms"],
    "health.rise": ["3", "3"],
    "health.fall": ["4", "4"],
    "health.panic": ["0%", "0%"],
    "ejection.failures": ["7", "7"],
    "ejection.successRate": ["90%", "90%"],
    "ejection.volume": ["100", "100"],
    "ejection.time": ["30s", "30s"],
    "ejection.maxTime": ["1h", "1h"],
    "ejection.maxShare": ["10%", "10%"],
    "slowStart.duration": ["30s", "30s"],
    "slowStart.from": ["25%", "25%"],
    "slowStart.aggression": ["1.5", "1.5"],
    "subset.size": ["20", "20"],
    "subset.id": ["balancer-7", "balancer-7"],
    "queue.size": ["0", "0"],
    "queue.timeout": ["5s", "5s"],
    "queue.order": ["newest", "newest"],
    "limit.inFlight": ["5000", "5000"],
    "limit.inFlightPerBackend": ["100", "100"],
    "limit.adaptive": ["gradient", "gradient"],
    "health.initial": ["down", "down"],
    "timeout.connect": ["1s", "1s"],
    "timeout.response": ["1m", "1m"],
    "timeout.idle": ["2m", "2m"],
    "timeout.try": ["3s", "3s"],
    "timeout.exchange": ["20s", "20s"],
    "retry.tries": ["3", "3"],
    "retry.on": ["connect_failed overloaded", "[connect_failed, overloaded]"],
    "retry.statuses": ["503 429", "[503, 429]"],
    "retry.methods": ["GET", "[GET]"],
    "retry.bodyLimit": ["1MiB", "1048576"],
    "retry.backoff": ["5ms", "5ms"],
    "retry.maxWait": ["5s", "5s"],
    "retry.budget": ["5%", "5%"],
    "retry.minPerSecond": ["0", "0"],
    "hedge.after": ["95%", "95%"],
    "hedge.budget": ["1%", "1%"],
    "timeout.head": ["3s", "3s"],
    "timeout.keepAlive": ["30s", "30s"],
    "timeout.backendKeepAlive": ["1s", "1s"],
    "timeout.backendLifetime": ["10m", "10m"],
    "limit.head": ["32k", "32768"],
    "limit.fields": ["50", "50"],
    "limit.target": ["4KiB", "4KiB"],
    "limit.body": ["1MB", "1048576"],
    "limit.connections": ["1000", "1000"],
    "limit.connectionsPerClient": ["10", "10"],
    "limit.connectionsPerBackend": ["64", "64"],
    "engine": ["node", "node"],
    "timeout.drain": ["1m", "1m"],
    "timeout.shutdown": ["5 seconds", "5 seconds"],
    "hostHeader": ["backend", "backend"],
    "trustedProxies": ["10.0.0.0/8 ::1", "[10.0.0.0/8, \"::1\"]"],
    "accessLog": ["off", "off"]
  }

  it.effect.each(Configuration.options)(
    "can be given by all three sources alike: $key",
    ({ flag, key, path, variable }) =>
      Effect.gen(function*() {
        const [text, yaml] = examples[key]!
        const file = path.map((name, i) => `${"  ".repeat(i)}${name}:`).join("\n") + ` ${yaml}\n`
        const byFlag = yield* load({ flags: { [flag]: [text] } })
        assert.notDeepEqual(byFlag.settings, Configuration.make())
        assert.deepStrictEqual(yield* load({ variables: { [variable]: text } }), byFlag)
        assert.deepStrictEqual(yield* load(ofFile(file)), byFlag)
      })
  )
})

describe("a secret", () => {
  const secret = "0123456789-correct-horse"

  it.effect("is not in what is said to be wrong with it, whoever said it", () =>
    Effect.gen(function*() {
      const short = "battery-staple"
      assert.deepStrictEqual(
        yield* problems({
          variables: { EVENKEEL_STICKY_KEYS: `${secret} ${short}` },
          ...ofFile(`sticky:\n  keys: ${secret}\n`)
        }),
        [
          "EVENKEEL_STICKY_KEYS: expected a key of 16 characters or more, without spaces",
          "evenkeel.yaml:2:9: sticky.keys: expected a list"
        ]
      )
      const inFile = yield* problems(ofFile(`sticky: { keys: [${short}, { key: ${secret} }, 12345] }\n`))
      assert.strictEqual(inFile.length, 3)
      assert.notMatch(inFile.join(), /battery|horse|12345/)
    }))

  it.effect("is not in what is said of the header fields of checks, which may have a password", () =>
    Effect.gen(function*() {
      const wrong = ["Authorization Bearer battery-staple", "Host: correct-horse"]
      const lines = [
        ...(yield* problems({ flags: { "health-headers": wrong } })),
        ...(yield* problems({ variables: { EVENKEEL_HEALTH_HEADERS: wrong.join("\n") } })),
        ...(yield* problems(ofFile(`health:\n  headers: ${JSON.stringify(wrong)}\n`)))
      ]
      assert.strictEqual(lines.length, 6)
      assert.notMatch(lines.join(), /battery|horse/)
    }))

  it.effect.each(["*", "!", "@", "\"\\q", "{"])(
    "is not in what is said of a file that cannot be read: %s",
    (before) =>
      Effect.gen(function*() {
        const lines = yield* problems(ofFile(`sticky:\n  keys: [${before}${secret}]\n`))
        assert.isNotEmpty(lines)
        assert.notInclude(lines.join(), "horse")
      })
  )

  it.effect("is not in what is made of the settings", () =>
    Effect.gen(function*() {
      const { settings } = yield* load({ variables: { EVENKEEL_STICKY_KEYS: secret } })
      assert.deepStrictEqual(settings.sticky.keys.map(Redacted.value), [secret])
      for (const text of [JSON.stringify(settings), String(settings.sticky.keys), inspect(settings, { depth: 9 })]) {
        assert.notInclude(text, "horse")
      }
    }))
})

describe("what is wrong", () => {
  it.effect("with flags and the environment is said all at once", () =>
    Effect.gen(function*() {
      const lines = yield* problems({
        flags: {
          "listen": ["localhost"],
          "to": ["http://a:1 http://a:1/", "http://user:secret@b:1"],
          "strategy": ["random", "rond-robin"],
          "health-path": ["healthz"],
          "health-interval": ["abc"],
          "health-timeout": ["0s"],
          "health-rise": [""],
          "timeout-idle": ["1000h"],
          "trusted-proxies": ["10.0.0.1/8"],
          "config": ["a.yaml", "b.yaml"]
        },
        variables: {
          PORT: "http",
          EVENKEEL_TO: "http://a:1 localhost:3001 http://b:1,wight=3 http://c:1/path",
          EVENKEEL_STRATEGY: "rond-robin",
          EVENKEEL_HOST_HEADER: "keep",
          EVENKEEL_ACCESS_LOG: "jason",
          EVENKEEL_HEALTH_FALL: "1.5"
        }
      })
      assert.deepStrictEqual(lines, golden("configuration/texts.txt"))
    }))

  it.effect("is a share that would mean nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* problems({
          flags: { "config": ["f.yaml"], "hedge-after": ["100%"], "slow-start-from": ["0%"] },
          variables: { EVENKEEL_HEDGE_BUDGET: "0 %" },
          files: { "f.yaml": "hedge: { after: 0% }" }
        }),
        [
          "--slow-start-from: expected a share above 0%, such as 10%, got \"0%\" (did you mean \"1%\"?)",
          "--hedge-after: expected a share above 0% and below 100%, such as 95%, got \"100%\" (did you mean \"99%\"?)",
          "EVENKEEL_HEDGE_BUDGET: expected a share above 0%, such as 2%, or no hedge.after where nothing is to be hedged, " +
          "got \"0 %\" (did you mean \"1%\"?)",
          "f.yaml:1:17: hedge.after: expected a share above 0% and below 100%, such as 95%, " +
          "got \"0%\" (did you mean \"95%\"?)"
        ]
      )
      const { settings } = yield* load(ofFile("{ hedge: { after: 99.9%, budget: 100% }, slowStart: { from: 100% } }"))
      assert.deepStrictEqual(settings.hedge, { after: 0.9990000000000001, budget: 1 })
    }))

  it.effect.each<readonly [where: string, given: Parameters<typeof problems>[0]]>([
    ["--", {
      flags: {
        "health-interval": ["5"],
        "timeout-idle": ["1500"],
        "retry-backoff": ["0.5"],
        "ejection-max-share": ["0"],
        "slow-start-from": ["0"],
        "hedge-after": ["0.95"]
      }
    }],
    ["EVENKEEL_", {
      variables: {
        EVENKEEL_HEALTH_INTERVAL: "5",
        EVENKEEL_TIMEOUT_IDLE: "1500",
        EVENKEEL_RETRY_BACKOFF: "0.5",
        EVENKEEL_EJECTION_MAX_SHARE: "0",
        EVENKEEL_SLOW_START_FROM: "0",
        EVENKEEL_HEDGE_AFTER: "0.95"
      }
    }],
    ["f.yaml", {
      flags: { "config": ["f.yaml"] },
      files: {
        "f.yaml": "{ health: { interval: 5 }, timeout: { idle: 1500 }, retry: { backoff: 0.5 }, " +
          "ejection: { maxShare: 0 }, slowStart: { from: 0 }, hedge: { after: 0.95 } }"
      }
    }]
  ])("is a bare number where a unit is needed, which is suggested by %s", ([where, given]) =>
    Effect.gen(function*() {
      const lines = yield* problems(given)
      const said = lines.map((line) => /, got "?([\d.]+)"?(?: \(did you mean "(.+)"\?\))?$/.exec(line)?.slice(1))
      // 1500 of a second would be rather long.
      assert.sameDeepMembers(said, [
        ["5", "5s"],
        ["1500", "1500ms"],
        ["0.5", "0.5s"],
        ["0", "0%"],
        ["0", "1%"],
        ["0.95", "95%"]
      ])
      for (const line of lines) assert.isTrue(line.startsWith(where), line)
    }))

  it.effect("is a bare number of which no unit makes anything", () =>
    Effect.gen(function*() {
      const flags = { "health-interval": ["0"], "timeout-idle": ["99999999999"], "hedge-after": ["150"] }
      assert.sameMembers([...yield* problems({ flags })], [
        "--hedge-after: expected a share above 0% and below 100%, such as 95%, got \"150\"",
        "--health-interval: expected a duration such as 5s or 500ms, got \"0\"",
        "--timeout-idle: expected a duration such as 5s or 500ms, got \"99999999999\""
      ])
    }))

  it.effect("in a file is said with line and column", () =>
    Effect.gen(function*() {
      const file = golden("configuration/wrong.yaml").join("\n")
      assert.deepStrictEqual(yield* problems(ofFile(file)), golden("configuration/wrong.txt"))
    }))

  it.effect("of a field of a backend is said with what is expected there", () =>
    Effect.gen(function*() {
      const file =
        "to: [{ url: 'http://a', weight: '3' }, { url: 'http://b', zone: 3 }, { url: 'http://c', backup: yes }]"
      assert.deepStrictEqual(yield* problems(ofFile(file)), [
        "evenkeel.yaml:1:33: to[0].weight: expected a whole number from 1 to 1000, got \"3\"",
        "evenkeel.yaml:1:65: to[1].zone: expected a name of letters, digits and . _ - : /, got 3",
        "evenkeel.yaml:1:97: to[2].backup: expected true or false, got \"yes\""
      ])
      // Options are part of the text, not of the URL.
      const [line] = yield* problems(ofFile("to: [{ url: 'http://a,weight=3' }]"))
      assert.match(line ?? "", /^evenkeel\.yaml:1:6: to\[0\]: expected an http:\/\/ or https:\/\/ URL/)
      const [number] = yield* problems(ofFile("to: [{ url: 3001 }]"))
      assert.match(number ?? "", /^evenkeel\.yaml:1:13: to\[0\]\.url: expected an http:\/\/ .*, got 3001$/)
    }))

  it.effect("of two backends that are one is said without what is there", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problems({ flags: { to: ["http://a http://a/"] } }), [
        "--to: http://a is there twice"
      ])
    }))

  it.effect("is a cookie's name or path that would end before its end", () =>
    Effect.gen(function*() {
      for (const name of ["", "a b", "a=b", "a;b", "a\r\nb", "\u00e4"]) {
        assert.lengthOf(yield* problems({ flags: { "sticky-cookie": [name] } }), 1, name)
      }
      for (const path of ["", "shop", "/a;b", "/a b", "/a\r\nb", "/\u00e4"]) {
        assert.lengthOf(yield* problems({ flags: { "sticky-path": [path] } }), 1, path)
      }
    }))

  it.effect("is told with what was meant, if that can be known", () =>
    Effect.gen(function*() {
      const meant = (situation: Situation) =>
        Effect.map(problems(situation), (lines) => lines.map((line) => /\(did you mean "(.*)"\?\)$/.exec(line)?.[1]))
      const keys = ["heder:X-User", "quer", "header", "client:x", "ip"]
      for (const [i, expected] of ["header:X-User", "query", undefined, "client", undefined].entries()) {
        assert.deepStrictEqual(yield* meant({ flags: { "hash-key": [keys[i]!] } }), [expected], keys[i])
      }
      const to = ["http://a,wight=3 http://b,backups http://c,colour=red"]
      assert.deepStrictEqual(yield* meant({ flags: { to } }), [",weight=3", ",backup", undefined])
      // A key may be one of another group, and one of a letter is none.
      assert.deepStrictEqual(yield* meant(ofFile("{ timeout: { interval: 1s }, x: 1 }")), [
        "health.interval",
        undefined
      ])
    }))

  it.effect("is not that there is space around what a list has", () =>
    Effect.gen(function*() {
      const variables = {
        EVENKEEL_TO: " http://a  http://b\n",
        EVENKEEL_HEALTH_HEADERS: "X-A: 1\n \r\n X-B: 2 \n"
      }
      const { settings } = yield* load({ variables })
      assert.deepStrictEqual(settings.to.map(({ origin }) => origin), ["http://a", "http://b"])
      assert.deepStrictEqual(settings.health.headers, [{ name: "X-A", value: "1" }, { name: "X-B", value: "2" }])
    }))

  it.effect("is said also of a value that another source overrides", () =>
    Effect.gen(function*() {
      const lines = yield* problems({
        flags: { "config": ["f.yaml"], "health-interval": ["1s"] },
        files: { "f.yaml": "health: { interval: soon }" }
      })
      assert.deepStrictEqual(lines, [
        "f.yaml:1:21: health.interval: expected a duration such as 5s or 500ms, got \"soon\""
      ])
    }))

  it.effect.each(
    [
      ["", "--config: expected the name of a file, got \"\""],
      ["no.yaml", "no.yaml: there is no such file (named by --config)"],
      ["locked.yaml", "locked.yaml: no permission to read it (named by --config)"],
      ["folder", "folder: it cannot be read: EISDIR: illegal operation on a directory, read (named by --config)"],
      ["list.yaml", "list.yaml:1:1: expected a group of settings, got [1]"],
      ["twice.yaml", "twice.yaml:2:1: not valid YAML: Map keys must be unique"],
      ["flow.yaml", "flow.yaml:1:14: not valid YAML: Unexpected scalar at node end"],
      ["two.yaml", "two.yaml:2:1: more than one document"],
      ["tag.yaml", "tag.yaml:1:9: not valid YAML: Unresolved tag"],
      [
        "alias.yaml",
        "alias.yaml: not valid YAML: Unresolved alias (the anchor must be set before the alias)"
      ],
      ["open.json", "open.json:2:1: not valid JSON: Flow map must end with a }"]
    ] as const
  )("with a whole file is said in one line: %s", ([name, line]) =>
    Effect.gen(function*() {
      const files = {
        "locked.yaml": "secret",
        "list.yaml": "- 1",
        "twice.yaml": "listen: 1\nlisten: 2",
        "flow.yaml": "listen: [::1]:80",
        "two.yaml": "listen: 1\n---\nlisten: 2",
        "tag.yaml": "listen: !port 1",
        "alias.yaml": "listen: *port",
        "open.json": "{ \"listen\": 1\n"
      }
      assert.deepStrictEqual(yield* problems({ flags: { config: [name] }, files }), [line])
    }))

  it.effect("with a file that is none at all is said ten times, and how often else", () =>
    Effect.gen(function*() {
      const lines = yield* problems(ofFile("a: [\n".repeat(3) + "%\n]: }\n".repeat(50)))
      assert.lengthOf(lines, 11)
      assert.match(lines.at(-1) ?? "", /^evenkeel\.yaml: and \d+ more$/)
    }))

  it.effect("with the file named by the environment is said to be named by it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problems({ variables: { EVENKEEL_CONFIG: "no.yaml" } }), [
        "no.yaml: there is no such file (named by EVENKEEL_CONFIG)"
      ])
    }))
})

describe("settings that do nothing as things are", () => {
  const warningsOf = (text: string) => Effect.map(load(ofFile(text)), ({ warnings }) => warnings)

  it.effect("are worth a warning, if somebody has set them", () =>
    Effect.gen(function*() {
      const text = "{ subset: { id: a }, slowStart: { from: 20% }, hedge: { budget: 5% }, " +
        "sticky: { maxAge: 1h }, health: { kind: tcp, path: /healthz } }"
      assert.deepStrictEqual(yield* warningsOf(text), [
        "subset.id has no effect without subset.size",
        "slowStart.from has no effect without slowStart.duration",
        "hedge.budget has no effect without hedge.after",
        "sticky.maxAge has no effect without sticky.cookie",
        "health.path has no effect with health.kind tcp"
      ])
      assert.deepStrictEqual(yield* warningsOf("health: { kind: off, interval: 1s, status: 200 }"), [
        "health.interval has no effect with health.kind off",
        "health.status has no effect with health.kind off"
      ])
      assert.deepStrictEqual(
        yield* warningsOf(
          "{ engine: node, limit: { fields: 100 }, queue: { size: 0, timeout: 5s }, ejection: { maxShare: 0%, failures: 3 } }"
        ),
        [
          "limit.fields has no effect with engine node",
          "queue.timeout has no effect with queue.size 0",
          "ejection.failures has no effect with ejection.maxShare 0%"
        ]
      )
      const once = "{ tries: 1, bodyLimit: 1KiB, budget: 50%, minPerSecond: 10, statuses: [503] }"
      assert.deepStrictEqual(yield* warningsOf(`retry: ${once}`), [
        "retry.bodyLimit has no effect with retry.tries 1",
        "retry.budget has no effect with retry.tries 1",
        "retry.minPerSecond has no effect with retry.tries 1",
        "retry.statuses has no effect with retry.tries 1, without hedge.after"
      ])
    }))

  it.effect("are worth none where they have an effect, or nobody has set them", () =>
    Effect.gen(function*() {
      const text = "{ subset: { id: a, size: 2 }, slowStart: { from: 20%, duration: 10s }, " +
        "hedge: { after: 95%, budget: 5% }, sticky: { maxAge: 1h, cookie: lb }, health: { path: /healthz } }"
      const once = "{ retry: { tries: 1, on: [connect_failed], methods: [GET] }, hedge: { after: 95% } }"
      const tcp = "{ health: { kind: tcp, interval: 1s }, retry: { statuses: [503] } }"
      for (const some of [text, once, "health: { kind: off }", tcp]) {
        assert.deepStrictEqual(yield* warningsOf(some), [])
      }
    }))
})

describe("settings that contradict each other", () => {
  it.effect("are problems where one can never be kept, and warnings where room is short", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const texts = [
        "timeout: { try: 20s, exchange: 10s }",
        "timeout: { try: 10s, exchange: 10s }",
        "timeout: { try: 2s }",
        "timeout: { try: 2s, connect: 2s }",
        "timeout: { connect: 2s, try: 1s, exchange: 1500ms }",
        "timeout: { try: 500ms, exchange: 1s }",
        "timeout: { exchange: 1s }",
        "timeout: { exchange: 1s, connect: 1s }",
        "timeout: { exchange: 10s }",
        "timeout: { exchange: 10s, response: 10s }",
        "{ timeout: { exchange: 10s }, retry: { tries: 3 } }",
        "{ timeout: { exchange: 10s, response: 10s }, retry: { tries: 1 } }",
        "timeout: { exchange: 20s }",
        "timeout: { exchange: 20s, response: 15s }",
        "timeout: { try: 3s, exchange: 6s }",
        "{ timeout: { try: 3s, exchange: 6s }, retry: { backoff: 25ms } }",
        "{ timeout: { try: 3s, exchange: 6025ms }, retry: { backoff: 25ms } }",
        "{ timeout: { try: 3s, exchange: 10s }, retry: { tries: 3, backoff: 500ms } }",
        // 1 + 2 + 4 + 8 + 10 waits of 100 ms.
        "{ timeout: { try: 1s, exchange: 8500ms }, retry: { tries: 6, backoff: 100ms } }",
        "{ timeout: { try: 1s, exchange: 8499ms }, retry: { tries: 6, backoff: 100ms } }",
        "{ queue: { timeout: 5s }, timeout: { exchange: 3s } }",
        "{ queue: { timeout: 3s }, timeout: { exchange: 3s } }",
        "timeout: { response: 5s, try: 5s }",
        "timeout: { response: 6s, try: 5s }",
        "timeout: { response: 6s, exchange: 5s }",
        "{ timeout: { response: 6s, exchange: 5s }, retry: { tries: 1 } }",
        "{ retry: { maxWait: 5s }, timeout: { exchange: 5s } }",
        "{ retry: { maxWait: 6s }, timeout: { exchange: 5s } }",
        "health: { timeout: 15s }",
        "health: { timeout: 30s }",
        "health: { timeout: 30s, kind: tcp }",
        "{ health: { timeout: 3s }, timeout: { response: 2s } }",
        "timeout: { response: 1s }",
        "timeout: { exchange: 500ms }",
        "retry: { budget: 0%, minPerSecond: 0 }",
        "retry: { budget: 0% }",
        "retry: { minPerSecond: 0 }",
        "retry: { budget: 0%, minPerSecond: 0, tries: 1 }"
      ]
      for (const text of texts) {
        const result = yield* Effect.result(load(ofFile(text)))
        lines.push(text)
        if (Result.isFailure(result)) lines.push(...result.failure.problems.map((problem) => `  error: ${problem}`))
        else lines.push(...result.success.warnings.map((warning) => `  warning: ${warning}`))
      }
      assert.deepStrictEqual(lines, golden("configuration/consistency.txt"))
    }))

  it.effect("are named by where each of them comes from", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* problems({
          flags: { "config": ["a.yaml"], "timeout-try": ["20s"] },
          files: { "a.yaml": "timeout:\n  exchange: 10s\n  connect: 25s\n" }
        }),
        [
          "--timeout-try: 20s is longer than timeout.exchange (10s, a.yaml:2:13), which ends every try before",
          "a.yaml:3:12: timeout.connect: 25s is not shorter than timeout.try (20s, --timeout-try), " +
          "so that nobody would know whether anything was sent; set it to less"
        ]
      )
      const { warnings } = yield* load({
        flags: { "timeout-exchange": ["10s"] },
        variables: { EVENKEEL_TIMEOUT_TRY: "9s" }
      })
      assert.deepStrictEqual(warnings, [
        "timeout.exchange (10s, --timeout-exchange) is shorter than 2 tries of timeout.try (9s, EVENKEEL_TIMEOUT_TRY), " +
        "so that the last one may be cut short"
      ])
    }))

  it("are found at once, however many tries there may be", () => {
    const { warnings } = Result.getOrThrow(Configuration.check({
      timeout: { try: "1s", exchange: "2s" },
      retry: { tries: Number.MAX_SAFE_INTEGER, backoff: "1ms" }
    }))
    assert.strictEqual(warnings.length, 1)
    assert.match(warnings[0]!, /shorter than 9007199254740991 tries of timeout\.try \(1s\) with the waits between them/)
  })

  it.effect("are told apart from what is odd about settings however they were given", () =>
    Effect.gen(function*() {
      const to = [{ url: "http://a", weight: 3 }, "http://b"]
      const settings = Configuration.make({ to, strategy: "round-robin", queue: { size: 0, timeout: "2s" } })
      const [line = "", ...more] = yield* Configuration.oddities(settings)
      assert.deepStrictEqual(more, [])
      assert.match(line, /^The strategy round-robin ignores weights; these honour them: weighted-round-robin, /)
    }))

  it.effect("are told of a load balancer that is its own backend", () =>
    Effect.gen(function*() {
      const own = Effect.fnUntraced(function*(listen: string, ...to: ReadonlyArray<string>) {
        const lines = yield* Configuration.oddities(Configuration.make({ listen, to }))
        return lines.map((line) => line.replace(/ is where this load balancer listens, .*$/, ""))
      })
      const local = ["http://localhost:81", "http://127.0.0.1:81", "http://[::1]:81"]
      assert.deepStrictEqual(yield* own(":81", ...local, "http://a:81", "http://localhost:82"), local)
      assert.deepStrictEqual(yield* own("localhost:81", ...local), local)
      assert.deepStrictEqual(yield* own("0.0.0.0:81", ...local, "https://localhost:81"), local.slice(0, 2))
      assert.deepStrictEqual(yield* own("[::1]:81", ...local), [local[0], local[2]])
      assert.deepStrictEqual(yield* own("10.0.0.1:80", "http://10.0.0.1", "http://10.0.0.2"), ["http://10.0.0.1"])
      assert.deepStrictEqual(yield* own("a:81", "unix:/run/app.sock", ...local), [])
    }))

  it("are thrown by make", () => {
    assert.throws(
      () => Configuration.make({ timeout: { try: "1s", connect: "1s" } }),
      /^timeout\.connect: 1s is not shorter than timeout\.try \(1s\), so that/
    )
  })

  it("are not what nobody has set: by default a connection takes half of a short limit at the most", () => {
    const connect = (timeout: NonNullable<Parameters<typeof Configuration.make>[0]>["timeout"]) =>
      Duration.toMillis(Configuration.make({ timeout: timeout ?? {} }).timeout.connect)
    assert.strictEqual(connect({ try: "1s" }), 500)
    assert.strictEqual(connect({ exchange: "3s" }), 1_500)
    assert.strictEqual(connect({ try: "1s", exchange: "3s" }), 500)
    assert.strictEqual(connect({ exchange: "10s" }), 2_000)
    assert.strictEqual(connect({ try: "1s", connect: "900ms" }), 900)
  })

  it("are not what nobody has set: by default the wait for room takes half of a short exchange at the most", () => {
    const wait = (settings: Parameters<typeof Configuration.make>[0]) =>
      Duration.toMillis(Configuration.make(settings).queue.timeout)
    assert.strictEqual(wait({ timeout: { exchange: "800ms" } }), 400)
    assert.strictEqual(wait({ timeout: { exchange: "3s" } }), 1_000)
    assert.strictEqual(wait({ timeout: { try: "800ms" } }), 1_000)
    assert.strictEqual(wait({ timeout: { exchange: "800ms" }, queue: { timeout: "700ms" } }), 700)
  })

  it("are not what nobody has set: of the first ejection and the longest, a default follows the other", () => {
    const times = (ejection: NonNullable<Parameters<typeof Configuration.make>[0]>["ejection"]) => {
      const { maxTime, time } = Configuration.make({ ejection: ejection ?? {} }).ejection
      return [Duration.toSeconds(time), Duration.toSeconds(maxTime)]
    }
    assert.deepStrictEqual(times({ time: "600s" }), [600, 600])
    assert.deepStrictEqual(times({ maxTime: "5s" }), [5, 5])
    assert.deepStrictEqual(times({ time: "1s" }), [1, 300])
    assert.throws(
      () => Configuration.make({ ejection: { time: "10s", maxTime: "5s" } }),
      /^ejection\.time: 10s is longer than ejection\.maxTime \(5s\), the longest of all ejections/
    )
  })
})

describe("a file", () => {
  it.effect.each(["", "# nothing but this\n", "{}", "\ufeff{}"])("may be empty: %j", (text) =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* load(ofFile(text))).settings, Configuration.make())
    }))

  it.effect("may be JSON with tabs", () =>
    Effect.gen(function*() {
      const { settings } = yield* load(
        ofFile("{\n\t\"listen\": \":80\",\n\t\"health\": {\n\t\t\"rise\": 3\n\t}\n}\n", "a.json")
      )
      assert.deepStrictEqual([settings.listen.port, settings.health.rise], [80, 3])
    }))
})

describe("an unknown variable", () => {
  it.effect("is a warning, with the one that was probably meant", () =>
    Effect.gen(function*() {
      const { warnings } = yield* load({
        variables: {
          EVENKEEL_HELTH_PATH: "/up",
          EVENKEEL_SERVICE_HOST: "10.0.0.1",
          EVENKEEL_TO_0: "http://a:1",
          EVENKEEL_CONFIG: "",
          EVENKEEL_COLOUR: "red",
          EVENKEELS: "x",
          PATH: "/bin"
        }
      })
      assert.deepStrictEqual([...warnings].sort(), [
        "EVENKEEL_COLOUR: unknown environment variable, ignored",
        "EVENKEEL_HELTH_PATH: unknown environment variable, ignored (did you mean \"EVENKEEL_HEALTH_PATH\"?)",
        "EVENKEEL_SERVICE_HOST: unknown environment variable, ignored",
        "EVENKEEL_TO_0: unknown environment variable, ignored"
      ])
    }))
})
