"use strict";
// A terminal that is enough for the appliance's command line: a cursor, the colors and the erasing
// sequences of ANSI, scroll-back, paste.

const maxLines = 5000; // of the screen and the scroll-back together

// A Screen interprets the output of a program. It has no document: render shows it.
class Screen {
  constructor(columns, rows) {
    this.lines = [[]]; // of cells [character, class]; the last `rows` ones are the screen
    this.columns = columns;
    this.rows = rows;
    this.x = 0;
    this.y = 0; // index in lines
    this.style = { bold: false, inverse: false, color: 0, ground: 0 };
    this.wrap = false; // the last column has been written
    this.pending = "";
    this.bracketed = false; // whether pastes are marked
    this.dirty = new Set();
    this.dropped = 0; // lines that are no longer kept
    this.spoken = "";
  }

  resize(columns, rows) {
    this.columns = columns;
    this.rows = rows;
    this.x = Math.min(this.x, columns - 1);
    this.wrap = false;
  }

  // top is the index of the first line of the screen.
  get top() { return Math.max(0, this.lines.length - this.rows); }

  line(y) {
    while (this.lines.length <= y) {
      this.lines.push([]);
      this.dirty.add(this.lines.length - 1);
    }
    return this.lines[y];
  }

  move(x, y) {
    this.x = Math.max(0, Math.min(x, this.columns - 1));
    this.y = Math.max(this.top, Math.min(y, this.top + this.rows - 1));
    this.line(this.y);
    this.wrap = false;
  }

  newLine() {
    this.y++;
    this.line(this.y);
    this.wrap = false;
    this.spoken += "\n";
    const extra = this.lines.length - maxLines;
    if (extra > 0) {
      this.lines.splice(0, extra);
      this.y -= extra;
      this.dropped += extra;
      this.dirty = new Set([...this.dirty].map(y => y - extra).filter(y => y >= 0));
    }
  }

  get className() {
    const s = this.style;
    const names = [];
    if (s.bold) names.push("bold");
    if (s.inverse) names.push("inverse");
    if (s.color) names.push("c" + s.color);
    if (s.ground) names.push("g" + s.ground);
    return names.join(" ");
  }

  print(c) {
    if (this.wrap) {
      this.newLine();
      this.x = 0;
    }
    const line = this.line(this.y);
    while (line.length < this.x) line.push([" ", ""]);
    line[this.x] = [c, this.className];
    this.dirty.add(this.y);
    this.spoken += c;
    if (this.x === this.columns - 1) this.wrap = true;
    else this.x++;
  }

