/** The receipt as the other members make it: docs/format/receipt.md. */

import type { Lock, ModuleRow, SnapshotRow, TraceRow, Example } from "./documents.ts";
import { ROLES } from "./documents.ts";
import type { Json, JsonObject } from "./json.ts";
import { div, mul, ratio, rounded, stated, sum } from "./rational.ts";
import { TABLES } from "./tables.ts";

const total = (all: Iterable<number>): number => {
  let whole = 0;
  for (const one of all) whole += one;
  return whole;
};

const trainedOf = (row: ModuleRow): number => total(row.adapter.map((tensor) => tensor.elements));
const ownOf = (row: ModuleRow): number =>
  total(row.parameters.filter((parameter) => parameter.alias_of === undefined).map((parameter) => parameter.elements));

/** R4. */
export function counts(modules: readonly ModuleRow[]): JsonObject {
  return Object.fromEntries(
    ROLES.map((role) => {
      const rows = modules.filter((row) => row.role === role);
      const kept = rows.filter((row) => row.state !== "trained");
      const figures = { frozen: total(kept.map(ownOf)), modules: rows.length, parameters: total(rows.map(ownOf)), trained: total(rows.map(trainedOf)) };
      return [role, figures];
    }),
  );
}

/** R6: a star stands for one component of digits, where all names that the glob covers are in the same list. */
export function globs(modules: readonly ModuleRow[]): { frozen: string[]; trainable: string[] } {
  const globOf = (name: string): string => name.replace(/(?<=^|\.)[0-9]+(?=\.|$)/g, "*");
  const lists = new Map<string, Set<boolean>>();
  for (const row of modules) {
    const glob = globOf(row.module);
    lists.set(glob, (lists.get(glob) ?? new Set()).add(row.state === "frozen"));
  }
  const list = (frozen: boolean): string[] => {
    const own = modules.filter((row) => (row.state === "frozen") === frozen);
    return [...new Set(own.map((row) => (lists.get(globOf(row.module))?.size === 1 ? globOf(row.module) : row.module)))].sort();
  };
  return { frozen: list(true), trainable: list(false) };
}

export interface Sources {
  lock: Lock;
  modules: ModuleRow[];
  snapshot: SnapshotRow[];
  trace: TraceRow[];
  examples: Example[];
  adapterBytes: number;
}

/** R5 and R7. */
export function vlmTrain(from: Sources): JsonObject {
  const { lock, modules, snapshot, trace, examples } = from;
  const { train, base } = lock;
  const steps = trace.filter((row) => row.kind === "step");
  const train_rows = examples.filter((row) => row.side === "train");
  const named = globs(modules);
  return {
    adapter_bytes: from.adapterBytes,
    base_parameters: total(modules.map(ownOf)),
    cut_prompts: train_rows.filter((row) => row.cut > 0).length,
    dropped_examples: train_rows.filter((row) => row.dropped !== undefined).length,
    freeze_vision: train.freeze.vision,
    frozen_modules: named.frozen,
    label_tokens: total(steps.map((row) => row.label_tokens)),
    learning_rate: train.learning_rate,
    max_seq_length: train.max_seq_length,
    method: method(lock),
    model_id: base.id,
    objective: objective(lock, trace),
    optimizer: optimizer(lock, modules),
    papers: base.papers,
    precision: train.precision,
    projector: train.projector,
    projector_learning_rate: train.projector_learning_rate,
    quantisation: train.quantisation,
    steps: steps.length,
    template: base.template,
    train_examples: snapshot.filter((row) => row.split === "train").length,
    trainable_modules: named.trainable,
    trained_parameters: total(modules.map(trainedOf)),
  };
}

const NAMES: Record<string, Record<string, string>> = {
  lora: {
    alpha: "lora_alpha", dropout: "lora_dropout", rank: "lora_r", target_expression: "lora_target_expression", targets: "lora_targets",
    dora: "use_dora", rslora: "use_rslora", experts: "lora_experts",
  },
  bottleneck: {
    activation: "bottleneck_activation", size: "bottleneck_size", target_expression: "bottleneck_target_expression", targets: "bottleneck_targets",
  },
  prefix: { target_expression: "prefix_target_expression", targets: "prefix_targets", virtual_tokens: "prefix_virtual_tokens" },
  prompt: {
    target_expression: "prompt_target_expression", targets: "prompt_targets", text_alone: "prompt_text_alone",
    virtual_tokens: "prompt_virtual_tokens",
  },
  p_tuning: {
    encoder: "p_tuning_encoder", encoder_size: "p_tuning_encoder_size", target_expression: "p_tuning_target_expression",
    targets: "p_tuning_targets", virtual_tokens: "p_tuning_virtual_tokens",
  },
  ia3: {
    feedforward: "ia3_feedforward", feedforward_expression: "ia3_feedforward_expression", target_expression: "ia3_target_expression",
    targets: "ia3_targets",
  },
};

function method(lock: Lock): JsonObject {
  const own = lock.train.method;
  const named = Object.entries(NAMES[own.kind] ?? {}).filter(([key]) => own[key] !== undefined);
  return { kind: own.kind, ...Object.fromEntries(named.map(([key, name]) => [name, own[key] as Json])) };
}

function objective(lock: Lock, trace: readonly TraceRow[]): JsonObject {
  const own = lock.train.objective;
  if (own.kind === "sft") return own;
  const borders = trace.filter((row) => row.kind === "checkpoint").map((row) => row.step);
  const after = borders.at(-2) ?? 0;
  const steps = trace.filter((row) => row.kind === "step" && row.step > after);
  const pairs = total(steps.map((row) => row.positions.length));
  const margins = sum(steps.map((row) => mul(stated(row.facts.margin), ratio(row.positions.length))));
  return {
    ...own,
    last_segment: {
      margin: pairs ? rounded(div(margins, ratio(pairs)), 6) : "0",
      pairs,
      preferred: total(steps.map((row) => row.facts.preferred)),
    },
  };
}

function optimizer(lock: Lock, modules: readonly ModuleRow[]): JsonObject {
  const held = modules.flatMap((row) => row.adapter);
  const kind = lock.train.optimizer;
  return {
    elements_32bit: total(held.filter((tensor) => tensor.moments === undefined).map((tensor) => tensor.elements)),
    elements_8bit: total(held.filter((tensor) => tensor.moments !== undefined).map((tensor) => tensor.elements)),
    kind,
    library: (TABLES.optimizers as Record<string, string>)[kind] ?? "",
    paged: kind.startsWith("paged") && lock.environment.device !== "cpu",
  };
}

/** R1 to R3: all but `counts` and `vlm_train`. */
export function rest(lock: Lock, root: string, trace: readonly TraceRow[], digests: ReadonlyMap<string, string>): JsonObject {
  const borders = trace.filter((row) => row.kind === "checkpoint");
  const members = [...digests].filter(([name]) => name !== "README.md" && name !== "receipt.json");
  return {
    base: { family: lock.base.family, id: lock.base.id, root: lock.base.root },
    environment_class: lock.environment.class,
    kolm: lock.environment.kolm,
    lock: digests.get("spec.lock.json") ?? null,
    members: members.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, digest]) => ({ digest, name })),
    name: lock.name,
    schema: "urn:kolm:receipt:v1",
    snapshot_root: root,
    trace: {
      chain: borders.at(-1)?.chain ?? null,
      segments: borders.length - 1,
      state_first: borders[0]?.state ?? null,
      state_last: borders.at(-1)?.state ?? null,
      steps: trace.filter((row) => row.kind === "step").length,
    },
  };
}
