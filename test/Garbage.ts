/** What the garbage collector leaves. Quick also in a process with a large heap, unlike `queryObjects` of node:v8. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/** How many of these objects somebody still refers to. */
export const left = async (objects: ReadonlyArray<WeakRef<object>>): Promise<number> => {
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    collect()
  }
  return objects.filter((object) => object.deref() !== undefined).length
}
