/** One measurement: a fresh process, one case, its figures. */
import { setTimeout } from "node:timers/promises"
import { freePort } from "../FreePort.ts"
import type { Candidate } from "./candidates/Candidate.ts"
import { connections, idleBatch, idleClients, idleWork, runLimit, tiny, type Traffic } from "./Cases.ts"
import { Load } from "./Load.ts"
import { cpuTime, folder, memory, onProxyCore, start } from "./Processes.ts"

/** How long a process gets to give back memory, in milliseconds. */
const settling = 500

/** What is measured, by name. */
export interface Figures {
  /** CPU time of the whole proxy process for each request, in microseconds. */
  readonly cpu?: number
  readonly requestsPerSecond?: number
  /** In milliseconds. */
  readonly p50?: number
  readonly p99?: number
  /** Resident memory for each idle client, in bytes. */
  readonly memory?: number
}

/** The load without a proxy: what the others cannot exceed. */
export const direct = async (port: number, traffic: Traffic): Promise<Figures> => {
  const load = await Load.open({ ...traffic, port, connections })
  try {
    await load.run(traffic.warmUp, runLimit)
    return await load.run(traffic.requests, runLimit)
  } finally {
    load.close()
  }
}

const work = async (pid: number, port: number, traffic: Traffic): Promise<Figures> => {
  const load = await Load.open({ ...traffic, port, connections })
  try {
    await load.run(traffic.warmUp, runLimit)
    const before = cpuTime(pid)
    const result = await load.run(traffic.requests, runLimit)
    return { cpu: (cpuTime(pid) - before) / traffic.requests, ...result }
  } finally {
    load.close()
  }
}

/**
 * Before each look at the memory there is the same work, so that collectors that cannot be told to run
 * are as far as before.
 */
const idle = async (pid: number, port: number, onNode: boolean): Promise<Figures> => {
  const loads: Array<Load> = []
  const open = async (connections: number): Promise<Load> => {
    const load = await Load.open({ ...tiny, port, connections })
    loads.push(load)
    return load
  }
  try {
    const busy = await open(connections)
    const look = async (): Promise<number> => {
      await busy.run(idleWork, runLimit)
      if (onNode) process.kill(pid, "SIGUSR2")
      await setTimeout(settling)
      return memory(pid)
    }
    const before = await look()
    for (let n = 0; n < idleClients; n += idleBatch) await (await open(idleBatch)).run(idleBatch, runLimit)
    const after = await look()
    for (const load of loads) load.check()
    return { memory: (after - before) / idleClients }
  } finally {
    for (const load of loads) load.close()
  }
}

/** Starts the candidate, measures it in this case, which is about memory when there is no traffic, and stops it. */
export const measure = async (
  candidate: Candidate,
  backendPort: number,
  traffic: Traffic | undefined
): Promise<Figures> => {
  const port = await freePort()
  const { pid, stop } = await start(onProxyCore(candidate.command({ port, backendPort, folder })), port)
  try {
    return await (traffic === undefined ? idle(pid, port, candidate.onNode) : work(pid, port, traffic))
  } finally {
    await stop()
  }
}
