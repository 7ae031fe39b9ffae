/** V08: receipt, members, lock, snapshot and trace refer to one another. docs/format/verification.md. */

import { type Answer, Looking, notChecked } from "./answers.ts";
import { digest, equal, merkleRoot, utf8 } from "./bytes.ts";
import type { Bundle } from "./bundle.ts";
import { card } from "./card.ts";
import { checkpointsHold } from "./checkpoints.ts";
import type { Lock } from "./documents.ts";
import { canonical, same } from "./json.ts";
import { rest } from "./receipt.ts";
import { packRoot } from "./snapshot.ts";
import { TABLES } from "./tables.ts";
import { examplesHold, seeds, traceHolds } from "./trace.ts";

export async function documents(bundle: Bundle): Promise<Answer> {
  const { receipt, lock, header, snapshot, examples, trace, modules, evaluation, adapter } = bundle.documents;
  if (!receipt || !lock || !header || !snapshot || !examples || !trace || !modules || !evaluation || !adapter) {
    return notChecked("a document could not be read");
  }
  const look = new Looking();
  for (const [key, value] of Object.entries(rest(lock, header.root, trace, bundle.digests))) {
    look.demand(same(receipt[key], value), "B8", `${key} of the receipt does not follow`);
  }
  const { data } = lock;
  look.demand(data.snapshot === bundle.digests.get("snapshot.json"), "B9", "the lock names another snapshot");
  look.demand(data.root === header.root, "B9", "the lock names another root of the snapshot");
  const published = bundle.digests.get("evalcases.jsonl");
  look.demand(published === undefined || data.cases === published, "B9", "the lock names other cases");
  const training = snapshot.filter((row) => row.split === "train" || row.split === "validation").map((row) => canonical(row));
  look.demand(data.training === merkleRoot(training), "L2", "the lock names other captures to train on");
  lockHolds(look, lock);
  look.demand(header.rule.nonce === (lock.request === null ? undefined : lock.nonce), "R6", "the split was not drawn for the request that the lock names");
  if (lock.evaluation.pack !== undefined) {
    look.demand(lock.evaluation.pack === packRoot(snapshot), "R7", "the cases are not the pack that the lock names");
    const apart = header.rule.kind === "official" && ["refuse", "drop"].includes(header.near_duplicates.policy);
    look.demand(apart, "R7", "near twins of the pack may be in training");
  }
  examplesHold(look, lock, snapshot, examples);
  traceHolds(look, lock, examples, trace);
  pictures(look, bundle, lock);
  await checkpointsHold(look, bundle);
  const made = card(receipt, lock, evaluation);
  look.demand(equal(utf8(made), bundle.members.get("README.md") ?? new Uint8Array()), "B15", "the model card is not the one that receipt, lock and evaluation make");
  return look.answer(`${bundle.members.size} members`);
}

function lockHolds(look: Looking, lock: Lock): void {
  const { environment, train, base, rates } = lock;
  const { class: stated, ...others } = environment;
  look.demand(stated === digest(canonical(others)), "B13", "environment.class is not the digest of the rest");
  look.demand((environment.accelerator !== undefined) === (environment.device !== "cpu"), "B13", "accelerator stands where the CPU computed, or not where it did not");
  const library = (TABLES.optimizers as Record<string, string>)[train.optimizer];
  const used = train.quantisation !== null || library === "bitsandbytes";
  look.demand((environment.bitsandbytes !== undefined) === used, "B13", `bitsandbytes is ${used ? "not " : ""}named`);
  const due = seeds(lock);
  look.demand(lock.seeds.initialisation === due.initialisation && lock.seeds.order === due.order, "L9", "a seed does not follow from what training rests on");
  const sorted = (names: readonly string[]): boolean => names.every((name, i) => i === 0 || (names[i - 1] as string) < name);
  look.demand(sorted(train.method.targets), "B17", "targets are not sorted");
  look.demand(sorted(base.files.map((file) => file.name)), "B17", "the files of the base are not sorted");
  for (const { name } of base.files) {
    const plain = !name.includes("\\") && name.split("/").every((part) => part !== "" && part !== "." && part !== "..");
    look.demand(plain, "B17", `${name} is a path`);
  }
  look.demand(rates.source !== "recommended" || rates.recommended === train.learning_rate, "L16", "the learning rate is not the recommended one");
  const processes = environment.world_size;
  look.demand(train.accumulation % processes === 0 && (processes === 1 || environment.device !== "cpu"), "L11", "so many processes do not train together there");
}

/** B14, for pictures. */
function pictures(look: Looking, bundle: Bundle, lock: Lock): void {
  const here = [...bundle.digests.keys()].filter((name) => name.startsWith("evalimage-")).sort();
  const shown = (bundle.documents.snapshot ?? []).filter((row) => row.split === "eval").flatMap((row) => row.images.map((image) => image.file));
  const due = lock.publish.images ? [...new Set(shown)].map((file) => `evalimage-${file.slice(7)}`).sort() : [];
  look.demand(here.join() === due.join(), "B14", "the pictures are not those of the eval side that the lock publishes");
  for (const name of here) look.demand(bundle.digests.get(name) === `sha256:${name.slice(10)}`, "B14", `${name} is another file`);
}
