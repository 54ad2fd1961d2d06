// Says what went wrong, and asks before what cannot be taken back lightly.

import { $, h } from "./answer.js";
import { Problem, keys, setKey } from "./ask.js";
import { saysMore, t, trouble } from "./words.js";

/** What went wrong, in words; the service's own follow where they say more. */
export function explain(problem) {
  const isConflict = problem.kind === "conflict";
  const more = isConflict || saysMore(problem.kind) ? problem.message : "";
  return [h("p", {}, isConflict ? t("That cannot be as things stand.") : trouble(problem)), ...(more ? [h("p", { className: "quiet", lang: "en" }, more)] : [])];
}

/** Says what went wrong; where it may go by itself, it is tried again. */
export function fail(problem, again) {
  if (!(problem instanceof Problem)) console.error(problem);
  const button = (words, act) => h("button", { type: "button", onclick: () => { settle(); act(); } }, t(words));
  const other = async () => {
    const given = await keys.wanted(false);
    if (given) setKey(given);
    again();
  };
  const isRefused = again && problem.kind === "forbidden"; // the part is not for this key, and a try more would not help
  const ways = isRefused ? [button("Use another key", other)] : again ? [button("Try again", again)] : [];
  document.querySelector("main").classList.toggle("refused", Boolean(isRefused));
  $("trouble").hidden = false;
  $("trouble").replaceChildren(...explain(problem), h("div", { className: "tools" }, ...ways));
  $("trouble").scrollIntoView({ block: "nearest" });
}

/** It is over. */
export function settle() {
  document.querySelector("main").classList.remove("refused");
  $("trouble").hidden = true;
  $("trouble").replaceChildren();
}

/**
 * Does something that the service may refuse, and says so where it does. Gives whether it was done.
 * @param button cannot be pressed meanwhile
 */
export async function attempt(act, again, button = {}) {
  settle();
  button.disabled = true;
  try {
    await act();
    return true;
  } catch (problem) {
    fail(problem, again);
    return false;
  } finally {
    button.disabled = false;
  }
}

/** Asks whether something is meant. */
export const isMeant = (question, words, yes) => new Promise((resolve) => {
  const dialog = h("dialog", { className: "asks", "aria-labelledby": "asks-title", onclose: () => { dialog.remove(); resolve(dialog.returnValue === "ok"); } },
    h("form", { method: "dialog" }, h("h2", { id: "asks-title" }, question), h("p", {}, words),
      h("div", { className: "bar" }, h("button", { value: "ok", className: "main" }, yes), h("button", { value: "no", formNoValidate: true }, t("Cancel")))));
  document.body.append(dialog);
  dialog.showModal();
});
