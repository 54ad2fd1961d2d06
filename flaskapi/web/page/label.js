// "It was ...": what a person says that a picture shows, which can be taken back.

import { $, h } from "./answer.js";
import { ask } from "./ask.js";
import { t, trouble } from "./words.js";

let said = null; // how to label what is shown, or null

/** Offers to label what is shown; `keep` gives the id under which the picture is kept, or null where nothing is. */
export function offerLabel(answer, keep) {
  const isDigit = "digit" in answer, field = isDigit ? "digit" : "number";
  let id = null, busy = Promise.resolve();
  const put = (value) => {
    for (const button of $("label-ways").querySelectorAll("[data-value]")) {
      button.setAttribute("aria-pressed", String(button.dataset.value === String(value)));
    }
    busy = busy.then(async () => {
      id = await keep();
      if (!id) return thank(t("Thank you, but nothing is kept here."));
      const body = JSON.stringify({ [field]: value });
      const done = await ask(`submissions/${id}/label`, { method: "PUT", body, headers: { "Content-Type": "application/json" } });
      const shown = value ?? t(isDigit ? "no digit" : "no number");
      const words = done.note
        ? t("Thank you. An operator's label stands: it outweighs yours.")
        : t("Thank you. It is kept as “{0}”, with the receipt {1}.", shown, id);
      thank(words, back);
    }).catch((problem) => thank(trouble(problem)));
    return busy;
  };
  const back = async () => {
    try {
      await ask(`submissions/${id}/label`, { method: "DELETE" });
      for (const button of $("label-ways").querySelectorAll("[data-value]")) button.setAttribute("aria-pressed", "false");
      thank(t("It is taken back."));
    } catch (problem) {
      thank(trouble(problem));
    }
  };
  const none = h("button", { className: "small", "data-value": "null", "aria-pressed": "false", onclick: () => put(null) }, t(isDigit ? "No digit" : "No number"));
  $("label-ways").replaceChildren(...(isDigit ? digitWays(put) : [numberWay(answer, put)]), none);
  thank("");
  $("label-title").textContent = t(isDigit ? "It was …" : "It was the number");
  $("label").hidden = false;
  said = isDigit ? put : null;
}

/** Labels by a key, 0 to 9. */
export const labelByKey = (digit) => !$("label").hidden && said !== null && (said(digit), true);

function digitWays(put) {
  const buttons = Array.from({ length: 10 }, (_, digit) =>
    h("button", { className: "key", "data-value": `${digit}`, "aria-pressed": "false", onclick: () => put(digit) }, `${digit}`));
  return [h("div", { className: "ten" }, ...buttons)];
}

function numberWay(answer, put) {
  const input = h("input", { id: "number", "aria-labelledby": "label-title", value: answer.number, inputMode: "numeric", autocomplete: "off", maxLength: 256 });
  const submit = (event) => {
    event.preventDefault();
    const value = input.value.replace(/\s/g, "");
    if (/^\d+$/.test(value)) put(value);
    else thank(t("Only digits, please"));
  };
  return h("form", { onsubmit: submit }, input, h("button", {}, t("Keep")));
}

function thank(words, back) {
  const more = back ? [" ", h("button", { className: "small", id: "take-back", onclick: back }, t("Take it back"))] : [];
  $("thanks").replaceChildren(words, ...more);
}
