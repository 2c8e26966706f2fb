"use strict";
// The page works without this: it refreshes, checks while one types, chooses what one
// types into, keeps a form over a login, and closes menus.
document.documentElement.classList.add("js");

// Menus: one is open at a time. Escape, a click elsewhere, and the keyboard's going
// elsewhere close it; Escape gives the focus back if it was inside.
const open = () => document.querySelector(".menus details[open]");
const leave = e => {
  const m = open();
  if (m && !m.contains(e.target)) m.open = false;
};
document.addEventListener("click", leave);
document.addEventListener("focusin", leave);
document.addEventListener("keydown", e => {
  const m = open();
  if (e.key !== "Escape" || !m) return;
  const inside = m.contains(document.activeElement);
  m.open = false;
  if (inside) m.querySelector("summary").focus();
});
const drawer = document.querySelector(".drawer");
if (drawer) {
  drawer.hidden = false;
  drawer.addEventListener("click", () => {
    const on = document.getElementById("menus").classList.toggle("open");
    drawer.setAttribute("aria-expanded", on);
  });
}

// What was entered in a form outlives a login that turns out to be due when it is sent:
// it waits in this tab, and is filled in if the login leads back to the form. Any other
// page forgets it. A passphrase is not kept.
if (location.pathname !== "/login") {
  const kept = JSON.parse(sessionStorage.getItem("form") || "{}");
  sessionStorage.removeItem("form");
  let from = "";
  try { from = new URL(document.referrer).pathname; } catch { /* there is none */ }
  for (const form of document.querySelectorAll("form.settings")) {
    const fields = [...form.elements].filter(e => e.name && e.type !== "password" && e.type !== "hidden");
    const value = e => (e.type === "checkbox" || e.type === "radio" ? "checked" : "value");
    if (from === "/login" && kept.path === location.pathname && kept.values.length === fields.length) {
      fields.forEach((e, i) => { e[value(e)] = kept.values[i]; });
    }
    form.addEventListener("submit", () => {
      sessionStorage.setItem("form", JSON.stringify({ path: location.pathname, values: fields.map(e => e[value(e)]) }));
    });
  }
}

// Boxes that tick all the others of their form.
const summarise = form => {
  for (const all of form.querySelectorAll("[data-all]")) {
    const boxes = [...form.querySelectorAll(`input[name="${all.dataset.all}"]`)];
    const n = boxes.filter(b => b.checked).length;
    all.checked = n === boxes.length;
    all.indeterminate = n > 0 && n < boxes.length;
    all.hidden = false;
    all.closest(".allbar")?.removeAttribute("hidden");
  }
};
const formsWithAll = () => new Set([...document.querySelectorAll("[data-all]")].map(all => all.form));
formsWithAll().forEach(summarise);
document.addEventListener("change", e => {
  const form = e.target.form;
  if (!form || !form.querySelector("[data-all]")) return;
  if (e.target.dataset.all) {
    for (const b of form.querySelectorAll(`input[name="${e.target.dataset.all}"]`)) b.checked = e.target.checked;
  }
  summarise(form);
});

// What is live is asked for while somebody can see it: every second while a capture runs,
// and less often while none does. What is ticked and where the focus is stays.
const replace = (place, html) => {
  const ticked = new Set([...place.querySelectorAll("input:checked")].map(b => b.value));
  const at = place.contains(document.activeElement) ? document.activeElement : null;
  const same = e => at && e.tagName === at.tagName && e.name === at.name && (e.value || e.href) === (at.value || at.href);
  place.innerHTML = html;
  for (const b of place.querySelectorAll("input[name]")) b.checked = ticked.has(b.value);
  formsWithAll().forEach(summarise);
  if (at) [...place.querySelectorAll("a, input, button")].find(same)?.focus();
};
for (const part of document.querySelectorAll("[data-live]")) {
  const list = document.getElementById("list");
  const state = now => now.running + " " + now.file;
  let timer, key = state({ running: !part.querySelector('[data-when="running"]').hidden, file: part.querySelector('[data-show="file"]').textContent });
  const show = now => {
    for (const e of part.querySelectorAll("[data-show]")) {
      const value = now[e.dataset.show];
      if (e.tagName === "PROGRESS") e.value = value;
      else if (e.textContent !== String(value)) e.textContent = value;
    }
    for (const e of part.querySelectorAll("[data-when]")) e.hidden = (e.dataset.when === "running") !== now.running;
    const last = part.querySelector("[data-last]");
    if (last.textContent !== now.last) last.textContent = now.last;
    last.hidden = !now.last;
    last.classList.toggle("bad", now.failed);
    last.classList.toggle("plain", !now.failed);
  };
  const refresh = async () => {
    clearTimeout(timer);
    let wait = 2000;
    try {
      const answer = await fetch(part.dataset.live, { cache: "no-store" });
      if (answer.status === 401) { location.reload(); return; }
      if (answer.ok) {
        const now = await answer.json();
        if (now.running) wait = 1000;
        show(now);
        if (key !== state(now)) {
          const files = await fetch(part.dataset.list, { cache: "no-store" });
          if (files.ok) {
            replace(list, await files.text());
            key = state(now);
          }
        }
      }
    } catch { /* the appliance is away: the next time */ }
    if (!document.hidden) timer = setTimeout(refresh, wait);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  refresh();
}
// What is entered under a choice chooses it. data-choices are the values that use the
// fields; one of them that is chosen already stays.
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

// What only some types of logs have is shown, and sent, with those.
for (const type of document.querySelectorAll("[data-kind]")) {
  const fit = () => {
    const has = type.selectedOptions[0].dataset.has.split(" ");
    for (const part of type.form.querySelectorAll("[data-needs]")) {
      part.hidden = !has.includes(part.dataset.needs);
      const radio = part.querySelector("input[type=radio]:checked");
      if (part.hidden && radio) document.getElementsByName(radio.name)[0].checked = true;
      for (const field of part.querySelectorAll("input, select")) field.disabled = part.hidden;
    }
  };
  type.addEventListener("change", fit);
  fit();
}

// A filter is checked while somebody types it; only the last answer counts.
for (const field of document.querySelectorAll("[data-check]")) {
  const place = document.getElementById(field.getAttribute("aria-describedby"));
  let timer, last = 0;
  const check = async () => {
    const mine = ++last;
    let c;
    try {
      const answer = await fetch(field.dataset.check + "?filter=" + encodeURIComponent(field.value.trim()));
      if (answer.status === 401) c = { ok: false, text: "Your session has expired. What you have entered is kept until you have logged in again." };
      else if (answer.ok) c = await answer.json();
      else return;
    } catch { return; }
    if (mine !== last) return;
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