  write(text) {
    text = this.pending + text;
    this.pending = "";
    const sequence = /^\x1b(?:\[([?>=]?)([0-9;]*)([ -/]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[^[\]()])/;
    for (let i = 0; i < text.length;) {
      const c = text[i];
      if (c === "\x1b") {
        const m = sequence.exec(text.slice(i, i + 300));
        if (!m) {
          if (text.length - i < 300) {
            this.pending = text.slice(i); // the rest comes later
            return;
          }
          i++;
          continue;
        }
        if (m[4]) this.control(m[1], m[2], m[4]);
        i += m[0].length;
        continue;
      }
      const code = text.codePointAt(i);
      const whole = String.fromCodePoint(code);
      i += whole.length;
      switch (c) {
        case "\r": this.x = 0; this.wrap = false; break;
        case "\n": this.newLine(); break;
        case "\b": this.x = Math.max(0, this.x - 1); this.wrap = false; break;
        case "\t": this.x = Math.min(this.columns - 1, (this.x + 8) & ~7); break;
        default: if (code >= 32 && code !== 127) this.print(whole);
      }
    }
  }

  control(mark, parameters, kind) {
    const list = parameters.split(";").map(Number);
    const n = Math.max(1, list[0] || 0);
    const line = this.line(this.y);
    this.dirty.add(this.y);
    if (mark) {
      if (mark === "?" && list[0] === 2004) this.bracketed = kind === "h";
      return;
    }
    switch (kind) {
      case "A": this.move(this.x, this.y - n); break;
      case "B": this.move(this.x, this.y + n); break;
      case "C": this.move(this.x + n, this.y); break;
      case "D": this.move(this.x - n, this.y); break;
      case "G": this.move(n - 1, this.y); break;
      case "H": case "f": this.move((list[1] || 1) - 1, this.top + n - 1); break;
      case "P": line.splice(this.x, n); break;
      case "@": line.splice(this.x, 0, ...Array.from({ length: n }, () => [" ", ""])); break;
      case "K": this.erase(line, list[0] || 0); break;
      case "J": this.clear(list[0] || 0); break;
      case "m": list.forEach(v => this.setStyle(v)); break;
    }
  }

  // erase erases the rest of a line (0), its beginning (1) or all of it (2).
  erase(line, what) {
    if (what === 0) line.length = Math.min(line.length, this.x);
    else if (what === 2) line.length = 0;
    else for (let x = 0; x <= this.x && x < line.length; x++) line[x] = [" ", ""];
    this.wrap = false;
  }

  // clear erases the rest of the screen (0), its beginning (1) or all of it.
  clear(what) {
    const first = what === 0 ? this.y + 1 : this.top;
    const last = what === 1 ? this.y - 1 : this.lines.length - 1;
    for (let y = first; y <= last; y++) {
      this.lines[y] = [];
      this.dirty.add(y);
    }
    if (what < 2) this.erase(this.line(this.y), what);
  }

  setStyle(v) {
    const s = this.style;
    if (v === 0) this.style = { bold: false, inverse: false, color: 0, ground: 0 };
    else if (v === 1) s.bold = true;
    else if (v === 22) s.bold = false;
    else if (v === 7) s.inverse = true;
    else if (v === 27) s.inverse = false;
    else if (v >= 30 && v <= 37 || v >= 90 && v <= 97) s.color = v;
    else if (v === 39) s.color = 0;
    else if (v >= 40 && v <= 47) s.ground = v;
    else if (v === 49) s.ground = 0;
  }

  // takeSpoken returns what has been printed since the last call, for screen readers.
  takeSpoken() {
    const text = this.spoken;
    this.spoken = "";
    return text;
  }
}

// bytesOf returns what a key sends, or null if the browser handles the key itself.
const bytesOf = e => {
  const plain = {
    Enter: "\r", Backspace: "\x7f", Tab: "\t", ArrowUp: "\x1b[A", ArrowDown: "\x1b[B", ArrowRight: "\x1b[C",
    ArrowLeft: "\x1b[D", Home: "\x1b[H", End: "\x1b[F", Delete: "\x1b[3~",
  };
  if (e.metaKey || e.isComposing) return null;
  if ((e.altKey || e.ctrlKey) && e.key === "ArrowRight") return "\x1b[1;3C";
  if ((e.altKey || e.ctrlKey) && e.key === "ArrowLeft") return "\x1b[1;3D";
  if (e.altKey) return null;
  if (e.ctrlKey && !e.shiftKey && /^[a-z]$/.test(e.key) && e.key !== "v") {
    return String.fromCharCode(e.key.charCodeAt(0) - 96);
  }
  if (e.ctrlKey && e.key === "\\") return "\x1c";
  if (e.ctrlKey || e.shiftKey && e.key === "Tab") return null;
  return plain[e.key] ?? null;
};

for (const place of document.querySelectorAll("[data-terminal]")) {
  const find = name => place.querySelector(`[data-${name}]`);
  const glass = find("glass"), keys = find("keys"), view = find("screen");
  const state = find("state"), connect = find("connect"), spoken = find("spoken");
  let screen, socket, decoder, shownDropped = 0, leaving = false, sentByKey = false, drawing = false;

  // measure returns how many columns and rows fit.
  const measure = () => {
    const probe = document.createElement("span");
    probe.textContent = "M".repeat(100);
    const row = document.createElement("div");
    row.append(probe);
    glass.append(row);
    const box = probe.getBoundingClientRect();
    row.remove();
    const inner = view.clientWidth - 2 * 10, height = view.clientHeight - 2 * 8;
    return {
      columns: Math.max(20, Math.floor(inner / (box.width / 100))),
      rows: Math.max(5, Math.floor(height / box.height)),
    };
  };

  const drawLine = y => {
    const row = glass.children[y];
    row.textContent = "";
    const line = screen.lines[y].slice();
    const cursor = y === screen.y;
    if (cursor) while (line.length <= screen.x) line.push([" ", ""]);
    for (let x = 0; x < line.length;) {
      const [, style] = line[x];
      const at = cursor && x === screen.x;
      let end = x + 1;
      while (!at && end < line.length && line[end]?.[1] === style && !(cursor && end === screen.x)) end++;
      const text = line.slice(x, end).map(cell => cell?.[0] ?? " ").join("");
      const span = document.createElement("span");
      span.textContent = text;
      span.className = (style ?? "") + (at ? " cursor" : "");
      row.append(span);
      x = end;
    }
  };

  let cursorRow = 0;
  const draw = () => {
    drawing = false;
    const follow = view.scrollTop + view.clientHeight > view.scrollHeight - 40;
    for (; shownDropped < screen.dropped; shownDropped++) {
      glass.firstChild?.remove();
      cursorRow--;
    }
    while (glass.children.length < screen.lines.length) glass.append(document.createElement("div"));
    for (const y of new Set([...screen.dirty, cursorRow, screen.y])) {
      if (y >= 0 && y < screen.lines.length) drawLine(y);
    }
    cursorRow = screen.y;
    screen.dirty.clear();
    if (follow) view.scrollTop = view.scrollHeight;
    const row = glass.children[screen.y];
    keys.style.top = row.offsetTop + "px"; // where input methods show their windows
    const text = screen.takeSpoken();
    if (text.trim()) {
      const line = document.createElement("div");
      line.textContent = text;
      spoken.append(line);
      while (spoken.children.length > 50) spoken.firstChild.remove();
    }
  };
  const drawSoon = () => {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(draw);
  };

  const send = text => {
    if (socket?.readyState !== WebSocket.OPEN) return;
    const bytes = new TextEncoder().encode(text);
    for (let i = 0; i < bytes.length; i += 16384) socket.send(bytes.slice(i, i + 16384));
  };
  const sendSize = () => {
    const size = measure();
    screen.resize(size.columns, size.rows);
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(size));
  };

  const open = () => {
    glass.textContent = "";
    const size = measure();
    screen = new Screen(size.columns, size.rows);
    [shownDropped, cursorRow, decoder] = [0, 0, new TextDecoder()];
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(`${scheme}//${location.host}${place.dataset.terminal}`);
    socket.binaryType = "arraybuffer";
    connect.hidden = true;
    socket.onopen = () => {
      state.textContent = "Connected";
      sendSize();
      keys.focus({ preventScroll: true });
    };
    socket.onmessage = e => {
      screen.write(decoder.decode(e.data, { stream: true }));
      drawSoon();
    };
    socket.onclose = () => {
      state.textContent = "The connection has ended.";
      connect.hidden = false;
    };
  };

  keys.addEventListener("keydown", e => {
    if (e.key === "Escape") {
      leaving = true; // the next Tab leaves the terminal
      return;
    }
    if (e.key === "Tab" && leaving) return;
    if (e.key !== "Shift") leaving = false;
    if (e.ctrlKey && e.key === "c" && !getSelection().isCollapsed) return; // copies
    if (e.shiftKey && (e.key === "PageUp" || e.key === "PageDown")) {
      view.scrollTop += (e.key === "PageUp" ? -1 : 1) * view.clientHeight * 0.9;
      e.preventDefault();
      return;
    }
    sentByKey = false;
    const bytes = bytesOf(e);
    if (bytes === null) return;
    e.preventDefault();
    sentByKey = true; // no input that follows from the key is sent again
    view.scrollTop = view.scrollHeight;
    send(bytes);
  });
  keys.addEventListener("keyup", () => { sentByKey = false; });
  keys.addEventListener("blur", () => { leaving = false; });
  keys.addEventListener("input", e => {
    if (e.isComposing) return;
    if (!sentByKey) send(keys.value.replaceAll("\n", "\r")); // e.g. of a keyboard on a screen
    keys.value = "";
  });
  keys.addEventListener("compositionend", () => {
    send(keys.value);
    keys.value = "";
  });
  keys.addEventListener("paste", e => {
    e.preventDefault();
    const text = e.clipboardData.getData("text").replace(/\r?\n/g, "\r").replaceAll("\x1b", "");
    send(screen.bracketed ? `\x1b[200~${text}\x1b[201~` : text);
  });
  view.addEventListener("mouseup", () => {
    if (getSelection().isCollapsed) keys.focus({ preventScroll: true });
  });
  connect.addEventListener("click", open);
  let timer;
  new ResizeObserver(() => {
    clearTimeout(timer);
    timer = setTimeout(() => { if (screen) sendSize(); }, 100);
  }).observe(view);
  open();
}
