/**
 * Waiting for a condition that is looked at whenever something has happened, and giving up with a
 * report of what there was.
 */

/** Milliseconds, for a machine that is busy. */
const usual = 8_000

let patience = usual

/** Runs something that is known to wait in vain, which need not take as long. */
export const impatiently = async (run: () => Promise<void>): Promise<void> => {
  patience = 2_000
  try {
    await run()
  } finally {
    patience = usual
  }
}

/** Conditions that somebody waits for. */
export class Waiting {
  private readonly checks = new Set<() => void>()

  /** Something has happened. */
  wake(): void {
    for (const check of this.checks) check()
  }

  /** Resolves when the condition holds. */
  until(condition: () => boolean, what: string, state: () => string): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (then: () => void) => {
        clearTimeout(timer)
        this.checks.delete(check)
        then()
      }
      const check = () => {
        if (condition()) done(resolve)
      }
      const timer = setTimeout(() => done(() => reject(new Error(`waited for ${what} in vain; ${state()}`))), patience)
      this.checks.add(check)
      check()
    })
  }
}
