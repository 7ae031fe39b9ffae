/** B16: `adapter_config.json` as lock and modules make it. */

import type { Lock, ModuleRow } from "./documents.ts";
import { type Json, type JsonObject, canonical } from "./json.ts";
import { stated } from "./rational.ts";

const escape = (name: string): string => name.replace(/[.-]/g, "\\$&");

/** The member's bytes. `projectorLayers` and `experts` are what of them the bundle adapts, by full names. */
export function adapterConfig(lock: Lock, modules: readonly ModuleRow[], projectorLayers: string[], experts: string[]): Uint8Array {
  const { method } = lock.train;
  const trained = modules.filter((row) => row.state === "trained").map((row) => row.module);
  const topmost = trained.filter((name) => !trained.some((other) => name.startsWith(`${other}.`))).sort();
  const layers = projectorLayers.length
    ? `(?:${[method.target_expression, ...[...projectorLayers].sort().map(escape)].join("|")})`
    : method.target_expression;
  const config: JsonObject = {
    base_model_name_or_path: lock.base.id,
    inference_mode: true,
    modules_to_save: topmost.length ? topmost : null,
    target_modules: layers,
    task_type: "CAUSAL_LM",
    ...ofMethod(lock),
  };
  if (method.kind === "prompt" && method.text_alone) delete config.target_modules;
  if (experts.length) config.target_parameters = [...experts].sort();
  return canonical(config);
}

function ofMethod(lock: Lock): JsonObject {
  const { method } = lock.train;
  const get = (key: string): Json => method[key] ?? null;
  switch (method.kind) {
    case "lora":
      return {
        bias: "none",
        fan_in_fan_out: false,
        init_lora_weights: true,
        lora_alpha: get("alpha"),
        lora_dropout: number(String(method.dropout)),
        peft_type: "LORA",
        r: get("rank"),
        use_dora: get("dora"),
        use_rslora: get("rslora"),
      };
    case "bottleneck":
      return { bottleneck_activation: get("activation"), bottleneck_size: get("size"), peft_type: "BOTTLENECK" };
    case "prefix":
      return { peft_type: "KOLM_PREFIX", prefix_virtual_tokens: get("virtual_tokens") };
    case "prompt":
      return { num_virtual_tokens: get("virtual_tokens"), peft_type: method.text_alone ? "PROMPT_TUNING" : "KOLM_PROMPT_TUNING" };
    case "p_tuning":
      return {
        encoder_hidden_size: get("encoder_size"),
        encoder_reparameterization_type: String(method.encoder).toUpperCase(),
        num_virtual_tokens: get("virtual_tokens"),
        peft_type: "KOLM_P_TUNING",
      };
    case "ia3":
      return { fan_in_fan_out: false, feedforward_modules: method.feedforward_expression ?? [], init_ia3_weights: true, peft_type: "IA3" };
  }
}

/** The number of a decimal; whoever reads the member must get the same one. */
function number(decimal: string): number {
  stated(decimal);
  return Number(decimal);
}
