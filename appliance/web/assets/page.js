"use strict";
// Every page works without this script. It opens and closes menus, keeps forms during a login,
// ticks boxes, follows captures that change, checks filters while the user types, and selects
// the choice whose field the user types into.
document.documentElement.classList.add("js");

// Menus: one is open at a time. Escape, a click elsewhere and focus elsewhere close it. Escape
// returns the focus to the menu's title if it was inside the menu.
const openMenu = () => document.querySelector(".menus details[open]");
const closeOtherMenu = e => {
  const menu = openMenu();
  if (menu && !menu.contains(e.target)) menu.open = false;
};
document.addEventListener("click", closeOtherMenu);
document.addEventListener("focusin", closeOtherMenu);
document.addEventListener("keydown", e => {
  const menu = openMenu();
  if (e.key !== "Escape" || !menu) return;
  const inside = menu.contains(document.activeElement);
  menu.open = false;
  if (inside) menu.querySelector("summary").focus();
});
const drawer = document.querySelector(".drawer");
if (drawer) {
  drawer.hidden = false;
  drawer.addEventListener("click", () => {
    const on = document.getElementById("menus").classList.toggle("open");
    drawer.setAttribute("aria-expanded", on);
  });
}

// The focus is on what says that a form was refused.
document.querySelector("#form-error, main > .notice.bad")?.focus();

// Previous and Next keep the focus, so that the keyboard can walk through packets and pages.
const pagerLinks = () => [...document.querySelectorAll("nav.pager")].flatMap((nav, i) =>
  [...nav.querySelectorAll("[data-pager]")].map(e => [i + e.dataset.pager, e]));
const lastPager = sessionStorage.getItem("pager");
sessionStorage.removeItem("pager");
pagerLinks().find(([key]) => key === lastPager)?.[1].focus({ preventScroll: true });
document.addEventListener("click", e => {
  const clicked = e.target.closest("[data-pager]");
  const key = pagerLinks().find(([, link]) => link === clicked)?.[0];
  if (key) sessionStorage.setItem("pager", key);
});

// If the session has expired when a form is sent, the values of the form are kept in this tab
// and filled in if the login leads back to the form. Any other page drops them. Passphrases are
// not kept.
if (location.pathname !== "/login") {
  const kept = JSON.parse(sessionStorage.getItem("form") || "{}");
  sessionStorage.removeItem("form");
  let from = "";
  try { from = new URL(document.referrer).pathname; } catch { /* there is no referrer */ }
  for (const form of document.querySelectorAll("form.settings")) {
    const isKept = e => e.name && e.type !== "password" && e.type !== "hidden";
    const fields = [...form.elements].filter(isKept);
    const value = e => (e.type === "checkbox" || e.type === "radio" ? "checked" : "value");
    const here = kept.path === location.pathname && kept.values.length === fields.length;
    if (from === "/login" && here) {
      fields.forEach((e, i) => { e[value(e)] = kept.values[i]; });
    }
    form.addEventListener("submit", () => {
      const values = fields.map(e => e[value(e)]);
      sessionStorage.setItem("form", JSON.stringify({ path: location.pathname, values }));
    });
  }
}

// Boxes that tick all other boxes of their form.
const summarize = form => {
  for (const all of form.querySelectorAll("[data-all]")) {
    const boxes = [...form.querySelectorAll(`input[name="${all.dataset.all}"]`)];
    const n = boxes.filter(b => b.checked).length;
    all.checked = n === boxes.length;
    all.indeterminate = n > 0 && n < boxes.length;
    all.hidden = false;
    all.closest(".allbar")?.removeAttribute("hidden");
  }
};
const summarizeForms = () => {
  new Set([...document.querySelectorAll("[data-all]")].map(all => all.form)).forEach(summarize);
};
summarizeForms();
document.addEventListener("change", e => {
  const form = e.target.form;
  if (!form || !form.querySelector("[data-all]")) return;
  if (e.target.dataset.all) {
    const boxes = form.querySelectorAll(`input[name="${e.target.dataset.all}"]`);
    for (const b of boxes) b.checked = e.target.checked;
  }
  summarize(form);
});

const removeAll = selector => { for (const e of document.querySelectorAll(selector)) e.remove(); };

// setText changes a text only if it differs, so that a selection in it survives.
const setText = (e, text) => { if (e.textContent !== String(text)) e.textContent = text; };

// replace exchanges the content of a place. Ticked boxes stay ticked, and the focus stays on the
// same element. If that has gone, the heading of the section gets the focus.
const replace = (place, html) => {
  const ticked = new Set([...place.querySelectorAll("input:checked")].map(b => b.value));
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  const same = e => e.tagName === focused.tagName && e.name === focused.name &&
    (e.value || e.href) === (focused.value || focused.href);
  place.innerHTML = html;
  const boxes = place.querySelectorAll("input[type=checkbox][name]");
  for (const b of boxes) b.checked = ticked.has(b.value);
  summarizeForms();
  if (!focused) return;
  const again = [...place.querySelectorAll("a, input, button")].find(same) ||
    place.closest("section")?.querySelector("h2");
  again?.focus({ preventScroll: true });
};

