/* Builds the page (one HTML file without an outside request) and the command for Node. */

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..");

/* The schemas and tables of the format, as one object by name. */
function folder(path, under = "") {
  const found = {};
  for (const entry of readdirSync(join(path, under), { withFileTypes: true })) {
    const name = under ? `${under}/${entry.name}` : entry.name;
    if (entry.isDirectory()) Object.assign(found, folder(path, name));
    else if (name.endsWith(".json")) found[name.replace(/(\.schema)?\.json$/, "")] = JSON.parse(readFileSync(join(path, name), "utf8"));
  }
  return found;
}

const read = (path) => JSON.parse(readFileSync(join(ROOT, path), "utf8"));

const data = {
  name: "format-data",
  setup(build) {
    build.onResolve({ filter: /^format:/ }, ({ path }) => ({ path, namespace: "format" }));
    build.onLoad({ filter: /.*/, namespace: "format" }, ({ path }) => {
      const content = path === "format:schemas" ? folder(join(ROOT, "schemas")) : { ...folder(join(ROOT, "docs/format/tables")), sameness: read("kolm/format/sameness.json") };
      for (const name of Object.keys(content)) if (name.startsWith("cli/")) delete content[name];
      return { contents: JSON.stringify(content), loader: "json" };
    });
  },
};

export const options = { bundle: true, format: "esm", target: "es2022", charset: "utf8", plugins: [data], legalComments: "none", logLevel: "warning" };

const hash = (text) => `sha256-${createHash("sha256").update(text).digest("base64")}`;

/* The page with its script and style inside, and a policy that lets nothing else run or connect. */
async function page() {
  const { outputFiles } = await build({ ...options, format: "iife", minify: true, entryPoints: [join(HERE, "src/page.ts")], write: false });
  const script = outputFiles[0].text.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
  const style = readFileSync(join(HERE, "src/page.css"), "utf8");
  const put = { SCRIPT: script, STYLE: style, "SCRIPT-HASH": hash(script), "STYLE-HASH": hash(style) };
  return readFileSync(join(HERE, "src/page.html"), "utf8").replace(/\b(?:SCRIPT|STYLE)(?:-HASH)?\b/g, (name) => put[name]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(join(HERE, "dist"), { recursive: true });
  await build({ ...options, entryPoints: [join(HERE, "src/node.ts")], platform: "node", outfile: join(HERE, "dist/kolm-verify.mjs") });
  writeFileSync(join(HERE, "dist/kolm-verify.html"), await page());
}
