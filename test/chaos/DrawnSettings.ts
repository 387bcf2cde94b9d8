/** Settings that were drawn, for whoever draws them: only those that do not contradict each other. */
import * as Result from "effect/Result"
import * as Configuration from "../../src/layers/Configuration.ts"
import type { StrategyName } from "../../src/layers/strategies/index.ts"
import type { Input, Settings } from "../../src/services/Configuration.ts"

export interface DrawnSettings {
  /** As in a file. */
  readonly input: Input<StrategyName>
  readonly settings: Settings<StrategyName>
}

/** Draws until the settings are valid. */
export const drawSettings = (draw: () => Input<StrategyName>): DrawnSettings => {
  while (true) {
    const input = draw()
    const checked = Configuration.check(input)
    if (Result.isSuccess(checked)) return { input, settings: checked.success.settings }
  }
}
