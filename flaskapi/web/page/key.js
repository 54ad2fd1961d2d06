// Asks for a key, which stays in this tab.

import { $, h } from "./answer.js";
import { keys } from "./ask.js";
import { t } from "./words.js";

/** Whatever needs a key asks here. */
export function askForKeys(...more) {
  const dialog = h("dialog", { id: "key-dialog", "aria-labelledby": "key-title" },
    h("form", { method: "dialog" },
      h("h2", { id: "key-title" }, t("A key is needed here")),
      h("p", { id: "key-note" }), ...more, h("label", { htmlFor: "key" }, t("Key")),
      h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: false }),
      h("div", { className: "bar" },
        h("button", { value: "ok", className: "main" }, t("Use this key")), " ",
        h("button", { type: "button", id: "key-no", onclick: () => dialog.close("no") }, t("Cancel")))));
  document.body.append(dialog);
  keys.wanted = (wrong) => new Promise((resolve) => {
    $("key-note").textContent = wrong ? t("This key is unknown, revoked or expired.") : t("It stays in this tab and is forgotten when the tab is closed.");
    $("key").value = "";
    dialog.onclose = () => resolve(dialog.returnValue === "ok" ? $("key").value.trim() : null);
    dialog.returnValue = "";
    dialog.showModal();
  });
}
