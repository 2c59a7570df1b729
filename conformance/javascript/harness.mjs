// What the scripts have in common: pages collected, refusals caught, and
// cases that print "ok NAME" or "FAIL NAME: WHY".
import assert from "node:assert/strict";

export const fast = { intervalInMs: 50 };

export async function collect(pages) {
  const all = [];
  for await (const item of pages) all.push(item);
  return all;
}

export async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("the call succeeded");
}

export async function run(cases) {
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run();
      console.log(`ok ${name}`);
    } catch (error) {
      console.log(`FAIL ${name}: ${String(error.stack ?? error).replaceAll(/\s*\n\s*/g, " | ")}`);
    }
  }
}
