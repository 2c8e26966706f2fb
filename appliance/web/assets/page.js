"use strict";
// The page works without this: it refreshes, checks while one types, and closes menus.
document.documentElement.classList.add("js");

// Menus: one is open at a time, Escape and a click elsewhere close it.
const open = () => document.querySelector(".menus details[open]");
document.addEventListener("click", e => {
  const m = open();
  if (m && !m.contains(e.target)) m.open = false;
});
document.addEventListener("keydown", e => {
  const m = open();
  if (e.key === "Escape" && m) {
    m.open = false;
    m.querySelector("summary").focus();
  }
});
const drawer = document.querySelector(".drawer");
if (drawer) {
  drawer.hidden = false;
  drawer.addEventListener("click", () => {
    const on = document.getElementById("menus").classList.toggle("open");
    drawer.setAttribute("aria-expanded", on);
  });
}

// A box that ticks all the others.
for (const all of document.querySelectorAll("[data-all]")) {
  const boxes = [...all.form.querySelectorAll(`input[name="${all.dataset.all}"]`)];
  all.hidden = false;
  all.addEventListener("change", () => boxes.forEach(b => { b.checked = all.checked; }));
  boxes.forEach(b => b.addEventListener("change", () => {
    const n = boxes.filter(x => x.checked).length;
    all.checked = n === boxes.length;
    all.indeterminate = n > 0 && n < boxes.length;
  }));
}

// What is live is asked for every second while somebody can see it.
for (const part of document.querySelectorAll("[data-live]")) {
  const refresh = async () => {
    if (document.hidden) return;
    let now;
    try {
      const answer = await fetch(part.dataset.live, { cache: "no-store" });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) return;
      now = await answer.json();
    } catch { return; } // the appliance is away: the next time
    if (!now.running) { location.reload(); return; }
    for (const e of part.querySelectorAll("[data-show]")) {
      const value = now[e.dataset.show];
      if (e.tagName === "PROGRESS") e.value = value;
      else if (e.textContent !== String(value)) e.textContent = value;
    }
  };
  setInterval(refresh, 1000);
  document.addEventListener("visibilitychange", refresh);
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
      if (!answer.ok) return;
      c = await answer.json();
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
    const radio = document.querySelector('input[name="filter"][value="custom"]');
    if (radio) radio.checked = true;
  });
}
