/** The pools of a client, one for each origin: made when they are first needed, and dropped when nothing is in them. */
import type { ConnectionPool } from "./ConnectionPool.ts"

export class Pools {
  private readonly pools = new Map<string, ConnectionPool>()
  private sweepAt = 0
  private readonly make: (origin: string) => ConnectionPool | undefined

  constructor(make: (origin: string) => ConnectionPool | undefined) {
    this.make = make
  }

  of(origin: string): ConnectionPool | undefined {
    const known = this.pools.get(origin)
    if (known !== undefined) return known
    if (this.pools.size >= this.sweepAt) this.sweep()
    const pool = this.make(origin)
    if (pool !== undefined) this.pools.set(origin, pool)
    return pool
  }

  private sweep(): void {
    for (const [origin, pool] of this.pools) if (pool.isEmpty) this.pools.delete(origin)
    // So that a look at all is paid for by as many that are new.
    this.sweepAt = 2 * this.pools.size
  }

  close(): void {
    for (const pool of this.pools.values()) pool.close()
  }
}
