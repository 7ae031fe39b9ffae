/** The documents of a bundle as their schemas let them through: the keys that are read here. */

import type { JsonObject } from "./json.ts";

export type Role = "vision" | "audio" | "projector" | "language" | "head" | "other";
export const ROLES: readonly Role[] = ["vision", "audio", "projector", "language", "head", "other"];

export interface Method extends JsonObject {
  kind: "lora" | "bottleneck" | "prefix" | "prompt" | "p_tuning" | "ia3";
  targets: string[];
  target_expression: string;
}

export interface Metric extends JsonObject {
  kind: string;
}

export interface Validation extends JsonObject {
  every_steps: number;
  answers: (JsonObject & { cases: number; max_new_tokens: number; metric: Metric }) | null;
}

export interface Floors extends JsonObject {
  accuracy_lower_bound: string | null;
  clustered_lower_bound: string | null;
  worst_slice: string | null;
  worst_slice_minimum_cases: number;
  better_than_base_p: string | null;
  above_blind: string | null;
  above_majority: string | null;
  f1: string | null;
  k: string | null;
}

export interface Lock extends JsonObject {
  name: string;
  nonce: string;
  request: string | null;
  base: JsonObject & {
    id: string;
    family: string;
    root: string;
    parameters: number;
    license: string;
    papers: string[];
    files: (JsonObject & { name: string; digest: string })[];
    template: JsonObject & { source: string; digest: string };
  };
  data: JsonObject & { snapshot: string; root: string; training: string; cases: string };
  train: JsonObject & {
    objective: JsonObject & { kind: string };
    method: Method;
    freeze: JsonObject & { vision: boolean | null; projector_after_steps: number | null };
    projector: "full" | "lora" | "frozen" | null;
    learning_rate: string;
    projector_learning_rate: string;
    optimizer: string;
    schedule: "cosine" | "linear" | "constant";
    warmup_steps: number;
    steps: number;
    batch_size: number;
    accumulation: number;
    max_seq_length: number;
    max_images: number;
    segments: number;
    validation: Validation | null;
    early_stopping: (JsonObject & { patience: number; on: "loss" | "metric" }) | null;
    continues: (JsonObject & { state: string; chain: string }) | null;
    precision: string;
    quantisation: (JsonObject & { kind: string; double: boolean; block_size: number; target_expression: string }) | null;
  };
  dossier: { [name: string]: string };
  rates: JsonObject & { source: string; recommended: string };
  evaluation: JsonObject & {
    metric: Metric;
    pack: string;
    max_new_tokens: number;
    batch_size: number;
    floors: Floors;
    cost: JsonObject & { kind: string; usd_per_1000_tokens: string };
  };
  publish: JsonObject & { text: boolean; images: boolean; checkpoints: string };
  seeds: JsonObject & { initialisation: string; order: string };
  environment: JsonObject & { class: string; device: string; kolm: string; world_size: number };
}

export interface Receipt extends JsonObject {
  base: JsonObject & { family: string };
  counts: JsonObject;
  name: string;
  vlm_train: JsonObject;
}

export interface Parameter extends JsonObject {
  name: string;
  before: string;
  after: string;
  checkpoint: string[];
  dtype: string;
  elements: number;
  gradient_steps: number;
  requires_grad: boolean;
  shape: number[];
  alias_of: string;
  quantised: JsonObject & { kind: string; double: boolean; block_size: number; before: string; after: string };
}

export interface AdapterTensor extends JsonObject {
  tensor: string;
  before: string;
  after: string;
  dtype: string;
  elements: number;
  gradient_steps: number;
  shape: number[];
}

export interface ModuleRow extends JsonObject {
  module: string;
  role: Role;
  state: "frozen" | "adapted" | "trained";
  class: string;
  parameters: Parameter[];
  buffers: (JsonObject & { name: string; before: string; after: string })[];
  adapter: AdapterTensor[];
  weight_norm: string | null;
}

export type Side = "train" | "validation" | "eval" | "none";

export interface SnapshotHeader extends JsonObject {
  captures: number;
  images: number;
  root: string;
  near_duplicates: JsonObject & { across_splits: number; dropped: number; policy: string };
  rule: JsonObject & { kind: "official" | "hash"; validation: string; eval: string; nonce: string };
}

export interface SnapshotRow extends JsonObject {
  capture: string;
  images: (JsonObject & { file: string; pixels: string; twins: string })[];
  split: Side;
}

export type Part = JsonObject & ({ type: "text"; text: string } | { type: "image"; image: number });

export interface Message extends JsonObject {
  role: "system" | "user" | "assistant";
  content: Part[];
}

export interface Capture extends JsonObject {
  images: (JsonObject & { file: string; pixels: string; width: number; height: number; media_type: string })[];
  license: string;
  messages: Message[];
  split: Side | null;
  tags: string[];
  references: string[];
  rejected: string;
  corrections: (JsonObject & { start: number; end: number; replacement: string })[];
}

export interface Example extends JsonObject {
  side: "train" | "validation";
  tokens: number;
  labels: number;
  cut: number;
  image_tokens: number;
  corrected: number;
  rejected: JsonObject & { tokens: number; labels: number; corrected: number };
  dropped: string;
}

export interface TraceRow extends JsonObject {
  kind: "step" | "checkpoint" | "validation";
  step: number;
  positions: number[];
  label_tokens: number;
  learning_rate: string;
  projector_learning_rate: string | null;
  loss: string;
  grad_norm: string;
  facts: Facts;
  state: string;
  chain: string;
  answers: JsonObject & { cases: number; score: string };
}

export interface Facts extends JsonObject {
  chosen_reward: string;
  rejected_reward: string;
  margin: string;
  preferred: number;
  reference_point: string;
  supervised_loss: string;
}

export interface Outcome extends JsonObject {
  output: string;
  tokens: number;
  finish: "stop" | "length";
  score: string;
  covered: boolean;
}

export interface Prediction extends JsonObject {
  case: string;
  batch: number;
  cut: number;
  adapter: Outcome;
  base: Outcome;
  blind: Outcome | null;
  preference: JsonObject & { adapter: Likelihoods; base: Likelihoods };
}

export interface Likelihoods extends JsonObject {
  chosen: string;
  rejected: string;
}

export interface Mean extends JsonObject {
  accuracy: string;
  interval: JsonObject & { low: string; high: string };
}

export interface Evaluation extends JsonObject {
  metric: Metric;
  cases: number;
  covered: number;
  images: number;
  distinct_questions: number;
  adapter: Mean;
  base: Mean;
  blind: Mean | null;
  majority: Mean & { answer: string };
  swapped: Mean;
  slices: (JsonObject & { kind: string; value: string; cases: number; accuracy: string })[];
  floors: (JsonObject & { name: string; demanded: string | null; observed: string | null; passed: boolean | null })[];
  floors_passed: boolean;
  paired: JsonObject & { adapter_only: number; base_only: number; p: string };
}

export interface CheckpointDocument extends JsonObject {
  step: number;
  tensors: string;
  updates: { [tensor: string]: number };
  gradient_steps: { [tensor: string]: number };
  patience: (JsonObject & { best: string | null; since: number }) | null;
}