// poll calls refresh again and again while the page is visible. refresh returns the time in
// milliseconds until the next call, or 0 to end.
const poll = refresh => {
  let timer, wait = 1000, running = false;
  const next = async () => {
    clearTimeout(timer);
    if (running) return;
    running = true;
    try { wait = await refresh(); } catch { /* the appliance does not answer: try again */ }
    running = false;
    if (wait && !document.hidden) timer = setTimeout(next, wait);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden && wait) next(); });
  next();
};

// load fetches an address of this site. If the session has ended, or the user's role no longer
// permits the page, the page is loaded again, which leads to the login or says so.
const load = async (address, headers) => {
  const answer = await fetch(address, { cache: "no-store", headers });
  if (answer.status === 401 || answer.status === 403) {
    location.reload();
    await new Promise(() => {});
  }
  return answer;
};

// Pages without forms are refreshed, because other sessions may change what they show. The request
// is marked, so that it does not count as activity of the user.
const refreshed = document.querySelector("[data-refresh]");
if (refreshed) {
  const parts = ["[data-refresh]", "[data-pending]"].map(s => [document.querySelector(s), s]);
  let seen = null;
  poll(async () => {
    if (seen === null) { // the page has just been loaded
      seen = parts.map(([part]) => part.innerHTML);
      return 5000;
    }
    const answer = await load(location.href, { "X-Refresh": "1" });
    if (!answer.ok) return 5000;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const role = page => page.querySelector("[data-role]")?.dataset.role;
    if (role(fresh) !== role(document)) return location.reload();
    parts.forEach(([part, selector], i) => {
      const html = fresh.querySelector(selector)?.innerHTML;
      if (html === undefined || html === seen[i]) return;
      seen[i] = html;
      replace(part, html);
    });
    if (!fresh.querySelector(".commit.pending")) removeAll("[data-transient]");
    return 5000;
  });
}

// The page Packet Capture follows the capture, the files and the settings, which may change in
// other sessions.
for (const part of document.querySelectorAll("[data-live]")) {
  const list = document.getElementById("list");
  let last = null;
  const show = now => {
    for (const e of document.querySelectorAll("[data-show]")) {
      const value = now[e.dataset.show];
      if (e.tagName === "PROGRESS") e.value = value;
      else setText(e, value);
    }
    const settings = document.querySelectorAll("[data-setting]");
    settings.forEach((e, i) => setText(e, now.settings[i].value));
    for (const e of part.querySelectorAll("[data-when]")) {
      const hide = !e.dataset.when.split(" ").includes(now.state);
      const hadFocus = e.contains(document.activeElement);
      e.hidden = hide;
      if (hide && hadFocus) part.querySelector("h2").focus({ preventScroll: true });
    }
    const reason = part.querySelector("[data-last]");
    setText(reason, now.last);
    reason.hidden = !now.last;
    reason.classList.toggle("bad", now.failed);
    reason.classList.toggle("plain", !now.failed);
  };
  // Notices about a state are removed when the state has changed, and screen readers are told.
  const announce = now => {
    const was = last ? last.state : part.dataset.state;
    if (was === now.state && (!last || last.state !== "running" || last.file === now.file)) return;
    removeAll("[data-transient]");
    const texts = {
      running: "A packet capture is in progress.",
      elsewhere: now.elsewhere,
      idle: "No packet capture is in progress any more.",
    };
    if (was !== now.state) setText(part.querySelector("[data-announce]"), texts[now.state]);
  };
  poll(async () => {
    const answer = await load(part.dataset.live);
    if (!answer.ok) return 2000;
    const now = await answer.json();
    announce(now);
    show(now);
    last = now;
    if (list.firstElementChild.dataset.revision !== now.revision) {
      const files = await load(part.dataset.list);
      if (files.ok) replace(list, await files.text());
    }
    return now.state === "running" ? 1000 : 2000;
  });
}

// Pages about a capture in progress follow it: the list and the stream if the user wants it, the
// page of a packet always. Otherwise they wait for its end. If the file has gone, the page is
// loaded again: the parts of a capture are joined at its end.
for (const part of document.querySelectorAll("[data-follow]")) {
  const box = document.getElementById("follow");
  const growing = () => document.querySelector("[data-growing]");
  const end = () => {
    removeAll("[data-growing]");
    if (box) {
      const heading = document.querySelector("#packets-title, #stream");
      if (document.activeElement === box) heading.focus({ preventScroll: true });
      box.closest("label").hidden = true;
    }
    setText(document.querySelector("[data-announce]"), "The capture has ended.");
  };
  let size = part.dataset.size;
  if (growing()) poll(async () => {
    const newest = part.dataset.follow + "&size=" + size;
    const answer = await load(!box || box.checked ? newest : part.dataset.here);
    if (answer.status === 204) return 1000; // nothing new
    if (answer.status === 404) return location.reload();
    if (!answer.ok) return 2000;
    size = answer.headers.get("X-Capture-Size");
    replace(part, await answer.text());
    if (answer.headers.get("X-Capture-Growing") === "true") return 1000;
    end();
    return 0;
  });
  if (box && growing()) box.closest("label").hidden = false;
}

