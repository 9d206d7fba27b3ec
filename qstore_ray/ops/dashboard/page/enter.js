// The token is behind the # of the address, which no browser sends: it is handed over here.
"use strict";

async function enter() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  const why = document.getElementById("why");
  history.replaceState(null, "", "/enter"); // neither the history nor a bookmark keeps it
  try {
    const headers = { Authorization: `Bearer ${token}` };
    const answer = token ? await fetch("/session", { method: "POST", headers }) : null;
    if (answer?.ok) location.replace("/");
    else if (answer) why.textContent = "This is not the token of this dashboard. If it was started again, open the address that it printed last.";
    else why.textContent = "The address has no token. Open it as qstore dashboard printed it, with all that follows the #.";
  } catch {
    why.textContent = "The dashboard does not answer any more.";
  }
}

addEventListener("hashchange", enter); // the right address after a wrong one, in the same tab
enter();
