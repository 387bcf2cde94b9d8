import { assert, describe, it } from "@effect/vitest"
import * as IpNetwork from "effect/net/IpNetwork"
import { isIn } from "../../src/services/TrustedProxies.ts"

const networks = (...texts: ReadonlyArray<string>) => texts.map((text) => IpNetwork.fromStringUnsafe(text))

describe("isIn", () => {
  it.each<readonly [string, boolean]>([
    ["10.1.2.3", true],
    ["10.255.255.255", true],
    ["11.0.0.0", false],
    ["9.255.255.255", false],
    ["192.0.2.7", true],
    ["192.0.2.8", false],
    // The same address, as a socket that listens on IPv6 reports it.
    ["::ffff:10.1.2.3", true],
    ["::ffff:0a01:0203", true],
    ["::ffff:11.1.2.3", false],
    ["fd00::1", true],
    ["fd00:0:0:0:0:0:0:1", true],
    ["FD00::1", true],
    ["fe80::1", false],
    ["::1", false],
    // What is no address is nobody we know.
    ["", false],
    ["10.1.2", false],
    ["10.1.2.3.4", false],
    ["10.1.2.256", false],
    ["010.1.2.3", false],
    ["localhost", false],
    ["10.1.2.3:8080", false],
    [" 10.1.2.3", false],
    ["unknown", false]
  ])("%s: %s", (address, trusted) => {
    assert.strictEqual(isIn(networks("10.0.0.0/8", "192.0.2.7/32", "fd00::/8"))(address), trusted)
  })

  it("knows nobody when there are no networks", () => {
    for (const address of ["127.0.0.1", "::1", "10.0.0.1"]) assert.isFalse(isIn([])(address))
  })

  it("can know everybody, of one family or both", () => {
    assert.isTrue(isIn(networks("0.0.0.0/0"))("203.0.113.9"))
    assert.isFalse(isIn(networks("0.0.0.0/0"))("2001:db8::1"))
    assert.isTrue(isIn(networks("0.0.0.0/0", "::/0"))("2001:db8::1"))
  })

  it("does not take IPv4 for IPv6, however the socket reports it", () => {
    assert.isFalse(isIn(networks("::/0"))("::ffff:203.0.113.9"))
  })
})