// A value under a choice selects that choice. data-choices lists the values that use the field;
// if one of them is selected already, it stays.
for (const part of document.querySelectorAll("[data-choice]")) {
  const values = part.dataset.choices.split(" ");
  const radios = [...document.getElementsByName(part.dataset.choice)];
  const chosen = () => radios.some(r => r.checked && values.includes(r.value));
  const unfold = () => { if (part.tagName === "DETAILS" && chosen()) part.open = true; };
  unfold();
  radios.forEach(r => r.addEventListener("change", unfold));
  part.addEventListener("input", () => {
    if (chosen()) return;
    const radio = radios.find(r => r.value === values[0] && !r.disabled);
    if (!radio) return;
    radio.checked = true;
    radio.dispatchEvent(new Event("change", { bubbles: true }));
  });
}

// Fields that only some types of logs have are shown, and sent, with those types.
for (const type of document.querySelectorAll("[data-kind]")) {
  const showFields = () => {
    const has = type.selectedOptions[0].dataset.has.split(" ");
    for (const part of type.form.querySelectorAll("[data-needs]")) {
      part.hidden = !has.includes(part.dataset.needs);
      const radio = part.querySelector("input[type=radio]:checked");
      if (part.hidden && radio) document.getElementsByName(radio.name)[0].checked = true;
      for (const field of part.querySelectorAll("input, select")) field.disabled = part.hidden;
    }
  };
  type.addEventListener("change", showFields);
  showFields();
}

const keptText = "What you have entered is kept until you have logged in.";

// A filter is checked while the user types it. Only the answer to the latest request counts.
for (const field of document.querySelectorAll("[data-check]")) {
  const place = document.getElementById(field.getAttribute("aria-describedby"));
  let timer, latest = 0;
  const check = async () => {
    const request = ++latest;
    let c;
    try {
      const filter = encodeURIComponent(field.value.trim());
      const answer = await fetch(field.dataset.check + "?filter=" + filter);
      if (answer.status === 401) c = { ok: false, text: await answer.text() + " " + keptText };
      else if (answer.ok) c = await answer.json();
      else return;
    } catch { return; }
    if (request !== latest) return;
    place.classList.toggle("bad", !c.ok);
    if (c.ok) field.removeAttribute("aria-invalid");
    else field.setAttribute("aria-invalid", "true");
    place.textContent = c.text;
    if (!c.ok && (c.before || c.fault)) {
      const where = document.createElement("span"), mark = document.createElement("mark");
      where.className = "code where";
      mark.textContent = c.fault || " ";
      where.append(c.before, mark, c.after);
      place.append(where);
    }
  };
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(check, 200);
  });
}

// A click anywhere in the row of a packet opens the packet, unless text was selected.
document.addEventListener("click", e => {
  const row = e.target.closest("tr[data-row]");
  if (!row || e.target.closest("a") || !getSelection().isCollapsed) return;
  row.querySelector("a").click();
});

// The bytes of a field are marked while the pointer or the focus is on its name, and after a click.
const markBytes = at => {
  const [offset, length] = at.split("-").map(Number);
  const lines = [...document.querySelectorAll(".dump .hex")];
  const texts = [...document.querySelectorAll(".dump .text")];
  const cut = (e, from, to) => {
    const all = e.textContent;
    e.textContent = all.slice(0, from);
    if (from >= to) { e.textContent = all; return; }
    const mark = document.createElement("mark");
    mark.textContent = all.slice(from, to);
    e.append(mark, all.slice(to));
  };
  const column = n => 3 * n + Math.floor(n / 8);
  lines.forEach((line, i) => {
    const from = Math.max(0, offset - 16 * i);
    const to = Math.min(texts[i].textContent.length, offset + length - 16 * i);
    cut(line, column(from), from < to ? column(to - 1) + 2 : 0);
    cut(texts[i], from, to);
  });
};
const fieldOf = e => (e.target instanceof Element ? e.target.closest("[data-bytes]") : null);
for (const kind of ["pointerover", "focusin", "click"]) {
  document.addEventListener(kind, e => {
    const field = fieldOf(e);
    if (!field) return;
    markBytes(field.dataset.bytes);
    if (kind !== "click" || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    document.querySelector(".dump mark")?.scrollIntoView({ block: "center" });
  });
}
