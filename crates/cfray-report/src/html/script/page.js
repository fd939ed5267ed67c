// The page: one choice of time, causes, episode and text; everything else follows it.

(async () => {
  const table = byId("rows");
  if (!table || !("DecompressionStream" in window)) return;
  const PAGE = 100;
  const data = await unpack();
  const { rows, at, get } = data;
  const chosen = { causes: new Set(), find: "", episode: "", sort: "start", down: false, shown: PAGE };
  const chart = timeChart(data, () => update());
  const inTime = ms => chart.has ? chart.has(ms) : true;
  const isWhole = () => chart.whole() && !chosen.causes.size && !chosen.find && !chosen.episode;
  const dimensions = {
    host: r => get(r, "host")?.toLowerCase(), path: r => get(r, "path"), colo: r => get(r, "colo"), origin_ip: r => get(r, "origin_ip"), method: r => get(r, "method"), client: r => get(r, "client"),
    endpoint: r => (get(r, "method") ?? "?") + " " + (get(r, "host") ?? "?") + (get(r, "path") ?? "?"),
  };

  let list = [];
  const select = () => {
    const find = chosen.find.toLowerCase(), timed = [];
    list = [];
    for (let i = 0; i < rows.length; i++) {
      const r = rows[i];
      if (!inTime(r[at.start]) || chosen.episode && String(r[at.episode]) !== chosen.episode || find && !data.haystack(i).includes(find)) continue;
      timed.push(i);
      if (!chosen.causes.size || chosen.causes.has(get(r, "cause"))) list.push(i);
    }
    const key = chosen.sort, sign = chosen.down ? -1 : 1;
    if (key !== "start" || chosen.down) {
      const value = r => key === "uri" ? (get(r, "host") ?? "") + (get(r, "uri") ?? "") : get(r, key);
      const keys = new Map(list.map(i => [i, value(rows[i])]));
      list.sort((a, b) => {
        const x = keys.get(a), y = keys.get(b);
        if (x === null || y === null) return x === y ? a - b : x === null ? 1 : -1;
        return x < y ? -sign : x > y ? sign : a - b;
      });
    }
    return timed;
  };

  // Counts by cause: of every incident while only time is chosen, of the rows in the page otherwise.
  const byCause = timed => {
    const counts = new Map();
    if (!chosen.find && !chosen.episode) {
      for (const cause of data.causes) {
        let sum = 0;
        for (const [second, n] of cause.list) if (inTime(second * 1000)) sum += n;
        counts.set(cause.name, sum);
      }
    } else {
      for (const i of timed) if (rows[i][at.counted]) counts.set(get(rows[i], "cause"), (counts.get(get(rows[i], "cause")) ?? 0) + 1);
    }
    return counts;
  };

  // The rest of the page follows.
  const follow = timed => {
    const whole = isWhole(), plain = chart.whole() && !chosen.find && !chosen.episode;
    const counts = byCause(timed);
    for (const e of document.querySelectorAll("[data-count]")) {
      e.dataset.all ??= e.textContent;
      e.textContent = plain ? e.dataset.all : group(counts.get(e.dataset.count) ?? 0);
    }
    for (const e of document.querySelectorAll("[data-share]")) e.hidden = !plain;
    let visible = 0;
    for (const card of document.querySelectorAll(".card")) {
      const late = Number(card.dataset.from) >= chart.to, early = Number(card.dataset.to) < chart.from;
      const other = chosen.causes.size && !chosen.causes.has(card.dataset.cause) || chosen.episode && card.dataset.episode !== chosen.episode;
      card.hidden = Boolean(!chart.whole() && (late || early) || other);
      if (!card.hidden) visible++;
    }
    const none = byId("no-episode");
    if (none) none.hidden = visible > 0;
    for (const shares of document.querySelectorAll(".shares")) {
      const read = dimensions[shares.dataset.dimension];
      const sums = new Map();
      let all = 0;
      if (!whole) for (const i of list) if (rows[i][at.counted]) { all++; const v = read(rows[i]); sums.set(v, (sums.get(v) ?? 0) + 1); }
      for (const tr of shares.tBodies[0].rows) {
        const n = tr.querySelector("[data-n]"), bar = tr.querySelector(".meter rect"), percent = tr.querySelector(".meter span");
        n.dataset.all ??= n.textContent;
        percent.dataset.all ??= percent.textContent;
        bar.dataset.all ??= bar.getAttribute("width");
        const count = sums.get(tr.dataset.name) ?? 0;
        n.textContent = whole ? n.dataset.all : group(count);
        percent.textContent = whole ? percent.dataset.all : share(count, all) || "0 %";
        bar.setAttribute("width", whole ? bar.dataset.all : String(all ? 100 * count / all : 0));
        for (const e of tr.querySelectorAll("[data-total]")) e.hidden = !whole;
        tr.classList.toggle("none", !whole && count === 0);
      }
    }
    const impact = byId("impact-all");
    if (impact) impact.hidden = whole;
    const state = byId("state");
    state.hidden = whole;
    const parts = [];
    if (!chart.whole()) parts.push(chart.text());
    if (chosen.causes.size) parts.push([...chosen.causes].join(", "));
    if (chosen.episode) parts.push("episode #" + chosen.episode);
    if (chosen.find) parts.push("“" + chosen.find + "”");
    byId("chosen").textContent = parts.join(" · ");
  };

  const body = table.tBodies[0];
  const line = i => {
    const r = rows[i], tr = make("tr");
    const time = make("td", "time"), open = make("button", "open", moment(r[at.start]) || "no time");
    open.type = "button";
    open.setAttribute("aria-expanded", "false");
    open.setAttribute("aria-label", (moment(r[at.start]) || "no time") + ", timeline of " + (get(r, "ray") ?? "this request"));
    open.addEventListener("click", () => {
      const shown = open.getAttribute("aria-expanded") === "true";
      open.setAttribute("aria-expanded", String(!shown));
      if (shown) { tr.nextElementSibling.remove(); return; }
      const more = make("tr", "detail"), td = make("td");
      td.colSpan = 8;
      td.append(tellRequest(data, r));
      more.append(td);
      tr.after(more);
    });
    time.append(open);
    const cell = (cls, child) => { const td = make("td", cls); td.append(child); return td; };
    tr.append(time, cell("ray", make("code", "", r[at.ray])), make("td", "method", get(r, "method")), cell("uri", make("bdi", "", (get(r, "host") ?? "") + (get(r, "uri") ?? ""))),
      make("td", "client", get(r, "client")), make("td", "colo", get(r, "colo")), cell("verdict", make("span", "chip " + data.colour(r), get(r, "cause"))),
      make("td", "num sure", get(r, "cause") === "unknown" ? "" : r[at.sure].toFixed(2)));
    return tr;
  };
  const draw = () => {
    const out = document.createDocumentFragment();
    for (const i of list.slice(0, chosen.shown)) out.append(line(i));
    if (!list.length) {
      const tr = make("tr", "nothing"), td = make("td", "dim", "No request fits this choice.");
      td.colSpan = 8;
      tr.append(td);
      out.append(tr);
    }
    body.replaceChildren(out);
    byId("more").hidden = list.length <= chosen.shown;
    byId("shown").textContent = group(list.length) + " of " + group(rows.length) + " requests";
  };
  const update = () => {
    chosen.shown = PAGE;
    const timed = select();
    follow(timed);
    draw();
  };

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
  for (const button of document.querySelectorAll(".only-episode")) {
    button.addEventListener("click", () => {
      chosen.episode = episode.value = button.dataset.episode;
      update();
      byId("requests").scrollIntoView();
      body.querySelector(".open")?.focus({ preventScroll: true });
    });
  }
  for (const clear of document.querySelectorAll(".clear")) clear.addEventListener("click", () => {
    chosen.causes.clear();
    chosen.find = find.value = "";
    chosen.episode = episode.value = "";
    for (const box of document.querySelectorAll(".only")) box.checked = false;
    chart.reset();
    update();
    find.focus({ preventScroll: true });
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
  // What is folded is printed, too.
  let folded = [];
  addEventListener("beforeprint", () => { folded = [...document.querySelectorAll("details:not([open])")]; for (const d of folded) d.open = true; });
  addEventListener("afterprint", () => { for (const d of folded) d.open = false; });
  document.documentElement.classList.add("ready");
  for (const e of document.querySelectorAll(".js")) if (!["more", "state", "zoom", "unzoom"].includes(e.id)) e.hidden = false;
  update();
  performance.mark("ready");
})();
