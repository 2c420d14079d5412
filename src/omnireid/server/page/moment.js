// A moment that is typed or picked, shown as the page shows every other time: "2 Mar 2026, 08:05". The browser's own
// control writes its date in the order of the browser's language, which may be another one.

import { h, iconButton } from "./dom.js";
import { momentWords, toLocal, zone } from "./format.js";
import { text } from "./text.js";

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const CLOCK = "(?:[T, ]+(\\d{1,2}):(\\d{2})(?::(\\d{2}))?)?";
const ISO = new RegExp(`^(\\d{4})-(\\d{1,2})-(\\d{1,2})${CLOCK}$`);
const NAMED = new RegExp(`^(\\d{1,2})\\.? +([a-z]{3,9})\\.?,? +(\\d{4})${CLOCK}$`, "i");
const two = (number) => String(number).padStart(2, "0");

/**
 * "2 Mar 2026, 08:05" or "2026-03-02 08:05" → "2026-03-02T08:05", in the reader's zone; "" for nothing, null for what
 * cannot be read. A day without a clock begins at midnight, or ends a second before the next where `isEnd`.
 */
function parseMoment(words, isEnd = false) {
  const typed = words.trim();
  if (!typed) return "";
  let [, year, month, day, ...clock] = ISO.exec(typed) ?? [];
  if (!year) {
    [, day, month, year, ...clock] = NAMED.exec(typed) ?? [];
    month = month ? String(MONTHS.indexOf(month.slice(0, 3).toLowerCase()) + 1) : "0";
  }
  const [hours, minutes, seconds] = clock[0] === undefined ? (isEnd ? [23, 59, 59] : [0, 0, 0]) : clock.map((part) => Number(part ?? 0));
  const date = new Date(Number(year), Number(month) - 1, Number(day), hours, minutes, seconds);
  const isDay = date.getFullYear() === Number(year) && date.getMonth() === Number(month) - 1 && date.getDate() === Number(day);
  if (!year || !isDay || hours > 23 || minutes > 59 || seconds > 59) return null;
  return `${year}-${two(month)}-${two(day)}T${two(hours)}:${two(minutes)}${seconds ? `:${two(seconds)}` : ""}`;
}

/**
 * A control for `field` (dom.js); `value` and what `onchange` is given are as `parseMoment` gives them. `set(value)`
 * puts another one in.
 */
export function moment(value, onchange, { isEnd = false } = {}) {
  let current = value;
  const input = h("input", { type: "text", autocomplete: "off", spellcheck: false, placeholder: text.moment.example, value: momentWords(value) });
  const native = h("input.native", { type: "datetime-local", step: 1, tabIndex: -1, "aria-hidden": "true" });
  const pick = () => {
    native.value = current;
    native.showPicker();
  };
  const element = h("div.moment", input, iconButton("clock", text.moment.pick, pick), native);
  const take = (next) => {
    input.setCustomValidity(next === null ? text.moment.unreadable : "");
    if (next === null) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    const known = next ?? "";
    if (known === current) return;
    current = known;
    onchange(known);
  };
  const set = (next) => {
    input.value = momentWords(next);
    take(next);
  };
  input.addEventListener("input", () => take(parseMoment(input.value, isEnd)));
  input.addEventListener("change", () => (input.checkValidity() ? set(parseMoment(input.value, isEnd)) : input.reportValidity()));
  native.addEventListener("change", () => set(native.value ? parseMoment(native.value) : ""));
  return Object.assign(element, { labelled: input, set });
}

const HOUR = 3_600_000;
/** @type {[string, () => Date][]} */
const PRESETS = [
  [text.moment.lastHour, () => new Date(Date.now() - HOUR)],
  [text.moment.today, () => new Date(new Date().setHours(0, 0, 0, 0))],
  [text.moment.lastDays, () => new Date(Date.now() - 7 * 24 * HOUR)],
];

/** Buttons for the times that are asked for most; `onchoose(since)`. */
export const presets = (onchoose) =>
  h(
    "div.presets",
    { role: "group", "aria-label": text.moment.presets },
    PRESETS.map(([words, since]) => h("button", { type: "button", onclick: () => onchoose(toLocal(since()).slice(0, 16)) }, words)),
    h("span.hint", text.moment.zone(zone())),
  );
