/** The page: files in, an audit out. Texts of a bundle are only ever text. */

import type { Check, Finding, Verdict } from "./answers.ts";
import { text } from "./bytes.ts";
import { cid } from "./container.ts";
import { NOBODY, type Trust, readTrust, trustIn } from "./keys.ts";
import { BUILT_IN, type Policy, readPolicy } from "./policy.ts";
import { readRequest } from "./request.ts";
import { type Report, audit } from "./verify.ts";

const LARGEST = 2 ** 30;

const ANSWERS: Record<Verdict, string> = { ok: "holds", failed: "does not hold", could_not_look: "could not look", not_checked: "not asked" };
const OVERALL: Record<Verdict, [string, string]> = {
  ok: ["Accepted", "Everything that was asked holds."],
  failed: ["Refused", "Something does not hold."],
  could_not_look: ["Undecided", "Something that is needed to answer is missing here; that says nothing about the bundle."],
  not_checked: ["Undecided", "Nothing was asked."],
};
const VERDICTS: Record<string, string> = {
  delta_scope: "What is shipped can change the modules declared as trained and nothing else.",
  scores: "Accuracy, intervals, controls and floors follow from the published cases and answers.",
  base_identity: "The base in your hands is the pinned one.",
  process: "Training ran as the trace says.",
};

const state: { file: File | null; trust: Trust; policy: Policy; request: Uint8Array | null; whom: string; demands: string } = {
  file: null, trust: NOBODY, policy: BUILT_IN, request: null, whom: "nobody", demands: "the built-in policy",
};

const at = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;

type Content = Node | string;

function element(tag: string, className: string, ...content: Content[]): HTMLElement {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

/** A text from outside: characters that turn or hide text are named, and it cannot turn what stands beside it. */
function outside(written: string): HTMLElement {
  const named = written.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (sign) => `⟨U+${(sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
  const made = element("bdi", "");
  made.textContent = named.length > 1000 ? `${named.slice(0, 1000)}…` : named;
  return made;
}

async function take(files: Iterable<File>): Promise<void> {
  for (const file of files) {
    try {
      await one(file);
    } catch (problem) {
      show(element("p", "failed", outside(`${file.name}: ${(problem as Error).message}`)));
      return;
    }
  }
  at("given").replaceChildren(
    "Bundle: ", outside(state.file?.name ?? "none yet"), ". Trusted: ", outside(state.whom), ". Demanded by: ", outside(state.demands), ".",
  );
  if (state.file !== null) await look(state.file);
}

/** What a file is, by its name and its content. */
async function one(file: File): Promise<void> {
  if (/\.(json|pem)$/i.test(file.name) && file.size < 2 ** 22) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const written = text(bytes) ?? "";
    if (written.startsWith("-----BEGIN PUBLIC KEY-----")) {
      state.trust = trustIn(written.replace(/\r\n/g, "\n"), file.name);
      state.whom = `the holder of ${file.name}, in every role`;
    } else if (written.includes("application/vnd.in-toto+json")) {
      state.request = bytes;
      state.demands = `the request ${file.name}`;
    } else if (written.includes("urn:kolm:policy:v1")) {
      state.policy = readPolicy(bytes);
      state.request = null;
      state.demands = `the policy ${state.policy.name}`;
    } else {
      state.trust = readTrust(bytes);
      state.whom = [...state.trust.keys.values()].map((key) => key.name).join(", ") || "nobody";
    }
    return;
  }
  state.file = file;
}

async function look(file: File): Promise<void> {
  if (file.size > LARGEST) {
    show(element("p", "could_not_look", "Larger than 1 GiB: this page cannot look at it. Use kolm verify."));
    return;
  }
  show(element("p", "", "Looking…"));
  await new Promise((done) => setTimeout(done, 0));
  try {
    const request = state.request === null ? null : await readRequest(state.request, state.trust);
    show(...render(await audit(new Uint8Array(await file.arrayBuffer()), state.trust, state.policy, request)));
  } catch (problem) {
    show(element("p", "could_not_look", "This page could not look: ", outside((problem as Error).message)));
  }
}

const show = (...content: Content[]): void => at("found").replaceChildren(...content);

function render(found: Report): Content[] {
  const [word, sentence] = OVERALL[found.overall];
  const said = found.overall === "ok" ? sentence : `${sentence} `;
  const banner = element("div", `verdict ${found.overall}`, element("strong", "", word), element("p", "", said, ...(found.overall === "ok" ? [] : [outside(found.detail)])));
  banner.id = "verdict";
  const wrong = found.checks.filter((check) => check.verdict === "failed" || check.verdict === "could_not_look");
  return [
    banner,
    ...(found.id ? [about(found)] : []),
    ...(wrong.length ? [element("h2", "", "Why"), table(wrong)] : []),
    element("h2", "", "Every check"),
    table(found.checks),
  ];
}

function about(found: Report): HTMLElement {
  const list = element("dl", "");
  const row = (name: string, ...content: Content[]): void => list.append(element("dt", "", name), element("dd", "", ...content));
  if (found.name) row("Name", outside(found.name), " (a label, not an identity)");
  row("Content id", element("span", "id", found.id), element("br", ""), element("span", "id", cid(found.id)));
  const signers = found.signers.map(({ keyid, name }) =>
    element("div", "", name === null ? "a key that is not trusted, or did not sign: " : outside(name), " ", element("span", "id", keyid)),
  );
  row("Signed by", ...(signers.length ? signers : ["nobody"]));
  for (const [name, statement] of Object.entries(VERDICTS)) {
    const conclusion = found.conclusions[name] ?? "not reached";
    row(name.replace("_", " "), element("strong", conclusion, conclusion === "reached" ? "holds" : conclusion === "failed" ? "does not hold" : "not answered here"), `: ${statement}`);
  }
  return list;
}

function table(checks: readonly Check[]): HTMLElement {
  const head = element("thead", "", element("tr", "", ...["Check", "Question", "Answer", "What was found"].map((name) => column(name))));
  const rows = checks.map((check) =>
    element(
      "tr", "",
      rowHead(check.id),
      element("td", "", check.question),
      element("td", `answer ${check.verdict}`, ANSWERS[check.verdict]),
      element("td", "", check.findings.length ? findings(check.findings) : outside(check.detail)),
    ),
  );
  return element("table", "", head, element("tbody", "", ...rows));
}

function column(name: string): HTMLElement {
  const made = element("th", "", name);
  made.setAttribute("scope", "col");
  return made;
}

function rowHead(name: string): HTMLElement {
  const made = element("th", "", name);
  made.setAttribute("scope", "row");
  return made;
}

const findings = (all: readonly Finding[]): HTMLElement =>
  element("ul", "", ...all.map((one) => element("li", "", outside(one.what), ` (${one.rule})`)));

for (const id of ["bundle", "trust", "policy"]) {
  at(id).addEventListener("change", (event) => void take((event.target as HTMLInputElement).files ?? []));
}
const area = at("drop");
const over = (on: boolean) => (event: DragEvent): void => {
  event.preventDefault();
  area.classList.toggle("over", on);
};
document.addEventListener("dragover", over(true));
document.addEventListener("dragleave", over(false));
document.addEventListener("drop", (event) => {
  over(false)(event);
  void take(event.dataTransfer?.files ?? []);
});
