/**
 * Every source of backends that there is, by its name. A new one is a file beside this one and a line here. The program
 * uses the static one.
 */
import * as Static from "./Static.ts"

export const sources = {
  static: Static.layer
}
