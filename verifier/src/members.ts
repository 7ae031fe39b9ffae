/** The members that a bundle may have: docs/format/bundle.md, M1 to M8. */

import { BUNDLE_TYPE, type Manifest, MANIFEST_TYPE } from "./container.ts";
import type { JsonObject } from "./json.ts";

const MIB = 2 ** 20;

export interface Kind {
  name: RegExp;
  type: string;
  form: "document" | "lines" | "safetensors" | "text" | "picture" | "peft";
  schema?: string;
  required: boolean;
  most: number;
}

const of = (name: string): RegExp => new RegExp(`^${name.replaceAll(".", "\\.")}$`);
const kolm = (what: string): string => `application/vnd.kolm.${what}`;
const model = (what: string): string => `application/vnd.cncf.model.${what}`;
const BLOB = 8_589_934_591;
const DOCUMENT = 2 * MIB;

export const KINDS: readonly Kind[] = [
  { name: of("receipt.json"), type: kolm("receipt.v1+json"), form: "document", schema: "receipt", required: true, most: DOCUMENT },
  { name: of("adapter_model.safetensors"), type: model("weight.v1.raw"), form: "safetensors", required: true, most: BLOB },
  { name: of("adapter_config.json"), type: model("weight.config.v1.raw"), form: "peft", required: true, most: DOCUMENT },
  { name: of("modules.jsonl"), type: kolm("modules.v1+jsonl"), form: "lines", schema: "modules_row", required: true, most: 8 * MIB },
  { name: of("spec.lock.json"), type: kolm("lock.v1+json"), form: "document", schema: "lock", required: true, most: DOCUMENT },
  { name: of("snapshot.json"), type: kolm("snapshot.v1+json"), form: "document", schema: "snapshot", required: true, most: DOCUMENT },
  { name: of("snapshot.jsonl"), type: kolm("snapshot.v1+jsonl"), form: "lines", schema: "snapshot_row", required: true, most: 192 * MIB },
  { name: of("evalcases.jsonl"), type: kolm("evalcases.v1+jsonl"), form: "lines", schema: "capture", required: false, most: 48 * MIB },
  { name: of("examples.jsonl"), type: kolm("examples.v1+jsonl"), form: "lines", schema: "examples_row", required: true, most: 48 * MIB },
  { name: of("trace.jsonl"), type: kolm("trace.v1+jsonl"), form: "lines", schema: "trace_row", required: true, most: 24 * MIB },
  { name: of("predictions.jsonl"), type: kolm("predictions.v1+jsonl"), form: "lines", schema: "predictions_row", required: true, most: 48 * MIB },
  { name: of("evaluation.json"), type: kolm("evaluation.v1+json"), form: "document", schema: "evaluation", required: true, most: DOCUMENT },
  { name: of("README.md"), type: model("doc.v1.raw"), form: "text", required: true, most: MIB / 4 },
  { name: /^checkpoint-[0-9]{8}\.json$/, type: kolm("checkpoint.v1+json"), form: "document", schema: "checkpoint", required: false, most: DOCUMENT },
  { name: /^checkpoint-[0-9]{8}\.safetensors$/, type: kolm("checkpoint.v1.safetensors"), form: "safetensors", required: false, most: BLOB },
  { name: /^evalimage-[0-9a-f]{64}$/, type: kolm("evalimage.v1"), form: "picture", required: false, most: 64 * MIB },
];

export const LIMITS = { file: 68_719_476_736, entries: 8_192, members: 4_108, claims: 256, line: 65_536 };

export const kindOf = (name: string): Kind | undefined => KINDS.find((kind) => kind.name.test(name));

/** M1 to M5: the manifest that these members make; they come as name, digest and size. */
export function manifestOf(members: readonly { name: string; digest: string; size: number }[]): JsonObject {
  const place = (name: string): number => KINDS.findIndex((kind) => kind.name.test(name));
  const sorted = [...members].sort((a, b) => place(a.name) - place(b.name) || (a.name < b.name ? -1 : 1));
  const [config, ...layers] = sorted.map(({ name, digest, size }) => {
    const type = kindOf(name)?.type ?? "";
    const annotations: JsonObject = { "org.opencontainers.image.title": name };
    if (type.startsWith("application/vnd.cncf.model.")) annotations["org.cncf.model.filepath"] = name;
    return { annotations, digest, mediaType: type, size };
  });
  return { artifactType: BUNDLE_TYPE, config: config ?? {}, layers, mediaType: MANIFEST_TYPE, schemaVersion: 2 };
}

export const titleOf = (descriptor: JsonObject): string =>
  String((descriptor.annotations as JsonObject)["org.opencontainers.image.title"]);

export const descriptors = (manifest: Manifest): (JsonObject & { digest: string; size: number; mediaType: string })[] => [
  manifest.config,
  ...manifest.layers,
];
