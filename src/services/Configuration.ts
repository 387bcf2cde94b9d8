import type * as Duration from "effect/Duration"
import type { IpNetwork } from "effect/net/IpNetwork"
import type { Backend } from "./Backend.ts"

export interface Settings<StrategyName extends string = string> {
  readonly listen: { readonly host: string | undefined; readonly port: number }
  readonly to: ReadonlyArray<Backend>
  readonly strategy: StrategyName
  readonly health: {
    readonly path: string
    readonly interval: Duration.Duration
    readonly timeout: Duration.Duration
    readonly rise: number
    readonly fall: number
  }
  readonly timeout: {
    readonly connect: Duration.Duration
    readonly response: Duration.Duration
    readonly idle: Duration.Duration
    readonly shutdown: Duration.Duration
  }
  readonly hostHeader: "preserve" | "backend"
  readonly trustedProxies: ReadonlyArray<IpNetwork>
  readonly accessLog: "pretty" | "json" | "off" | undefined
}
