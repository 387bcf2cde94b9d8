/** Which addresses are proxies of our own, whose word about the client is believed. */
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"

const unmapped = (address: NetAddress.IpAddress): NetAddress.IpAddress =>
  NetAddress.isIpv6Address(address) ? Option.getOrElse(NetAddress.fromIpv4Mapped(address), () => address) : address

/** Whether an address is in one of the networks. An IPv4 address is the same one when it is written as IPv6. */
export const isIn = (networks: ReadonlyArray<IpNetwork.IpNetwork>): (address: string) => boolean => {
  if (networks.length === 0) return () => false
  return (text) => {
    const parsed = NetAddress.ipFromString(text)
    if (Result.isFailure(parsed)) return false
    const address = unmapped(parsed.success)
    return networks.some((network) => IpNetwork.contains(network, address))
  }
}
