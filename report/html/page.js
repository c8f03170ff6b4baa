// What the page does beyond being read: themes, reading values at a moment, and
// zooming. Without it everything is there, only not at one's finger.
(() => {
"use strict";
const one = (s, in_ = document) => in_.querySelector(s);
const all = (s, in_ = document) => [...in_.querySelectorAll(s)];
document.documentElement.classList.add("scripted");

// Themes: as the system has it, or as chosen. A page from disk may not be
// allowed to remember.
const themes = ["system", "light", "dark"];
const remember = (get, value) => { try { return get ? localStorage.getItem("starfall-theme") : localStorage.setItem("starfall-theme", value); } catch { return null; } };
let theme = "system";
const wear = t => {
  theme = themes.includes(t) ? t : "system";
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  one("#theme").textContent = "Theme: " + theme;
};
one(".tools").hidden = false;
wear(remember(true));
one("#theme").addEventListener("click", () => { wear(themes[(themes.indexOf(theme) + 1) % themes.length]); remember(false, theme); });

const plots = one("#plots");
if (!plots) return;
const data = JSON.parse(one("#data").textContent);
const end = data.end, step = data.step;
const view = { from: 0, to: end };
let at = null, pinned = false;

// How values are written: as the judge does.
const pad = n => String(n).padStart(2, "0");
const clock = t => {
  const ms = Math.round(t * 1000), s = Math.floor(ms / 1000), rest = ms % 1000;
  return Math.floor(s / 60) + ":" + pad(s % 60) + (rest ? "." + String(rest).padStart(3, "0").replace(/0+$/, "") : "");
};
const number = v => String(Math.round(v)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const length = v => {
  if (v > 0 && v < 0.001) return (v * 1000).toFixed(1) + " ms";
  if (v < 0.9995) return Math.round(v * 1000) + " ms";
  return v < 10 ? v.toFixed(2) + " s" : v < 120 ? v.toFixed(1) + " s" : Math.floor(v / 60) + "m" + pad(Math.round(v % 60)) + "s";
};
const write = { rate: v => number(v) + "/s", seconds: length, records: number };

// Places on the axis.
const share = t => (t - view.from) / (view.to - view.from);
const percent = t => Math.max(-50, Math.min(150, share(t) * 100)) + "%";
const put = (el, a, b) => {
  const x = Math.max(-1, Math.min(101, share(a) * 100)), w = Math.max(0, Math.min(101, share(b) * 100) - x);
  el.setAttribute("x", x + "%");
  el.setAttribute("width", w + "%");
};
const svg = (name, attributes) => {
  const el = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const k in attributes) el.setAttribute(k, attributes[k]);
  return el;
};
const charts = all("svg.plot", plots).filter(p => !p.closest(".axis"));
const curves = all("svg.curves", plots);
const bars = all("g.bar", plots).map(g => ({ g, a: +g.dataset.a, b: +g.dataset.b, text: one("text", g), rects: all("rect", g) }));
const rects = all("rect[data-a]", plots).filter(r => !r.closest("g.window"));
const faults = all("line.fault", plots);
const windows = all("g.window", plots).map(g => ({ g, a: +g.dataset.a, b: +g.dataset.b, say: g.dataset.say, flag: one(".flag", g), text: one("text", g) }));
const strip = one(".strip svg");
const values = all(".keys .value", plots);
const rows = all("figure.lanes", plots).flatMap(f => {
  const out = all("svg.reading .value", f);
  return all("g.lane", f).map((g, i) => ({ bars: bars.filter(b => b.g.parentNode === g), out: out[i] }));
});
const cursors = charts.map(c => c.appendChild(svg("line", { class: "cursor", y1: 0, y2: "100%", visibility: "hidden" })));

const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
const ticks = () => {
  const wide = charts[0].getBoundingClientRect().width || 600;
  const by = steps.find(s => (view.to - view.from) / s <= wide / 62) || 604800;
  const list = [];
  for (let i = Math.ceil(view.from / by - 1e-9); i * by <= view.to + 1e-9; i++) list.push(Math.round(i * by * 1000) / 1000);
  for (const axis of all(".axis svg", plots)) {
    axis.replaceChildren(...list.map(t => { const el = svg("text", { class: "tick", x: percent(t), y: 13 }); el.textContent = clock(t); return el; }));
  }
  for (const c of charts) {
    if (c === strip) continue;
    all("line.grid[data-a]", c).forEach(l => l.remove());
    const before = c.firstChild;
    for (const t of list) c.insertBefore(svg("line", { class: "grid", "data-a": t, x1: percent(t), x2: percent(t), y1: 0, y2: "100%" }), before);
  }
};

// The labels of faults: in their bar, else behind it, else before it, each in
// the first row where it covers no other. Where there are too many, some go
// without, in the last row; the bar above says them all.
const labels = () => {
  const wide = strip.getBoundingClientRect().width, most = wide < 500 ? 3 : 5, until = [];
  for (const w of windows) {
    const x = share(w.a) * wide, end = Math.max(x, share(w.b) * wide), shown = end >= 0 && x <= wide;
    w.g.style.visibility = shown ? "" : "hidden";
    w.text.classList.toggle("tight", !shown);
    if (!shown) continue;
    const room = w.text.getComputedTextLength() + 14, from = Math.max(x, 0), to = Math.min(end, wide);
    const inside = to - from >= room, before = !inside && to + room > wide && from > room;
    const start = before ? from - room : from, stop = inside || before ? to : to + room;
    let row = until.slice(0, most).findIndex(u => u <= start);
    const bare = row < 0 && until.length >= most;
    if (row < 0) row = Math.min(until.length, most);
    until[row] = Math.max(until[row] || 0, bare ? to : stop);
    w.text.classList.toggle("tight", bare);
    w.text.classList.toggle("left", before);
    w.text.setAttribute("x", inside || before ? from : to);
    w.text.setAttribute("y", row * 18 + 14);
    if (w.flag.tagName === "circle") {
      w.flag.setAttribute("cx", x);
      w.flag.setAttribute("cy", row * 18 + 14);
    } else {
      put(w.flag, w.a, w.b);
      w.flag.setAttribute("y", row * 18 + 3);
    }
  }
  strip.setAttribute("height", Math.max(until.length, 1) * 18 + 4);
};

const draw = () => {
  for (const c of curves) {
    const h = c.getAttribute("height");
    c.setAttribute("viewBox", [view.from / end * 1000, 0, (view.to - view.from) / end * 1000, h].join(" "));
  }
  for (const r of rects) put(r, +r.dataset.a, +r.dataset.b);
  for (const l of faults) { l.setAttribute("x1", percent(+l.dataset.a)); l.setAttribute("x2", percent(+l.dataset.a)); }
  const wide = charts[0].getBoundingClientRect().width;
  for (const b of bars) {
    for (const r of b.rects) put(r, b.a, b.b);
    const x = Math.max(share(b.a), 0), px = (Math.min(share(b.b), 1) - x) * wide;
    b.text.setAttribute("x", x * 100 + "%");
    b.text.classList.toggle("tight", px < b.text.getComputedTextLength() + 6);
  }
  labels();
  ticks();
  one("#out").disabled = view.from === 0 && view.to === end;
  one("#in").disabled = view.to - view.from <= 2;
  mark();
};

// Reading: all panels at one moment.
const now = one("#now");
const idle = "<b>Read</b>Point at a panel, or focus this bar and press ← →. Enter or dragging zooms, Esc goes back.";
const mark = () => {
  const shown = at !== null && at >= view.from && at <= view.to;
  for (const c of cursors) {
    c.setAttribute("visibility", shown ? "visible" : "hidden");
    if (shown) { c.setAttribute("x1", percent(at)); c.setAttribute("x2", percent(at)); }
  }
};
const read = (t, keep) => {
  pinned = keep;
  at = t === null ? null : Math.max(0, Math.min(end, t));
  mark();
  if (at === null) {
    now.innerHTML = idle;
    now.setAttribute("aria-valuetext", "no moment chosen");
    for (const v of values) v.textContent = "";
    for (const r of rows) r.out.textContent = "";
    return;
  }
  const i = Math.min(Math.floor(at / step), Math.ceil(end / step) - 1), said = [];
  data.curves.forEach((c, k) => {
    const low = c.low[i], high = c.high ? c.high[i] : low;
    let text = "–";
    if (low !== null && low !== undefined) text = write[c.unit](low) + (high !== low ? "–" + write[c.unit](high) : "");
    values[k].textContent = text;
    said.push(one(".name", values[k].parentNode).textContent + " " + text);
  });
  for (const r of rows) {
    const b = r.bars.find(b => b.a <= at && (at < b.b || b.b >= end));
    r.out.textContent = b ? b.g.dataset.short : "–";
    if (b) said.push(one("title", b.g).textContent);
  }
  const on = windows.filter(w => w.a <= at && at <= w.b || w.a === w.b && Math.abs(w.a - at) <= step).map(w => w.say);
  const first = document.createElement("b");
  first.textContent = clock(at);
  now.replaceChildren(first, on.length ? on.join(" · ") : "");
  now.setAttribute("aria-valuenow", String(Math.round(at * 1000) / 1000));
  now.setAttribute("aria-valuetext", [clock(at), ...on, ...said].join(", "));
};

// Zooming goes through the address, so that the browser's way back is the way
// back here.
const show = (from, to, t) => {
  const least = Math.min(end, 1);
  from = Math.max(0, from); to = Math.min(end, to);
  if (to - from < least) { const mid = (from + to) / 2; from = Math.max(0, Math.min(end - least, mid - least / 2)); to = from + least; }
  location.hash = "view=" + from.toFixed(3) + "," + to.toFixed(3) + (t === null ? "" : "," + t.toFixed(3));
};
const whole = () => { location.hash = "picture"; };
const follow = () => {
  const m = /^#view=([\d.]+),([\d.]+)(?:,([\d.]+))?$/.exec(location.hash);
  const from = m ? Math.min(+m[1], end) : 0, to = m ? Math.min(+m[2], end) : end;
  const good = to > from;
  view.from = good ? from : 0;
  view.to = good ? to : end;
  if (m && m[3] !== undefined) read(+m[3], true);
  else if (!m && location.hash === "#picture") read(null, false);
  draw();
};
const narrow = () => {
  const mid = at !== null && at >= view.from && at <= view.to ? at : (view.from + view.to) / 2, half = (view.to - view.from) / 6;
  show(mid - half, mid + half, at);
};

one(".zoom").hidden = false;
one("#in").addEventListener("click", narrow);
one("#out").addEventListener("click", whole);
addEventListener("hashchange", follow);
for (const a of all("a.moment")) {
  a.addEventListener("click", e => {
    e.preventDefault();
    const d = a.dataset;
    show(+d.from, +d.to, +d.at);
    const box = plots.getBoundingClientRect();
    if (box.top > innerHeight * 0.6 || box.top < -innerHeight * 0.4) one("#picture").scrollIntoView({ block: "start" });
  });
}

now.hidden = false;
now.tabIndex = 0;
for (const [k, v] of Object.entries({ role: "slider", "aria-label": "Moment of the run", "aria-valuemin": 0, "aria-valuemax": end, "aria-valuenow": 0 })) now.setAttribute(k, v);
now.addEventListener("keydown", e => {
  const far = (e.shiftKey ? 10 : 1) * step, from = at === null ? view.from - far : at;
  let t;
  switch (e.key) {
  case "ArrowRight": case "ArrowUp": t = from + far; break;
  case "ArrowLeft": case "ArrowDown": t = at === null ? view.to : from - far; break;
  case "PageDown": t = from + 10 * step; break;
  case "PageUp": t = from - 10 * step; break;
  case "Home": t = view.from; break;
  case "End": t = view.to; break;
  case "Enter": case "+": e.preventDefault(); narrow(); return;
  case "Escape": case "-": e.preventDefault(); whole(); return;
  default: return;
  }
  e.preventDefault();
  t = Math.max(0, Math.min(end, t));
  read(t, true);
  if (t < view.from || t > view.to) {
    const w = view.to - view.from, f = Math.max(0, Math.min(end - w, t - w / 2));
    show(f, f + w, t);
  }
});

let drag = null;
const moment = (e, c) => {
  const box = c.getBoundingClientRect();
  return view.from + Math.max(0, Math.min(1, (e.clientX - box.left) / box.width)) * (view.to - view.from);
};
for (const c of charts) {
  c.addEventListener("pointermove", e => {
    const t = moment(e, c);
    if (drag && drag.c === c) {
      drag.to = t;
      if (Math.abs(e.clientX - drag.x) > 5) {
        drag.moved = true;
        for (const box of drag.boxes) put(box, Math.min(drag.from, t), Math.max(drag.from, t));
      }
    }
    if (!pinned || drag || e.pointerType === "touch") read(t, pinned);
  });
  c.addEventListener("pointerleave", () => { if (!pinned && !drag) read(null, false); });
  c.addEventListener("pointerdown", e => {
    if (e.button !== 0) return;
    if (e.pointerType === "touch") { read(moment(e, c), true); return; }
    drag = { c, x: e.clientX, from: moment(e, c), to: moment(e, c), moved: false, boxes: charts.map(p => p.appendChild(svg("rect", { class: "chosen", y: 0, height: "100%", width: 0 }))) };
    c.setPointerCapture(e.pointerId);
  });
  const drop = e => {
    if (!drag || drag.c !== c) return;
    const d = drag;
    drag = null;
    d.boxes.forEach(b => b.remove());
    if (e.type === "pointercancel") return;
    if (d.moved) show(Math.min(d.from, d.to), Math.max(d.from, d.to), null);
    else if (pinned && Math.abs(share(d.to) - share(at)) < 0.01) read(d.to, false);
    else { read(d.to, true); now.focus({ preventScroll: true }); }
  };
  c.addEventListener("pointerup", drop);
  c.addEventListener("pointercancel", drop);
}

read(null, false);
follow();
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
})();
