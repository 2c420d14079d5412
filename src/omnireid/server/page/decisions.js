// Same, new or unsure: in words and shape, never by colour alone.

import { h, icon, select } from "./dom.js";
import { percent, rate, score } from "./format.js";
import { session } from "./session.js";
import { text } from "./text.js";

/** A badge; where there is no calibration it says that there is only a score. */
export function badge(decision) {
  if (!decision) return h("span.badge.none", {}, icon("score"), text.decision.none);
  return h(`span.badge.${decision}`, { title: text.decision[`${decision}Hint`] }, icon(decision), text.decision[decision]);
}

/** Only the shape, with its words for those who do not see it. */
export function mark(decision) {
  if (!decision) return null;
  const words = text.decision[decision];
  return h(`span.mark.${decision}`, { title: words }, icon(decision), h("span.sr-only", {}, words));
}

/** Probability with a bar, or the score where there is no calibration. */
export function likeness({ probability, score: value, decision }) {
  const isKnown = probability !== null && probability !== undefined;
  const bar = h("span.bar-fill");
  bar.style.inlineSize = `${100 * Math.min(1, Math.max(0, isKnown ? probability : value))}%`;
  return h(
    `div.likeness.${decision ?? "none"}`,
    { title: isKnown ? `${text.score} ${score(value)}` : text.scoreHint },
    h("span.likeness-number", {}, isKnown ? percent(probability) : score(value)),
    h("span.likeness-label", {}, isKnown ? `${text.probability} · ${text.score.toLowerCase()} ${score(value)}` : text.score),
    h("span.bar", { "aria-hidden": "true" }, bar),
  );
}

/** A choice among the rates that the calibration has thresholds for; "" is its own default. */
export const rateChoice = (value, onchange) =>
  select([["", text.falseAlarmDefault(rate(Math.min(...session.info.false_alarm_rates)))], ...session.info.false_alarm_rates.map((share) => [String(share), rate(share)])], value, onchange);
