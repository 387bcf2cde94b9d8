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

  it.each(["::ffff:10.0.0.0/104", "::ffff:a00:0/104", "::ffff:10.1.2.3/128"])(
    "knows the IPv4 network that %s is as IPv6",
    (network) => {
      const isTrusted = isIn(networks(network))
      assert.isTrue(isTrusted("10.1.2.3"))
      assert.isTrue(isTrusted("::ffff:10.1.2.3"))
      assert.isFalse(isTrusted("11.1.2.3"))
    }
  )

  it("knows an address of a link whatever the link", () => {
    const isTrusted = isIn(networks("fe80::/10", "10.0.0.0/8"))
    for (const address of ["fe80::1", "fe80::1%eth0", "fe80::1%3"]) assert.isTrue(isTrusted(address))
    for (const address of ["fd00::1%eth0", "10.1.2.3%eth0", "%eth0"]) assert.isFalse(isTrusted(address))
  })

  it("does not take IPv4 for IPv6, however the socket reports it", () => {
    assert.isFalse(isIn(networks("::/0"))("::ffff:203.0.113.9"))
  })
})
