// Same, new or unsure: in words and shape, never by colour alone.

import { h, icon, select } from "./dom.js";
import { inStrangers, oneIn, percent, rate, score } from "./format.js";
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

/** The rate that holds where none is chosen. */
export const strictest = () => Math.min(...session.info.false_alarm_rates);

/** What a false-alarm rate means to somebody who looks at answers. */
export const meaningOf = (share) => text.search.stated(rate(share), inStrangers(share));

/** A choice among the rates that the calibration has thresholds for; "" is its own default. */
export function rateChoice(value, onchange) {
  const rates = session.info.false_alarm_rates;
  return select([["", text.falseAlarmDefault(rate(strictest()))], ...rates.map((share) => [String(share), `${rate(share)} · ${oneIn(share)}`])], value, onchange);
}

const PRIORS = ["0.5", "0.1", "0.01", "0.001", "0.0001"];

/** How likely a comparison is of one person before the pictures are looked at; "" goes by the gallery's size. */
export function priorChoice(value, onchange) {
  const shares = [...new Set([...PRIORS, ...(value ? [value] : [])])];
  return select([["", text.priorDefault], ...shares.map((share) => [share, text.priors[share] ?? oneIn(Number(share))])], value, onchange);
}
