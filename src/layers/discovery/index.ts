/**
 * Every source of backends, by the name that the configuration uses. A new one is a file beside
 * this one and a line here.
 */
import * as Static from "./Static.ts"

export const sources = {
  static: Static.layer
}
