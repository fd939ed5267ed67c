"use strict";
(async () => {
  const byId = id => document.getElementById(id);
  const table = byId("rows");
  const PAGE = 100;
  const make = (tag, cls, text) => {
    const e = document.createElement(tag);
    if (cls) e.className = cls;
    if (text !== undefined && text !== null) e.textContent = text;
    return e;
  };
  const group = n => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
  const iso = ms => new Date(ms).toISOString();
  const moment = ms => ms === null ? "" : iso(ms).slice(0, 19).replace("T", " ");

  // Rows: inflate, then name the members of each.
  if (!table || !("DecompressionStream" in window)) return;
  const packed = byId("data").textContent;
  const bytes = Uint8Array.from(atob(packed), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const data = JSON.parse(await new Response(stream).text());
  const at = {};
  data.n.forEach((name, i) => { at[name] = i; });
  const TEXTS = new Set(["host", "method", "uri", "client", "country", "agent", "colo", "edge_ip", "origin_ip", "tls", "cache", "request_source", "server",
    "connection", "cause", "tie", "missing", "runner_up", "retry", "place", "parent"]);
  const get = (row, name) => {
    const v = row[at[name]];
    return v === null ? null : TEXTS.has(name) ? data.s[v] : v;
  };
  const rows = data.r;
  const lower = new Array(rows.length);
  const haystack = i => lower[i] ??= ["ray", "host", "method", "uri", "client", "country", "agent", "colo", "edge_ip", "origin_ip", "cause", "place", "server"]
    .map(n => get(rows[i], n) ?? "").concat(rows[i][at.proofs].map(p => data.s[data.e[p][1]] + " " + data.s[data.e[p][4]])).join("\n").toLowerCase();

  // What is chosen.
  const plot = byId("plot");
  const start = plot ? Number(plot.dataset.start) : 0, step = plot ? Number(plot.dataset.step) : 1, bars = plot ? Number(plot.dataset.bars) : 0;
  const chosen = { from: 0, to: bars, causes: new Set(), find: "", episode: "", sort: "start", down: false, shown: PAGE };
  const inTime = ms => (chosen.from === 0 || ms !== null && ms >= start + chosen.from * step) && (chosen.to === bars || ms !== null && ms < start + chosen.to * step);
  const dimensions = { host: r => get(r, "host"), colo: r => get(r, "colo"), origin_ip: r => get(r, "origin_ip"), method: r => get(r, "method"), client: r => get(r, "client") };
  const isWhole = () => chosen.from === 0 && chosen.to === bars && !chosen.causes.size && !chosen.find && !chosen.episode;

  let list = [];
  const select = () => {
    const find = chosen.find.toLowerCase();
    const causes = chosen.causes, timed = [];
    list = [];
    for (let i = 0; i < rows.length; i++) {
      const r = rows[i];
      if (!inTime(r[at.start])) continue;
      if (chosen.episode && String(r[at.episode]) !== chosen.episode) continue;
      if (find && !haystack(i).includes(find)) continue;
      timed.push(i);
      if (causes.size && !causes.has(get(r, "cause"))) continue;
      list.push(i);
    }
    const key = chosen.sort, sign = chosen.down ? -1 : 1;
    if (key !== "start" || chosen.down) {
      list.sort((a, b) => {
        let x = get(rows[a], key), y = get(rows[b], key);
        if (key === "uri") { x = (get(rows[a], "host") ?? "") + x; y = (get(rows[b], "host") ?? "") + y; }
        if (x === null || y === null) return x === y ? a - b : x === null ? 1 : -1;
        return x < y ? -sign : x > y ? sign : a - b;
      });
    }
    return timed;
  };

  // The rest of the page follows.
  const follow = timed => {
    const whole = isWhole();
    const counts = new Map();
    for (const i of timed) if (rows[i][at.counted]) counts.set(get(rows[i], "cause"), (counts.get(get(rows[i], "cause")) ?? 0) + 1);
    const plain = chosen.from === 0 && chosen.to === bars && !chosen.find && !chosen.episode;
    for (const e of document.querySelectorAll("[data-count]")) {
      e.dataset.all ??= e.textContent;
      e.textContent = plain ? e.dataset.all : group(counts.get(e.dataset.count) ?? 0);
    }
    for (const e of document.querySelectorAll("[data-share]")) e.hidden = !plain;
    let visible = 0;
    for (const card of document.querySelectorAll(".card")) {
      const from = start + chosen.from * step, to = start + chosen.to * step;
      const late = chosen.to !== bars && Number(card.dataset.from) >= to, early = chosen.from !== 0 && Number(card.dataset.to) < from;
      const other = chosen.causes.size && !chosen.causes.has(card.dataset.cause) || chosen.episode && card.querySelector("h3 .dim").textContent !== "#" + chosen.episode;
      card.hidden = Boolean(late || early || other);
      if (!card.hidden) visible++;
    }
    const none = byId("no-episode");
    if (none) none.hidden = visible > 0;
    for (const shares of document.querySelectorAll(".shares")) {
      const read = dimensions[shares.dataset.dimension];
      if (!read) {
        // Paths are shapes, which the rows do not carry.
        shares.closest(".wide").hidden = !whole;
        continue;
      }
      const sums = new Map();
      let all = 0;
      if (!whole) for (const i of list) if (rows[i][at.counted]) { all++; const v = read(rows[i]); sums.set(v, (sums.get(v) ?? 0) + 1); }
      for (const tr of shares.tBodies[0].rows) {
        const n = tr.querySelector("[data-n]"), bar = tr.querySelector(".meter rect"), share = tr.querySelector(".meter span");
        n.dataset.all ??= n.textContent;
        share.dataset.all ??= share.textContent;
        bar.dataset.all ??= bar.getAttribute("width");
        const count = sums.get(tr.dataset.name) ?? 0, percent = all ? 100 * count / all : 0;
        n.textContent = whole ? n.dataset.all : group(count);
        share.textContent = whole ? share.dataset.all : count && percent < 1 ? "<1 %" : Math.round(percent) + " %";
        bar.setAttribute("width", whole ? bar.dataset.all : String(percent));
      }
    }
  };

  // One request, told in order.
  const detail = r => {
    const box = make("div", data.k[r[at.cause]]);
    const story = make("ul", "story");
    const begin = r[at.start], end = r[at.end] ?? begin;
    const events = [];
    const request = [get(r, "method"), (get(r, "host") ?? "") + (get(r, "uri") ?? "")].filter(Boolean).join(" ");
    if (begin !== null) events.push({ ms: begin, order: 0, cls: "edge", text: "Cloudflare " + (get(r, "colo") ?? "") + " takes " + request + (get(r, "edge_ip") ? ", asks the origin from " + get(r, "edge_ip") : "") });
    if (end !== null) events.push({ ms: end, order: 2, cls: "edge", text: "Cloudflare answers " + r[at.status] + (r[at.origin_status] !== null ? " (origin status " + r[at.origin_status] + ")" : "") });
    const loose = [];
    for (const p of r[at.proofs]) {
      const [kind, source, line, time, text] = data.e[p];
      const item = { ms: time, order: 1, cls: data.s[kind], text: data.s[text], place: data.s[source] ? data.s[source] + (line === null ? "" : ":" + line) : "" };
      (time === null ? loose : events).push(item);
    }
    if (r[at.cleared_s] !== null && end !== null) events.push({ ms: end + r[at.cleared_s] * 1000, order: 3, cls: "edge", text: "the same works again" });
    events.sort((a, b) => a.ms - b.ms || a.order - b.order);
    for (const e of events.concat(loose)) {
      const li = make("li", e.cls);
      if (e.ms !== null) {
        const off = end === null ? "" : (e.ms - end >= 0 ? "+" : "−") + (Math.abs(e.ms - end) / 1000).toFixed(3) + " s";
        li.append(make("time", "", iso(e.ms).slice(11, 23) + " " + off));
      }
      if (e.place) li.append(make("code", "dim", e.place + " "), make("br"), make("code", "", e.text));
      else li.append(make("span", "", e.text));
      story.append(li);
    }
    const dl = make("dl", "fields");
    const field = (name, value) => {
      if (value === null || value === undefined) return;
      const div = make("div");
      div.append(make("dt", "", name), make("dd", "", value === "" ? "(empty)" : value));
      dl.append(div);
    };
    const tied = get(r, "tie");
    field("cause", get(r, "cause") + ", sure " + r[at.sure].toFixed(2));
    field("tied by", tied);
    if (get(r, "runner_up")) field("next likely", get(r, "runner_up") + " " + r[at.runner_sure].toFixed(2));
    field("surer with", get(r, "missing"));
    for (const name of ["server", "connection", "origin_ip", "tls", "cache", "request_source", "parent", "country", "agent", "retry"]) field(name.replace("_", " "), get(r, name));
    for (const name of ["asn", "tcp_ms", "tls_ms", "header_ms", "duration_ms", "bytes", "idle_s", "episode"]) field(name.replace("_", " "), r[at[name]]);
    if (!r[at.counted]) field("counted", "no, an internal request");
    field("edge row", get(r, "place"));
    box.append(story, dl);
    return box;
  };

  const body = table.tBodies[0];
  const draw = () => {
    const out = document.createDocumentFragment();
    for (const i of list.slice(0, chosen.shown)) {
      const r = rows[i], tr = make("tr");
      const time = make("td", "time"), open = make("button", "open", moment(r[at.start]) || "open");
      open.type = "button";
      open.setAttribute("aria-expanded", "false");
      open.addEventListener("click", () => {
        const shown = open.getAttribute("aria-expanded") === "true";
        open.setAttribute("aria-expanded", String(!shown));
        if (shown) { tr.nextElementSibling.remove(); return; }
        const more = make("tr", "detail"), td = make("td");
        td.colSpan = 8;
        td.append(detail(r));
        more.append(td);
        tr.after(more);
      });
      time.append(open);
      const ray = make("td");
      ray.append(make("code", "", r[at.ray]));
      const uri = make("td", "uri");
      uri.append(make("bdi", "", (get(r, "host") ?? "") + (get(r, "uri") ?? "")));
      const cause = make("td");
      cause.append(make("span", "chip " + data.k[r[at.cause]], get(r, "cause")));
      tr.append(time, ray, make("td", "", get(r, "method")), uri, make("td", "", get(r, "client")), make("td", "", get(r, "colo")), cause, make("td", "num", r[at.sure].toFixed(2)));
      out.append(tr);
    }
    body.replaceChildren(out);
    byId("more").hidden = list.length <= chosen.shown;
    byId("shown").textContent = group(list.length) + " of " + group(rows.length);
  };
  const update = () => {
    chosen.shown = PAGE;
    const timed = select();
    follow(timed);
    draw();
  };

  // Brush: pointer and sliders say the same.
  if (plot) {
    const brush = byId("brush"), from = byId("from"), to = byId("to"), range = byId("range");
    const paint = () => {
      const whole = chosen.from === 0 && chosen.to === bars;
      brush.hidden = whole;
      brush.style.left = 100 * chosen.from / bars + "%";
      brush.style.width = 100 * (chosen.to - chosen.from) / bars + "%";
      from.value = chosen.from;
      to.value = chosen.to;
      const text = moment(start + chosen.from * step) + " – " + moment(start + chosen.to * step).slice(11);
      range.textContent = whole ? "all of it" : text;
      from.setAttribute("aria-valuetext", moment(start + chosen.from * step));
      to.setAttribute("aria-valuetext", moment(start + chosen.to * step));
    };
    const set = (a, b) => {
      chosen.from = Math.max(0, Math.min(a, b));
      chosen.to = Math.min(bars, Math.max(a, b));
      if (chosen.from === chosen.to) { chosen.from = 0; chosen.to = bars; }
      paint();
      update();
    };
    const place = event => {
      const box = plot.getBoundingClientRect();
      return (event.clientX - box.left) / box.width * bars;
    };
    let origin = null;
    plot.addEventListener("pointerdown", event => {
      if (event.button) return;
      origin = place(event);
      plot.setPointerCapture(event.pointerId);
    });
    plot.addEventListener("pointermove", event => {
      if (origin === null) return;
      const here = place(event);
      if (Math.abs(here - origin) * plot.clientWidth / bars < 4) return;
      chosen.from = Math.max(0, Math.floor(Math.min(origin, here)));
      chosen.to = Math.min(bars, Math.ceil(Math.max(origin, here)));
      paint();
    });
    const drop = event => {
      if (origin === null) return;
      const here = place(event), moved = Math.abs(here - origin) * plot.clientWidth / bars >= 4;
      const low = Math.floor(Math.min(origin, here)), high = Math.ceil(Math.max(origin, here));
      origin = null;
      if (moved) set(low, high); else set(0, bars);
    };
    plot.addEventListener("pointerup", drop);
    plot.addEventListener("pointercancel", () => { origin = null; });
    from.addEventListener("input", () => set(Math.min(Number(from.value), chosen.to - 1), chosen.to));
    to.addEventListener("input", () => set(chosen.from, Math.max(Number(to.value), chosen.from + 1)));
    byId("clear").addEventListener("click", () => { chosen.from = 0; chosen.to = bars; paint(); });
  }
  for (const box of document.querySelectorAll(".only")) {
    box.setAttribute("aria-label", "only " + box.dataset.cause);
    box.addEventListener("change", () => { chosen.causes[box.checked ? "add" : "delete"](box.dataset.cause); update(); });
  }
  const find = byId("find"), episode = byId("episode");
  let wait = 0;
  find.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(() => { chosen.find = find.value.trim(); update(); }, 120); });
  for (const n of [...new Set(rows.map(r => r[at.episode]).filter(n => n !== null))].sort((a, b) => a - b)) {
    const option = make("option", "", "#" + n);
    option.value = String(n);
    episode.append(option);
  }
  episode.addEventListener("change", () => { chosen.episode = episode.value; update(); });
  byId("clear").addEventListener("click", () => {
    chosen.causes.clear();
    chosen.find = find.value = "";
    chosen.episode = episode.value = "";
    for (const box of document.querySelectorAll(".only")) box.checked = false;
    update();
  });
  byId("more").addEventListener("click", () => {
    const before = chosen.shown;
    chosen.shown += PAGE;
    draw();
    body.querySelectorAll(".open")[before]?.focus();
  });
  for (const th of table.tHead.rows[0].cells) {
    const button = make("button", "", th.textContent);
    button.type = "button";
    button.addEventListener("click", () => {
      chosen.down = chosen.sort === th.dataset.sort && !chosen.down;
      chosen.sort = th.dataset.sort;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", chosen.down ? "descending" : "ascending");
      update();
    });
    th.replaceChildren(button);
  }
  document.documentElement.classList.add("ready");
  for (const e of document.querySelectorAll(".js")) if (e.id !== "more") e.hidden = false;
  update();
})();
