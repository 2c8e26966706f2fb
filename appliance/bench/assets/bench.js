"use strict";
// Pages work without this script, except for what is live.

const announce = text => { document.getElementById("announce").textContent = text; };

// replace exchanges the content of a place. The focus stays on the link or field with the same
// address or name.
const replace = (place, html) => {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  const key = e => e.getAttribute("aria-label") || e.getAttribute("href") || e.name || e.id || e.getAttribute("role");
  const scroll = place.querySelector(".scroll");
  const at = scroll && [scroll.scrollLeft, scroll.scrollTop];
  place.innerHTML = html;
  if (at && place.querySelector(".scroll")) [place.querySelector(".scroll").scrollLeft, place.querySelector(".scroll").scrollTop] = at;
  if (!focused) return;
  const again = [...place.querySelectorAll("a, input, select, button, [tabindex]")]
    .find(e => key(e) === key(focused));
  again?.focus({ preventScroll: true });
};

// The panel of a place takes the focus when the page leads to it.
if (location.hash === "#panel") document.getElementById("panel")?.focus({ preventScroll: true });

// live opens a stream of server-sent events while the page is visible. handlers has a function for
// each kind of event.
const live = (address, handlers) => {
  let source, closed = false;
  const open = () => {
    if (closed) return;
    source = new EventSource(typeof address === "function" ? address() : address);
    for (const [kind, handle] of Object.entries(handlers)) {
      source.addEventListener(kind, e => handle(e.data, e));
    }
    source.addEventListener("failed", e => {
      source.close();
      announce(e.data);
    });
  };
  const close = () => source?.close();
  document.addEventListener("visibilitychange", () => {
    close();
    if (!document.hidden) open();
  });
  open();
  return {
    close: () => { closed = true; close(); },
    reopen: () => { closed = false; close(); open(); },
  };
};

// Parts of a page follow the server: <div data-parts="/faults/live"> with elements data-part.
for (const place of document.querySelectorAll("[data-parts]")) {
  const handlers = {};
  for (const part of place.querySelectorAll("[data-part]")) {
    handlers[part.dataset.part] = html => {
      // A form that somebody fills in is not exchanged.
      if (part.contains(document.activeElement) && document.activeElement.matches("input:not([type=checkbox]), select")) return;
      replace(part, html);
    };
  }
  live(place.dataset.parts, handlers);
}

// The picture of the network follows traffic, faults and servers.
for (const place of document.querySelectorAll("[data-follow=network]")) {
  let last = {};
  const show = counts => {
    for (const text of place.querySelectorAll("[data-counts]")) {
      const c = counts[text.dataset.counts];
      text.textContent = c ? `↑${c.sent} ↓${c.received}` : "";
    }
    for (const link of place.querySelectorAll("[data-link]")) {
      const now = counts[link.dataset.link], was = last[link.dataset.link];
      const busy = now && was && (now.sent !== was.sent || now.received !== was.received);
      link.classList.toggle("busy", Boolean(busy));
    }
  };
  live(place.dataset.live, {
    picture: html => replace(place, html),
    panel: html => {
      const panel = document.getElementById("panel-faults");
      if (panel) replace(panel, html);
    },
    counts: data => {
      const { counts } = JSON.parse(data);
      show(counts);
      last = counts;
      document.documentElement.dataset.live = "1";
    },
  });
}

// Lists that grow: <div data-rows="/events/live?..." data-cursor="17">. The newest maxRows are kept.
// The list follows its end unless the user has scrolled away from it.
const maxRows = 2000;
for (const place of document.querySelectorAll("[data-rows]")) {
  const list = place.querySelector("[data-list]");
  const region = list.closest(".scroll");
  const state = place.querySelector("[data-state]");
  const pause = place.querySelector("[data-pause]");
  let cursor = place.dataset.cursor, paused = false;
  const toEnd = () => { region.scrollTop = region.scrollHeight; };
  const atEnd = () => region.scrollTop + region.clientHeight > region.scrollHeight - 30;
  toEnd();
  const add = html => {
    const follow = atEnd();
    list.insertAdjacentHTML("beforeend", html);
    while (list.rows.length > maxRows) list.deleteRow(0);
    if (follow) toEnd();
  };
  const stream = live(() => `${place.dataset.rows}&since=${cursor}`, {
    row: (html, e) => { cursor = e.lastEventId; add(html); },
    gap: text => { state.textContent = text; },
    end: text => {
      state.textContent = text;
      stream.close();
    },
  });
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    pause.textContent = paused ? "Continue" : "Pause";
    state.textContent = paused ? "Paused: what happens meanwhile is shown afterwards" : "Live";
    if (paused) stream.close(); else stream.reopen();
  });
  place.querySelector("[data-read]")?.addEventListener("change", e => {
    list.setAttribute("aria-live", e.target.checked ? "polite" : "off");
  });
}

// A click anywhere in the row of a packet opens the packet, unless text was selected.
document.addEventListener("click", e => {
  const row = e.target.closest("tr[data-row]");
  if (!row || e.target.closest("a") || !getSelection().isCollapsed) return;
  row.querySelector("a").click();
});
