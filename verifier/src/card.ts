/** README.md as receipt, lock and evaluation make it: docs/format/card.md. */

import type { Evaluation, Lock, Mean, Method, Receipt } from "./documents.ts";
import type { JsonObject } from "./json.ts";
import { words } from "./text.ts";

const PROJECTOR: Record<string, string> = { null: "none", frozen: "frozen", full: "trained in full", lora: "its linear layers adapted" };
const VISION: Record<string, string> = { null: "none: the base reads text alone", true: "frozen", false: "adapted" };

export function card(receipt: Receipt, lock: Lock, evaluation: Evaluation): string {
  const parts = [
    front(lock), opening(receipt, lock), training(receipt, lock), scores(evaluation), modules(receipt), use(receipt, lock), ...declared(lock),
  ];
  return `${parts.join("\n\n")}\n`;
}

/** D2: text from outside as one line that shows it and does nothing else. */
export function shown(text: string, most = 200): string {
  let signs = [...text].map((sign) => (sign !== " " && /[\p{C}\p{Z}]/u.test(sign) ? "\ufffd" : sign));
  if (signs.length > most) signs = [...signs.slice(0, most - 1), "…"];
  const markup = /([\\`*[\]<>|~$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=\/\/)|@(?=[\p{L}\p{N}_])|(?<=[wW]{3})\.)/gu;
  return signs.join("").replace(markup, "\\$1").replaceAll("\\<", "&lt;").replaceAll("\\&", "&amp;");
}

const table = (head: string[], rows: string[][]): string =>
  [`| ${head.join(" | ")} |`, `|${"---|".repeat(head.length)}`, ...rows.map((row) => `| ${row.map((cell) => shown(cell)).join(" | ")} |`)].join("\n");

/** D3: the software that opens such an adapter. */
function opens(lock: Lock): string[] {
  const { method, projector } = lock.train;
  if (["bottleneck", "prefix", "p_tuning"].includes(method.kind)) return ["kolm"];
  if (method.kind === "prompt") return method.text_alone ? ["kolm", "PEFT"] : ["kolm"];
  if (method.kind === "ia3" || method.dora || method.experts || projector === "full") return ["kolm", "PEFT"];
  return ["kolm", "PEFT", projector === "lora" ? "vLLM with LoRA on the connector" : "vLLM"];
}

function inWords(method: Method): string {
  switch (method.kind) {
    case "lora": {
      const more = `${method.rslora ? ", rsLoRA" : ""}${method.dora ? ", DoRA" : ""}${method.experts ? ", experts too" : ""}`;
      return `lora, rank ${method.rank}, alpha ${method.alpha}${more}`;
    }
    case "bottleneck":
      return `bottleneck, size ${method.size}, ${method.activation}`;
    case "prefix":
      return `prefix, ${method.virtual_tokens} virtual tokens in each layer`;
    case "prompt":
      return `prompt, ${method.virtual_tokens} virtual tokens`;
    case "p_tuning":
      return `p_tuning, ${method.virtual_tokens} virtual tokens made by an ${String(method.encoder).toUpperCase()} of width ${method.encoder_size}`;
    case "ia3":
      return `ia3, input rescaled in ${(method.feedforward as string[]).join(", ") || "none"}, output in the others`;
  }
}

function front(lock: Lock): string {
  const plain = (key: string, value: string): string[] => (/^[A-Za-z0-9][A-Za-z0-9._/+-]*$/.test(value) ? [`${key}: ${value}`] : []);
  return [
    "---",
    `library_name: ${opens(lock).includes("PEFT") ? "peft" : "kolm"}`,
    `pipeline_tag: ${lock.train.freeze.vision === null ? "text-generation" : "image-text-to-text"}`,
    ...plain("base_model", lock.base.id),
    ...plain("license", (lock.dossier?.license ?? "").toLowerCase()),
    "tags:",
    "- kolm",
    `- ${lock.train.method.kind}`,
    "---",
  ].join("\n");
}

const opening = (receipt: Receipt, lock: Lock): string =>
  `# ${shown(receipt.name)}\n\nAn adapter for ${shown(lock.base.id)}, compiled by kolm ${shown(String(receipt.kolm))}. ` +
  "Every number below follows from the files beside this one; `kolm verify` recomputes them. The K-score depends on measured speed and cost, " +
  "so it is not here but in the signed claims that travel with the bundle: `kolm inspect` shows them.";

function training(receipt: Receipt, lock: Lock): string {
  const own = receipt.vlm_train;
  const { train } = lock;
  const rows = [["Method", inWords(train.method)]];
  if (train.objective.kind !== "sft") rows.push(["Objective", train.objective.kind]);
  if (train.continues !== null) {
    rows.push(["Goes on from", `an earlier training, whose captures are not listed here and may be eval cases (state \`${train.continues.state}\`)`]);
  }
  rows.push(
    ["Adapted layers", train.method.targets.join(", ")],
    ["Vision tower", VISION[String(train.freeze.vision)] ?? ""],
    ["Projector", PROJECTOR[String(train.projector)] ?? ""],
    ["Opens in", opens(lock).join(", ")],
  );
  if (train.quantisation !== null) {
    const { kind, double, block_size: size } = train.quantisation;
    rows.push(["Base", `language role in ${kind}${double ? ", scales in 8 bits" : ""}, blocks of ${size}`]);
  }
  rows.push(
    ["Train captures", `${own.train_examples}`],
    ["Steps", `${own.steps}`],
    ["Learning rate", `${own.learning_rate}`],
    ["Trained parameters", `${own.trained_parameters} of ${own.base_parameters}`],
    ["Adapter", `${own.adapter_bytes} bytes`],
    ["Licence of the adapter", lock.dossier?.license ?? "not declared"],
    ["Licence of the base", lock.base.license || "not stated"],
    ["Papers", (own.papers as string[]).join(", ")],
  );
  return `## Training\n\n${table(["what", "value"], rows)}`;
}

const range = (mean: Mean): string => `${mean.interval.low} to ${mean.interval.high}`;

function scores(evaluation: Evaluation): string {
  const rows = (
    [
      ["this adapter", evaluation.adapter],
      ["the base alone", evaluation.base],
      ["the adapter without images", evaluation.blind],
      ["always the commonest answer", evaluation.majority],
      ["its answers, given to other cases that ask the same", evaluation.swapped],
    ] as const
  ).map(([name, mean]) => (mean === null ? [name, "not applicable", "the base takes none"] : [name, mean.accuracy, range(mean)]));
  const cut = evaluation.cut_prompts ? `Of ${evaluation.cut_prompts} of them the prompt was cut to fit. ` : "";
  const parts = [
    `## Scores\n\nMetric ${shown(evaluation.metric.kind)} on ${evaluation.cases} eval cases with ${evaluation.distinct_questions} distinct questions, ` +
      `of which ${evaluation.covered} were answered in the metric's form. ${cut}Floors: ${evaluation.floors_passed ? "passed" : "not passed"}.`,
    table(["who", "accuracy", "95 % interval"], rows),
  ];
  if (evaluation.preference !== undefined) {
    const measured = evaluation.preference as JsonObject & { cases: number; adapter: Mean; base: Mean };
    const said = (mean: Mean): string => `${mean.accuracy} (${range(mean)})`;
    parts.push(
      `Of ${measured.cases} eval cases with a rejected answer, the reference answer is the more likely one to the adapter in ${said(measured.adapter)} ` +
        `and to the base in ${said(measured.base)}.`,
    );
  }
  if (evaluation.slices.length) {
    parts.push(table(["slice", "cases", "accuracy"], evaluation.slices.map((one) => [`${one.kind} ${one.value}`, `${one.cases}`, one.accuracy])));
  }
  return parts.join("\n\n");
}

function modules(receipt: Receipt): string {
  const counts = receipt.counts as Record<string, Record<string, number>>;
  const rows = Object.keys(counts).sort().filter((role) => counts[role]?.modules).map((role) => {
    const own = counts[role] as Record<string, number>;
    return [role, `${own.modules}`, `${own.frozen}`, `${own.trained}`];
  });
  return `## Modules\n\n${table(["role", "modules", "base parameters kept", "parameters trained"], rows)}`;
}

function use(receipt: Receipt, lock: Lock): string {
  const how = opens(lock).includes("PEFT")
    ? `Unpacked, the adapter loads with PEFT:\n\n\`\`\`python\nfrom peft import PeftModel\n${quantised(lock)}\n` +
      "model = PeftModel.from_pretrained(base_model, folder)\n```"
    : "Only kolm has adapters of this kind:\n\n```python\nimport kolm\n\nmodel = kolm.load(file).model\n```";
  return `## Use\n\n\`kolm verify FILE\` checks the bundle; \`kolm run FILE\` answers with it. ${how}\n\nBase root: \`${receipt.base.root}\``;
}

/** What the publisher says of the model and nobody can recompute. */
function declared(lock: Lock): string[] {
  const said = Object.entries(lock.dossier ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (said.length === 0) return [];
  const rows = said.map(([name, text]) => `- ${name.replaceAll("_", " ")}: ${shown(words(text).join(" "), 4000)}`);
  return [`## Declared by the publisher\n\n${rows.join("\n")}`];
}

/** D5: how transformers holds the base in 4 bits in the same way, but for blocks of another size than 64. */
function quantised(lock: Lock): string {
  const { quantisation: own, precision, freeze } = lock.train;
  if (own === null) return "";
  const note = [
    `# trained on blocks of ${own.block_size}; transformers makes blocks of 64,`,
    "# on which the adapter opens as well and the logits differ a little",
  ];
  const library = freeze.vision === null ? "AutoModelForCausalLM" : "AutoModelForImageTextToText";
  return [
    `from transformers import ${library}, BitsAndBytesConfig`,
    "",
    ...(own.block_size === 64 ? [] : note),
    "quantised = BitsAndBytesConfig(",
    "    load_in_4bit=True,",
    `    bnb_4bit_quant_type="${own.kind}",`,
    `    bnb_4bit_use_double_quant=${own.double ? "True" : "False"},`,
    `    bnb_4bit_compute_dtype="${precision}",`,
    `    llm_int8_skip_modules=[r"(?!(?:${own.target_expression})$).*"],`,
    ")",
    `base_model = ${library}.from_pretrained(`,
    `    base, dtype="${precision}", quantization_config=quantised`,
    ")",
    "",
  ].join("\n");
}
