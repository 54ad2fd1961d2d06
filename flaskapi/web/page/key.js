// The question for a key, which stays in this tab.

import { $ } from "./answer.js";
import { keys } from "./ask.js";
import { t } from "./words.js";

/** From now on, whatever needs a key asks for it here. */
export function askForKeys() {
  keys.wanted = (wrong) => new Promise((resolve) => {
    $("key-note").textContent = wrong ? t("This key is unknown, or was revoked.") : t("It stays in this tab and is forgotten when the tab is closed.");
    $("key").value = "";
    $("key-dialog").onclose = () => resolve($("key-dialog").returnValue === "ok" ? $("key").value.trim() : null);
    $("key-dialog").returnValue = "";
    $("key-dialog").showModal();
  });
  $("key-no").addEventListener("click", () => $("key-dialog").close("no"));
}
