/*
 * The page in headless Chromium, opened from disk: a good bundle, a tampered one, a stranger's, and what is no bundle.
 *
 * KOLM_CORPUS names a conformance corpus (python -m tests.support.corpus FOLDER); without it, or without Chromium, nothing is tried.
 */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { tmpdir } from "node:os";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const PAGE = pathToFileURL(join(import.meta.dirname, "../dist/kolm-verify.html")).href;
const { KOLM_CORPUS, PATH = "", PAGE_PICTURES } = process.env;
const browsers = PATH.split(delimiter).flatMap((folder) => ["chromium", "chromium-browser", "google-chrome"].map((name) => join(folder, name)));
const browser = browsers.find(existsSync);
const skip = !KOLM_CORPUS ? "KOLM_CORPUS is not set" : !browser ? "Chromium is not installed" : false;

const bundle = (name) => join(KOLM_CORPUS, "bundles", `${name}.kolm`);

async function opened(t, viewport) {
  const profile = mkdtempSync(join(tmpdir(), "kolm-page-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: browser, headless: true, viewport, args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
  t.after(() => context.close()); // an open browser would keep the process for ever
  const page = await context.newPage();
  const asked = [];
  const problems = [];
  page.on("request", (request) => asked.push(request.url()));
  page.on("pageerror", (problem) => problems.push(problem.message));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await page.goto(PAGE);
  return { page, asked, problems };
}

async function verdict(page, files) {
  await page.evaluate(() => document.getElementById("found").replaceChildren());
  for (const [id, path] of Object.entries(files)) {
    await page.evaluate((of) => (document.getElementById(of).value = ""), id); // a file that is chosen again is no change
    await page.setInputFiles(`#${id}`, path);
  }
  await page.waitForSelector("#verdict strong, #found > .could_not_look");
  return (await page.$("#verdict strong")) ? page.textContent("#verdict strong") : page.textContent("#found");
}

test("a good bundle, a tampered one and a stranger's", { skip }, async (t) => {
  const { page, asked, problems } = await opened(t, { width: 1200, height: 900 });
  const trust = join(KOLM_CORPUS, "trust.json");
  assert.equal(await verdict(page, { bundle: bundle("honest-lora") }), "Undecided"); // nobody is trusted yet
  await page.waitForSelector(".could_not_look");
  assert.equal(await verdict(page, { trust }), "Accepted");
  assert.equal((await page.$$("tbody tr .failed")).length, 0);
  if (PAGE_PICTURES) await page.screenshot({ path: join(PAGE_PICTURES, "accepted.png"), fullPage: true });
  assert.equal(await verdict(page, { bundle: bundle("accuracy-edited--signer") }), "Refused");
  assert.match(await page.textContent("#found table"), /V33/);
  if (PAGE_PICTURES) await page.screenshot({ path: join(PAGE_PICTURES, "refused.png") });
  assert.equal(await verdict(page, { bundle: bundle("honest-of-a-stranger") }), "Undecided");
  assert.equal(await verdict(page, { bundle: bundle("bytes-before-the-start--signer") }), "Undecided");
  assert.deepEqual(asked.filter((url) => url !== PAGE), []);
  assert.deepEqual(problems, []);
});

test("the whole corpus is answered as is due", { skip }, async (t) => {
  const { page, problems } = await opened(t, { width: 1200, height: 900 });
  const due = { accepted: ["Accepted"], not_accepted: ["Refused", "Undecided"], not_a_bundle: ["Undecided"] };
  const { bundles, trust } = JSON.parse(readFileSync(join(KOLM_CORPUS, "corpus.json"), "utf8"));
  await page.setInputFiles("#trust", join(KOLM_CORPUS, trust));
  const wrong = [];
  const held = (row) => ("demands" in row ? 1 : 0); // last: a policy stays once it was given
  for (const { file, verdict: answer, demands } of bundles.toSorted((a, b) => held(a) - held(b))) {
    if (demands) await verdict(page, { policy: join(KOLM_CORPUS, demands.file) });
    const found = await verdict(page, { bundle: join(KOLM_CORPUS, file) });
    if (!due[answer].includes(found)) wrong.push(`${file}: ${found}, and ${answer} is due`);
  }
  console.log(`${bundles.length - wrong.length} of ${bundles.length} bundles in the page`);
  assert.deepEqual(wrong, []);
  assert.deepEqual(problems, []);
});

test("dropped files, on a phone", { skip }, async (t) => {
  const { page, problems } = await opened(t, { width: 375, height: 740 });
  const files = [["a.kolm", bundle("honest-ia3")], ["trust.json", join(KOLM_CORPUS, "trust.json")]];
  const data = files.map(([name, path]) => [name, readFileSync(path).toString("base64")]);
  await page.evaluate((given) => {
    const transfer = new DataTransfer();
    for (const [name, base64] of given) transfer.items.add(new File([Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0))], name));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
  }, data);
  await page.waitForSelector("#verdict strong");
  assert.equal(await page.textContent("#verdict strong"), "Accepted");
  const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(wide <= seen, `${wide} pixels wide on a screen of ${seen}`);
  if (PAGE_PICTURES) await page.screenshot({ path: join(PAGE_PICTURES, "phone.png") });
  assert.deepEqual(problems, []);
});

test("the page may run nothing that is not its own", { skip }, async (t) => {
  const { page } = await opened(t, { width: 800, height: 600 });
  const refused = await page.evaluate(async () => {
    try {
      await fetch("https://example.org/");
      return "connected";
    } catch {
      return "refused";
    }
  });
  assert.equal(refused, "refused");
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
  });
  assert.equal(await page.evaluate(() => window.ran === undefined), true);
});
