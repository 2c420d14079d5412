// How sure an answer is: the people in it, everybody else and nobody, who together are certain.

import { h } from "./dom.js";
import { percent, personName, thousandths } from "./format.js";
import { text } from "./text.js";

const isKnown = (value) => value !== null && value !== undefined;

/** Who a group is, in words. */
export const groupName = ({ identity, name }) => (identity ? personName({ id: identity, name }) : text.nobody);

/** Who is most likely; undefined where nobody was found. */
export const bestOf = ({ groups }) => groups.reduce((best, one) => (best && rank(best) >= rank(one) ? best : one), undefined);
const rank = ({ probability, score }) => probability ?? score;

/** The answer as it may be said: from pictures that show too little, nothing but "unsure" can be. */
export function sayable(answer, isPoor) {
  if (!isPoor) return answer;
  const unsure = (judged) => ({ ...judged, decision: judged.decision && "unsure" });
  const groups = answer.groups.map((group) => ({ ...unsure(group), candidates: group.candidates.map(unsure) }));
  return { ...unsure(answer), groups };
}

/** The shares of the best person, the other ones below, those not shown and nobody, as a bar and in words. */
export function shares(answer) {
  const best = bestOf(answer);
  if (!answer.calibrated || !isKnown(best?.probability)) return null;
  const below = answer.groups.filter((one) => one !== best);
  const parts = [
    ["likeliest", groupName(best), best.probability],
    ...(below.length ? [["below", text.answer.below(below.length), below.reduce((sum, { probability }) => sum + probability, 0)]] : []),
    ["others", text.answer.others, answer.others],
    ["nobody", text.answer.nobody, answer.nobody],
  ];
  const segment = ([kind, , share]) => {
    const element = h(`span.share.${kind}`);
    element.style.inlineSize = `${100 * Math.min(1, Math.max(0, share))}%`;
    return element;
  };
  return h(
    "div.shares",
    h("div.share-bar", { "aria-hidden": "true" }, parts.map(segment)),
    h("dl", parts.map(([kind, words, share]) => h(`div.${kind}`, h("dt", words), h("dd", percent(share))))),
  );
}

/** What "same person" means in this answer: how often it is said of strangers, and from which probability on. */
export function meaning({ calibrated, people: count, measured, false_alarm_rate: wanted, same_from: from, prior }) {
  if (!calibrated || !isKnown(count)) return [];
  return [
    text.answer.through(count),
    measured ? text.answer.measured(count, ...[measured.rate, measured.low, measured.high].map(thousandths)) : wanted ? text.answer.wanted(count, thousandths(wanted)) : "",
    isKnown(from) ? text.answer.sameFrom(percent(from)) : "",
    isKnown(prior) ? text.answer.prior(percent(prior)) : "",
  ].filter(Boolean);
}

/** What must be known before this answer is relied upon; "" where nothing. */
export const caution = ({ people: count, measured }) =>
  measured?.is_extrapolated ? text.answer.extrapolated(count, measured.people) : "";
