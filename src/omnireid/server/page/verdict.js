// The head of an answer: what is said, how sure that is, of which question, and what it means.

import { whenStateIsKnown } from "./cameras.js";
import { bestOf, caution, meaning, shares } from "./certainty.js";
import { h, icon } from "./dom.js";
import { personName } from "./format.js";
import { asked } from "./question.js";
import { text } from "./text.js";

/** `answer` as it may be said (certainty.js); `extra`: what follows below the numbers. */
export function verdict(answer, question, warnings, extra) {
  const kind = answer.calibrated ? answer.decision ?? "none" : "none";
  const { words } = question;
  const facts = h("p.hint", [text.answer.shown(answer.groups.length), answer.is_exact ? text.search.exactDone : null, text.search.took(answer.took_ms)].filter(Boolean).join(" · "));
  if (!answer.is_exact) sayApproximate(facts);
  const notes = [words.length ? text.search.only(words) : "", answer.note || (answer.calibrated ? "" : text.search.verdict.noneHint)];
  const stated = meaning(answer);
  return h(
    `header.verdict.${kind}`,
    icon(kind === "none" ? "score" : kind),
    h(
      "div.grow",
      h("h2", { tabIndex: -1 }, title(kind, bestOf(answer))),
      shares(answer),
      [caution(answer), ...warnings].filter(Boolean).map((words) => h("p.caution", icon("alert"), h("span", words))),
      extra,
      notes.filter(Boolean).map((note) => h("p.note", note)),
      stated.length ? h("p.note.meaning", stated.join(" ")) : null,
      facts,
    ),
    asked(question, answer),
  );
}

/** Only an index is approximate; without one nothing was left out on purpose. */
function sayApproximate(facts) {
  const place = h("span");
  facts.append(place);
  whenStateIsKnown(place, ({ index }) => (index.status === "ready" ? [" · ", text.search.approximateDone] : []));
}

function title(kind, best) {
  if (kind !== "same") return text.search.verdict[kind];
  return best.identity ? text.search.is(personName({ id: best.identity, name: best.name })) : text.search.isUnassigned;
}
