/* Builds sources for a test, so that tests can look at parts of the verifier. */

import { build } from "esbuild";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { options } from "../build.mjs";

export async function part(name) {
  const folder = mkdtempSync(join(tmpdir(), "kolm-verify-"));
  const outfile = join(folder, "part.mjs");
  await build({ ...options, entryPoints: [join(import.meta.dirname, "../src", name)], platform: "node", outfile });
  return import(outfile);
}
