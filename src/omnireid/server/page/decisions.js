// Same, new or unsure: in words and shape, never by colour alone.

import { h, icon, select } from "./dom.js";
import { amongMany, oneIn, percent, rate, score } from "./format.js";
import { session } from "./session.js";
import { text } from "./text.js";

/** A badge; where there is no calibration it says that there is only a score. */
export function badge(decision) {
  if (!decision) return h("span.badge.none", icon("score"), text.decision.none);
  return h(`span.badge.${decision}`, { title: text.decision[`${decision}Hint`] }, icon(decision), text.decision[decision]);
}

/** Only the shape, with its words for those who do not see it; "" where they stand beside it. */
export function mark(decision, words = text.decision[decision]) {
  if (!decision) return null;
  return h(`span.mark.${decision}`, { title: words }, icon(decision), h("span.sr-only", words));
}

/** Probability with a bar, or the score where there is no calibration. */
export function likeness({ probability, score: value, decision }) {
  const isKnown = probability !== null && probability !== undefined;
  const bar = h("span.bar-fill");
  bar.style.inlineSize = `${100 * Math.min(1, Math.max(0, isKnown ? probability : value))}%`;
  return h(
    `div.likeness.${decision ?? "none"}`,
    { title: isKnown ? `${text.score} ${score(value)}` : text.scoreHint },
    h("span.likeness-number", isKnown ? percent(probability) : score(value)),
    h("span.likeness-label", isKnown ? `${text.probability} · ${text.score.toLowerCase()} ${score(value)}` : text.score),
    h("span.bar", { "aria-hidden": "true" }, bar),
  );
}

/** The rates that the calibration has thresholds for, and the one that holds where none is chosen. */
export const ofSearches = () => ({ rates: session.info.false_alarm_rates, usual: session.info.usual_false_alarm_rate });
export const ofPairs = () => ({ rates: session.info.pair_false_alarm_rates, usual: Math.min(...session.info.pair_false_alarm_rates) });

/** What a false-alarm rate means to somebody who looks at answers. `words`: of searches, or of comparisons. */
export const meaningOf = (share, words) => words(rate(share), ...amongMany(share));

/** A choice among rates; "" is the usual one. */
export function rateChoice(value, onchange, { rates, usual }) {
  return select([["", text.falseAlarmDefault(rate(usual))], ...rates.map((share) => [String(share), `${rate(share)} · ${oneIn(share)}`])], value, onchange);
}

const PRIORS = ["0.9", "0.5", "0.1", "0.01"];

/** How likely it is, before looking, that whoever is searched for is in the gallery at all. */
export function priorChoice(value, onchange) {
  const shares = PRIORS.includes(value) ? PRIORS : [...PRIORS, value];
  return select(shares.map((share) => [share, text.priors[share] ?? rate(Number(share))]), value, onchange);
}
