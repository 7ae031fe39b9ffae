/** The metrics by their names. */

import type { Metric } from "../documents.ts";
import { choice } from "./choice.ts";
import { ciderD } from "./cider_d.ts";
import { iou } from "./iou.ts";
import { jsonF1 } from "./json_f1.ts";
import type { Judge, Make } from "./metric.ts";
import { regex } from "./regex.ts";
import { ONE, compare } from "../rational.ts";
import { anls, contains, exact, pope, relaxed, rougeL } from "./texts.ts";
import { vqa } from "./vqa.ts";

const METRICS: Record<string, Make> = {
  anls, choice, cider_d: ciderD, contains, exact, iou, json_f1: jsonF1, pope, regex, relaxed, rouge_l: rougeL, vqa,
};

/** The judge of a lock's metric; the references are those of all cases. */
export function judgeOf(metric: Metric, references: readonly (readonly string[])[]): Judge {
  const make = METRICS[metric.kind];
  if (make === undefined) throw new Error(`the metric ${metric.kind} is not known`);
  return make(metric, references);
}

/** E6: what the paired test is called under a metric, by whether its scores are 0 and 1 alone. */
export function pairedMethod(metric: Metric): "mcnemar-exact" | "sign-exact" {
  const { least } = judgeOf(metric, [[""]]);
  return compare(least, ONE) === 0 ? "mcnemar-exact" : "sign-exact";
}
