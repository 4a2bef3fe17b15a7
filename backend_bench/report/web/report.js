// Draws the report from the data blocks of its own file. Reads and shows; computes no score.
//
// Every text of a kernel, a worker or a model becomes a text node: nothing here parses HTML.
// Routes: #/ · #/operators · #/facts · #/op/NAME/RUN/ROLLOUT/TURN (numbers from 1)
"use strict";

(() => {
  const main = document.getElementById("main");
  const root = document.documentElement;
  const OUTCOMES = ["ok", "wrong", "compile_error", "crashed", "timed_out", "cheated", "no_code", "error", "no_cases"];
  const ALIGNABLE = 4e6; // pairs of lines that a difference may look at
  let data = null;
  let charts = [];
  let drawn = 0; // a page that took long must not paint over a later one

  // --- small words ------------------------------------------------------------------------------

  /** Characters that would change how the rest is read, made visible: controls and directions. */
  const shown = (text) =>
    String(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (c) => {
      const code = c.charCodeAt(0);
      if (code < 0x20) return String.fromCharCode(0x2400 + code);
      return code === 0x7f ? "\u2421" : `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
    });

  /** An element; attributes that are functions are listeners, children that are no nodes are text. */
  function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (typeof value === "function") element.addEventListener(name, value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(Infinity)) {
      if (child === null || child === undefined || child === false) continue;
      element.append(child instanceof Node ? child : document.createTextNode(shown(child)));
    }
    return element;
  }

  const digits = (value, n = 3) => {
    if (value === null || value === undefined) return "–";
    return value && Math.abs(value) < 1e-3 ? value.toExponential(n - 1) : String(Number(value.toPrecision(n)));
  };
  const fixed = (value, n = 2) => (value === null || value === undefined ? "–" : value.toFixed(n));
  const percent = (value, n = 0) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(n)} %`);
  const band = (e, show) => (e ? `95 %: ${show(e.low)} to ${show(e.high)}, n = ${e.of}` : "");
  const times = (value) => (value === null || value === undefined ? "–" : `${value < 0.1 ? digits(value, 2) : fixed(value)}×`);
  const duration = (seconds) => (seconds < 120 ? `${digits(seconds)} s` : seconds < 7200 ? `${digits(seconds / 60)} min` : `${digits(seconds / 3600)} h`);
  const words = (status) => status.replaceAll("_", " ");
  const badge = (status) => h("span", { class: `badge ${status}` }, words(status));
  /** A speed-up, marked as one where it is above 1 by more than its noise. */
  const speed = (value, noise, told = true) =>
    h("span", { class: value > 1 + (noise || 0) ? "faster" : null }, times(value), told && noise ? h("span", { class: "small" }, ` ±${Math.round(100 * noise)} %`) : null);
  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const fill = { ok: "ok-fill", wrong: "wrong-fill", timed_out: "late-fill", no_code: "none-fill", no_cases: "none-fill" };
  const link = (op, run, rollout, turn) =>
    `#/op/${[encodeURIComponent(op), run, rollout, turn].filter((part) => part !== undefined).join("/")}`;

  async function unpack(id) {
    const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  // --- pages ------------------------------------------------------------------------------------

  function summary() {
    const many = data.runs.length > 1;
    const page = [
      h("h1", {}, many ? `${data.runs.length} runs` : data.runs[0].name),
      h("p", { class: "lead" }, many ? data.runs.map((run) => run.name).join(" · ") : described(data.runs[0])),
      many ? beside() : tiles(data.runs[0]),
      many ? comparisonCard() : null,
      h("div", { class: "grid" }, fastCard(), turnsCard()),
      many ? null : outcomesCard(data.runs[0], "Outcomes by turn"),
      speedCard(),
      many ? h("div", { class: "grid" }, data.runs.map((run) => outcomesCard(run, `Outcomes by turn: ${run.name}`))) : null,
      h(
        "p",
        { class: "quiet" },
        "A rollout counts with its best turn. Intervals are 95 %: Wilson’s for shares, bootstrap over rollouts for means. ",
        "Rollouts of one operator are more alike than independent draws, so with few operators the intervals are too narrow to speak of others. ",
        `Made ${data.made} by backend-bench ${data.version}.`,
      ),
    ];
    return page;
  }

  function described(run) {
    const a = run.arguments;
    const gpu = run.machines.flatMap((machine) => (machine.gpus || []).map((one) => one.name));
    const device = a.device || (a.task && a.task.gpu);
    return [
      run.models.join(", "),
      a.suite && `suite ${a.suite}`,
      a.language,
      a.dtype,
      a.num_turns && `${a.num_turns} turn${a.num_turns > 1 ? "s" : ""}`,
      device && `judged on ${device === "cpu" || !gpu.length ? device : gpu[0]}`,
      run.started && run.started.slice(0, 16).replace("T", " "),
    ]
      .filter(Boolean)
      .join(" · ");
  }

  function figuresOf(run) {
    const s = run.summary;
    const left = [s.unfinished && `${s.unfinished} unfinished left out`, s.faults && `${s.faults} without a score left out`];
    return [
      ["Operators with a right kernel", `${s.operators_right} of ${s.operators}`, percent(s.operators ? s.operators_right / s.operators : null)],
      ["Rollouts right", percent(s.right && s.right.value), band(s.right, percent)],
      ["Right and faster than PyTorch", percent(s.faster && s.faster.value), s.faster ? band(s.faster, percent) : "nothing was timed"],
      ["Mean reward", digits(s.reward && s.reward.value), band(s.reward, digits)],
      ["Speed-up of right kernels", times(s.speedup && s.speedup.value), s.speedup ? band(s.speedup, times) : "nothing was timed"],
      ["Rollouts", String(s.rollouts), left.filter(Boolean).join(", ") || "all counted"],
      ["Rollouts that cheated", String(s.cheated), s.rollouts ? percent(s.cheated / s.rollouts, 1) : ""],
      ["Time at the judge", duration(s.judge_s), "all turns together"],
    ];
  }

  const tiles = (run) =>
    h("div", { class: "tiles" }, figuresOf(run).map(([what, value, more]) => h("div", { class: "tile" }, h("span", {}, what), h("b", {}, value), h("span", {}, more))));

  function beside() {
    const columns = data.runs.map(figuresOf);
    const head = h("tr", {}, h("th", { scope: "col" }, "figure"), data.runs.map((run, i) => h("th", { scope: "col" }, swatch(i), run.name)));
    const rows = columns[0].map(([what], row) =>
      h("tr", {}, h("th", { scope: "row" }, what), columns.map((column) => h("td", {}, h("b", {}, column[row][1]), h("div", { class: "small" }, column[row][2])))),
    );
    return card("Figures", h("div", { class: "scroll" }, h("table", {}, h("thead", {}, head), h("tbody", {}, rows))));
  }

  function swatch(i) {
    const square = h("span", { class: "swatch", "aria-hidden": "true" });
    square.style.background = `var(--run${i})`;
    return square;
  }

  function card(title, ...children) {
    return h("section", { class: "card" }, h("h2", {}, title), children);
  }

  /** A chart with its figures as a table below, for who cannot see or wants to copy. */
  function chartCard(title, config, tall, table, note) {
    const canvas = h("canvas", { role: "img", "aria-label": title });
    charts.push([canvas, config]);
    return card(
      title,
      h("div", { class: tall ? "chart tall" : "chart" }, canvas),
      note ? h("p", { class: "quiet" }, note) : null,
      table ? h("details", {}, h("summary", {}, "The figures"), h("div", { class: "scroll" }, table)) : null,
    );
  }

  const plainTable = (columns, rows) =>
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col", class: "num" }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", { class: "num" }, cell))))),
    );

  function lines(series) {
    const datasets = series.flatMap(({ name, i, points }) => {
      const tone = colour(`run${i}`);
      const common = { borderColor: tone, pointRadius: points.length > 12 ? 0 : 3, pointHitRadius: 12, tension: 0 };
      const edge = { ...common, borderWidth: 0, pointRadius: 0, pointHitRadius: 0, edge: true };
      return [
        { ...common, label: name, data: points.map((p) => ({ x: p[0], y: p[1].value, e: p[1] })), backgroundColor: tone, borderWidth: 2 },
        { ...edge, label: `${name} low`, data: points.map((p) => ({ x: p[0], y: p[1].low })) },
        { ...edge, label: `${name} high`, data: points.map((p) => ({ x: p[0], y: p[1].high })), backgroundColor: `${tone}2a`, fill: "-1" },
      ];
    });
    return datasets;
  }

  const base = (x, y, show) => ({
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    interaction: { mode: "nearest", axis: "x", intersect: false },
    scales: { x: axis(x), y: axis(y) },
    plugins: {
      legend: {
        display: data.runs.length > 1,
        position: "bottom",
        labels: { color: colour("ink"), boxWidth: 12, filter: (item, all) => !all.datasets[item.datasetIndex].edge },
      },
      tooltip: { filter: (item) => !item.dataset.edge, callbacks: { label: (item) => `${item.dataset.label}: ${show(item.raw)}` } },
    },
  });

  const axis = (options) => ({
    ...options,
    title: { display: true, text: options.text, color: colour("soft") },
    grid: { color: colour("line"), display: !options.bare },
    border: { color: colour("line") },
    ticks: { color: colour("soft"), maxTicksLimit: 9, ...options.ticks },
  });

  function fastCard() {
    const timed = data.runs.some((run) => run.fast.length);
    if (!timed) return card("How many are right and how fast", h("p", { class: "lead" }, "Nothing was timed in this run: the suite has no performance cases, or they were left out."));
    const config = () => ({
      type: "line",
      data: { datasets: lines(data.runs.map((run, i) => ({ name: run.name, i, points: run.fast }))) },
      options: base(
        { type: "linear", text: "p: times as fast as PyTorch", min: 0, max: 3 },
        { min: 0, max: 1, text: "share of rollouts", ticks: { callback: (v) => percent(v) } },
        (raw) => `${percent(raw.y)} faster than ${raw.x}× (${band(raw.e, percent)})`,
      ),
    });
    const some = data.runs.find((run) => run.fast.length).fast.map((point) => point[0]).filter((p) => [0, 0.5, 0.8, 1, 1.2, 1.5, 2, 3, 5, 10].includes(p));
    const cell = (run, p) => {
      const point = run.fast.find((one) => one[0] === p);
      return point ? `${percent(point[1].value)} (${percent(point[1].low)} to ${percent(point[1].high)})` : "–";
    };
    return chartCard(
      "fast_p: right, and more than p times as fast as PyTorch",
      config,
      false,
      plainTable(["p", ...data.runs.map((run) => run.name)], some.map((p) => [p, ...data.runs.map((run) => cell(run, p))])),
      `Over rollouts of operators that are timed (${data.runs.map((run) => run.timed).join(", ")}); the band is Wilson’s 95 % interval.`,
    );
  }

  function turnsCard() {
    if (data.runs.every((run) => run.turns.length < 2)) return null;
    const config = () => ({
      type: "line",
      data: { datasets: lines(data.runs.map((run, i) => ({ name: run.name, i, points: run.turns.map((turn) => [turn.turn, turn.best_so_far]) }))) },
      options: base(
        { type: "linear", text: "turn", min: 1, ticks: { stepSize: 1, precision: 0 } },
        { min: 0, text: "mean of the best reward so far" },
        (raw) => `${digits(raw.y)} after turn ${raw.x} (${band(raw.e, digits)})`,
      ),
    });
    const most = Math.max(...data.runs.map((run) => run.turns.length));
    const rows = Array.from({ length: most }, (_, t) => [t + 1, ...data.runs.map((run) => (run.turns[t] ? digits(run.turns[t].best_so_far.value) : "–"))]);
    return chartCard("What each turn was worth", config, false, plainTable(["turn", ...data.runs.map((run) => run.name)], rows), "A rollout that ended earlier keeps its best.");
  }

  function outcomesCard(run, title) {
    const present = OUTCOMES.filter((outcome) => run.turns.some((turn) => turn.outcomes[outcome]));
    const rows = run.turns.map((turn) => {
      const total = Object.values(turn.outcomes).reduce((a, b) => a + b, 0);
      const parts = present.filter((outcome) => turn.outcomes[outcome]);
      const text = parts.map((outcome) => `${turn.outcomes[outcome]} ${words(outcome)}`).join(", ");
      const pieces = parts.map((outcome) => {
        const piece = h("i", { class: outcome, title: `${turn.outcomes[outcome]} of ${total}: ${words(outcome)}` });
        piece.style.flex = turn.outcomes[outcome];
        return piece;
      });
      return [h("dt", {}, `turn ${turn.turn}`), h("dd", {}, h("div", { class: "bar", role: "img", "aria-label": text }, pieces), h("span", { class: "small" }, text))];
    });
    return card(title, h("dl", { class: "bars" }, rows), h("div", { class: "legend" }, present.map(badge)));
  }

  function comparisonCard() {
    const rows = data.comparisons.map((c, i) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, swatch(i + 1), data.runs[i + 1].name),
        h("td", { class: "num" }, String(c.operators)),
        h("td", { class: "num" }, `${c.better} / ${c.worse}`),
        h("td", { class: "num" }, c.difference ? `${c.difference.value >= 0 ? "+" : ""}${digits(c.difference.value)}` : "–", h("div", { class: "small" }, c.difference ? `${digits(c.difference.low)} to ${digits(c.difference.high)}` : "")),
      ),
    );
    return card(
      `Beside ${data.runs[0].name}`,
      h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "run"), h("th", { class: "num" }, "common operators"), h("th", { class: "num" }, "better / worse"), h("th", { class: "num" }, "mean reward"))), h("tbody", {}, rows))),
      h("p", { class: "quiet" }, "An operator counts with the mean reward of its rollouts; the interval is a bootstrap over operators, 95 %."),
    );
  }

  function speedCard() {
    const ranked = data.operators
      .map((entry, n) => ({ n, op: entry.op, of: entry.runs.map((run) => (run && run.status === "ok" ? run.speedup : null)) }))
      .filter((entry) => entry.of.some((value) => value !== null))
      .sort((a, b) => (b.of[0] ?? -1) - (a.of[0] ?? -1));
    if (!ranked.length) return null;
    const values = ranked.flatMap((entry) => entry.of.filter((value) => value !== null));
    const bounds = { min: Math.min(0.5, ...values) * 0.9, max: Math.max(2, ...values) * 1.1 };
    const single = data.runs.length === 1;
    const config = () => {
      const datasets = data.runs.map((run, i) => ({
        label: run.name,
        data: ranked.map((entry) => entry.of[i]),
        base: 1,
        minBarLength: 3,
        backgroundColor: single ? ranked.map((entry) => colour(entry.of[0] > 1 ? "ok-fill" : "wrong-fill")) : colour(`run${i}`),
        borderColor: colour(`run${i}`),
        showLine: false,
        pointRadius: ranked.length > 150 ? 2 : 4,
        categoryPercentage: 0.9,
      }));
      const options = base(
        { bare: true, text: "operators, by speed-up of their best right kernel", ticks: { display: ranked.length <= 40, autoSkip: false, maxRotation: 60 } },
        { type: "logarithmic", ...bounds, text: "speed-up", ticks: { callback: (v) => ([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].includes(Number(v.toPrecision(3))) ? `${v}×` : null) } },
        (raw) => times(raw),
      );
      options.onClick = (_, hits) => {
        if (hits.length) location.hash = link(ranked[hits[0].index].op, hits[0].datasetIndex + 1);
      };
      return { type: single ? "bar" : "line", data: { labels: ranked.map((entry) => shown(entry.op)), datasets }, options };
    };
    return chartCard(
      "Speed-up of the best right kernel",
      config,
      true,
      plainTable(["operator", ...data.runs.map((run) => run.name)], ranked.map((entry) => [h("a", { href: link(entry.op) }, entry.op), ...entry.of.map(times)])),
      `${ranked.length} of ${data.operators.length} operators have a right kernel that was timed. The scale is logarithmic.`,
    );
  }

  // --- the table of operators ----------------------------------------------------------------------

  const table = { query: "", filter: "all", sort: "op", down: false };
  const FILTERS = {
    all: ["all", () => true],
    right: ["right", (run) => run.status === "ok"],
    failing: ["without a right kernel", (run) => run.status !== "ok"],
    faster: ["faster than PyTorch", (run) => run.status === "ok" && run.speedup > 1],
    slower: ["right, not faster", (run) => run.status === "ok" && run.speedup !== null && run.speedup <= 1],
    noisy: ["noise above 20 %", (run) => run.noise > 0.2],
    evidence: ["with evidence", (run) => run.evidence > 0],
  };

  function columns() {
    const ofRun = (i, name, read, show, more = {}) => ({ id: `${name}${i}`, name, run: i, read: (entry) => (entry.runs[i] ? read(entry.runs[i]) : null), show: (entry) => (entry.runs[i] ? show(entry.runs[i]) : "–"), ...more });
    const single = data.runs.length === 1;
    const per = data.runs.flatMap((_, i) => [
      ofRun(i, "status", (r) => OUTCOMES.indexOf(r.status), (r) => badge(r.status)),
      ofRun(i, "speed-up", (r) => r.speedup, (r) => speed(r.speedup, r.noise, single), { num: true }),
      ofRun(i, "mean reward", (r) => r.mean, (r) => digits(r.mean), { num: true, wide: !single }),
      ...(single
        ? [
            ofRun(i, "best reward", (r) => r.reward, (r) => digits(r.reward), { num: true, wide: true }),
            ofRun(i, "right", (r) => (r.rollouts ? r.right / r.rollouts : null), (r) => `${r.right} of ${r.rollouts}`, { num: true, wide: true }),
            ofRun(i, "turns to right", (r) => r.turns, (r) => digits(r.turns, 2), { num: true, wide: true }),
            ofRun(i, "evidence", (r) => r.evidence, (r) => (r.evidence ? String(r.evidence) : ""), { num: true, wide: true }),
          ]
        : []),
    ]);
    return [{ id: "op", name: "operator", read: (e) => e.op, show: (e) => h("a", { href: link(e.op) }, e.op) }, ...per];
  }

  function operators() {
    const all = columns();
    const body = h("tbody", {});
    const count = h("output", { "aria-live": "polite" });
    const heads = all.map((column) =>
      h("th", { scope: "col", class: [column.num && "num", column.wide && "wide"].filter(Boolean).join(" ") || null }, h("button", { type: "button", click: () => order(column) }, column.name)),
    );
    const search = h("input", { type: "search", placeholder: "Search operators ( / )", "aria-label": "Search operators", value: table.query, input: () => { table.query = search.value; fillIn(); } });
    const filter = h("select", { "aria-label": "Filter", change: () => { table.filter = filter.value; fillIn(); } }, Object.entries(FILTERS).map(([id, [name]]) => h("option", { value: id, selected: table.filter === id }, name)));

    function order(column) {
      table.down = table.sort === column.id ? !table.down : Boolean(column.num);
      table.sort = column.id;
      fillIn();
    }
    function fillIn() {
      const column = all.find((one) => one.id === table.sort) || all[0];
      const words = table.query.toLowerCase().split(/\s+/).filter(Boolean);
      const kept = data.operators.filter((entry) => words.every((word) => entry.op.toLowerCase().includes(word)) && entry.runs.some((run) => run && FILTERS[table.filter][1](run)));
      const value = (entry) => column.read(entry);
      kept.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === null || y === null) return (x === null) - (y === null); // what was not measured comes last
        return (x < y ? -1 : x > y ? 1 : 0) * (table.down ? -1 : 1);
      });
      heads.forEach((head, i) => {
        if (all[i].id === column.id) head.setAttribute("aria-sort", table.down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      body.replaceChildren(
        ...kept.map((entry) =>
          h(
            "tr",
            { class: "link", click: (event) => { if (!event.target.closest("a")) location.hash = link(entry.op); } },
            all.map((c) => h("td", { class: [c.num && "num", c.wide && "wide"].filter(Boolean).join(" ") || null }, c.show(entry))),
          ),
        ),
      );
      count.textContent = `${kept.length} of ${data.operators.length}`;
    }
    fillIn();
    const single = data.runs.length === 1;
    const groups = single ? null : h("tr", {}, h("td", {}), data.runs.map((run, i) => h("th", { scope: "colgroup", colspan: 3 }, swatch(i), run.name)));
    return [
      h("h1", {}, "Operators"),
      h("p", { class: "lead" }, "An operator stands with its best kernel over all rollouts."),
      h("section", { class: "card" }, h("div", { class: "tools" }, search, filter, count), h("div", { class: "scroll" }, h("table", {}, h("thead", {}, groups, h("tr", {}, heads)), body))),
    ];
  }

  // --- the page of an operator -----------------------------------------------------------------------

  const view = { changes: false, failing: false };

  async function operator(name, runAt, rolloutAt, turnAt) {
    const n = data.operators.findIndex((entry) => entry.op === name);
    if (n < 0) return [h("h1", {}, "Not in this report"), h("p", {}, "There is no operator ", h("code", {}, name), " here. ", h("a", { href: "#/operators" }, "All operators"))];
    const detail = await unpack(`op-${n}`);
    const firstRun = detail.runs.findIndex((rollouts) => rollouts.length);
    const r = inside(runAt, detail.runs.length, firstRun);
    const rollouts = detail.runs[r];
    const best = rollouts.reduce((top, rollout, i) => ((rollout.turns[rollout.best].reward ?? -1) > (rollouts[top].turns[rollouts[top].best].reward ?? -1) ? i : top), 0);
    const k = inside(rolloutAt, rollouts.length, best);
    const rollout = rollouts[k];
    const t = rollout ? inside(turnAt, rollout.turns.length, rollout.best) : 0;
    const to = (i) => data.operators[(n + i + data.operators.length) % data.operators.length].op;
    return [
      h("div", { class: "path" }, h("a", { href: "#/operators" }, "← all operators"), h("span", {}, h("a", { href: link(to(-1)), rel: "prev" }, `‹ ${to(-1)}`), h("a", { href: link(to(1)), rel: "next" }, `${to(1)} ›`))),
      h("h1", {}, name),
      data.runs.length > 1 ? h("div", { class: "tabs", role: "group", "aria-label": "Runs" }, data.runs.map((run, i) => tab(i === r, link(name, i + 1), [swatch(i), run.name], !detail.runs[i].length))) : null,
      rollout ? [rolloutsCard(name, r, rollouts, k), turnPart(name, r, k, rollout, t, detail.args)] : h("p", { class: "lead" }, "This run has nothing on this operator."),
    ];
  }

  const inside = (text, length, otherwise) => {
    const at = Number(text) - 1;
    return Number.isInteger(at) && at >= 0 && at < length ? at : otherwise;
  };
  const tab = (pressed, href, children, disabled) => h("button", { type: "button", "aria-pressed": String(pressed), disabled, click: () => { location.hash = href; } }, children);

  function rolloutsCard(name, r, rollouts, k) {
    if (rollouts.length < 2) return null;
    const button = (rollout, i) => {
      const top = rollout.turns[rollout.best];
      const title = `rollout ${i + 1}: reward ${digits(top.reward)}${rollout.finished ? "" : ", not finished"}`;
      return h("button", { type: "button", title, "aria-label": title, "aria-pressed": String(i === k), click: () => { location.hash = link(name, r + 1, i + 1); } }, h("span", { class: `badge ${top.status}` }, `${i + 1}`, h("span", { class: "small" }, ` ${digits(top.reward, 2)}${rollout.finished ? "" : " …"}`)));
    };
    return h("section", { class: "card" }, h("h2", {}, `${rollouts.length} rollouts, with the reward of their best turn`), h("div", { class: "tabs" }, rollouts.map(button)));
  }

  function turnPart(name, r, k, rollout, t, args) {
    const turn = rollout.turns[t];
    const before = rollout.turns.slice(0, t).reverse().find((one) => one.code !== undefined);
    const tabs = rollout.turns.map((one, i) =>
      tab(i === t, link(name, r + 1, k + 1, i + 1), h("span", { class: `badge ${one.status}` }, `turn ${one.number}`, i === rollout.best && rollout.turns.length > 1 ? " ★" : null)),
    );
    const head = [
      ["status", badge(turn.status)],
      ["reward", digits(turn.reward)],
      ["correctness", digits(turn.correctness_score)],
      ["performance", digits(turn.performance_score)],
      ["speed-up", speed(turn.speedup, turn.noise)],
      ["cases", turn.correctness ? `${turn.correctness[0]}/${turn.correctness[1]} correct, ${turn.performance[0]}/${turn.performance[1]} timed` : "–"],
    ];
    return [
      rollout.finished ? null : h("section", { class: "card warn" }, "This rollout was interrupted or failed; the figures leave it out."),
      h("section", { class: "card" },
        rollout.turns.length > 1 ? h("div", { class: "tabs", role: "group", "aria-label": "Turns" }, tabs) : null,
        h("div", { class: "head" }, head.map(([what, value]) => h("div", {}, `${what} `, h("b", {}, value)))),
        turn.message ? h("div", { class: "said" }, h("pre", {}, turn.message)) : null,
        turn.status === "no_code" ? h("p", { class: "lead" }, "The reply held no kernel.") : null,
        (turn.notes || []).map((note) => h("p", { class: "quiet" }, note)),
      ),
      turn.evidence && turn.evidence.length ? card("Evidence", turn.evidence.map(([rule, detail, claimed]) => h("div", { class: "evidence" }, h("b", {}, rule), claimed ? " (claimed by the worker, could be forged)" : "", h("div", {}, detail)))) : null,
      kernelCard(turn, before),
      turn.feedback ? card("What the model was told", h("div", { class: "said" }, h("pre", {}, turn.feedback))) : null,
      turn.cases && turn.cases.length ? casesCard(turn.cases, args) : null,
      turn.facts ? card("Record", h("dl", { class: "facts" }, [["rollout", rollout.id], ...Object.entries(turn.facts)].filter(([, value]) => value !== null && value !== "").map(([what, value]) => [h("dt", {}, what), h("dd", { class: "mono" }, String(value))]))) : null,
    ];
  }

  function kernelCard(turn, before) {
    if (turn.code === undefined) return turn.status === "no_code" ? null : card("Kernel", h("p", { class: "lead" }, "Its text is not among these records; the hash below names it."));
    const place = h("div", { class: "code", tabindex: "0", role: "region", "aria-label": "Kernel" });
    const paint = () => place.replaceChildren(view.changes && before ? changes(before, turn) : listing(turn));
    const choose = (on) => h("button", { type: "button", "aria-pressed": String(view.changes === on), click: (event) => {
      view.changes = on;
      for (const other of event.target.parentNode.querySelectorAll("[aria-pressed]")) other.setAttribute("aria-pressed", String(other === event.target));
      paint();
    } }, on ? `changes since turn ${before.number}` : "whole file");
    paint();
    return card("Kernel", h("div", { class: "tools" }, before ? [choose(false), choose(true)] : null, copyButton(turn.code)), place);
  }

  function copyButton(code) {
    const button = h("button", { type: "button", click: async () => {
      try { await navigator.clipboard.writeText(code); button.textContent = "copied"; } catch { button.textContent = "this browser does not let a file copy"; }
    } }, "copy");
    return button;
  }

  /** The text as lines of coloured pieces. */
  function painted(code, colours) {
    const rows = [[]];
    let at = 0;
    const put = (kind, text) => text.split("\n").forEach((part, i) => {
      if (i) rows.push([]);
      if (part) rows[rows.length - 1].push(kind === "-" ? document.createTextNode(shown(part)) : h("span", { class: kind }, part));
    });
    for (const [, kind, length] of (colours || "").matchAll(/([a-z-])(\d+)/g)) {
      put(kind, code.slice(at, at + Number(length)));
      at += Number(length);
    }
    put("-", code.slice(at));
    if (rows.length > 1 && !rows[rows.length - 1].length) rows.pop();
    return rows;
  }

  const codeLine = (mark, at, pieces, kind) => h("tr", { class: kind || null }, h("td", { class: "at" }, at), h("td", {}, h("pre", {}, mark, pieces)));
  const listing = (turn) => h("table", {}, h("tbody", {}, painted(turn.code, turn.colours).map((pieces, i) => codeLine("", i + 1, pieces))));

  function changes(before, after) {
    const [old, now] = [before, after].map((turn) => painted(turn.code, turn.colours));
    const [a, b] = [old, now].map((rows) => rows.map((pieces) => pieces.map((piece) => piece.textContent).join("")));
    const steps = aligned(a, b);
    const near = new Set(steps.flatMap((step, i) => (step[0] === "=" ? [] : [-3, -2, -1, 0, 1, 2, 3].map((d) => i + d))));
    if (!near.size) return h("p", { class: "lead" }, "The file is the same.");
    const rows = [];
    let hidden = 0;
    const flush = () => { if (hidden) rows.push(h("tr", { class: "gap" }, h("td", { class: "at" }, "⋯"), h("td", {}, `${hidden} lines as before`))); hidden = 0; };
    steps.forEach(([kind, i, j], step) => {
      if (!near.has(step)) { hidden += 1; return; }
      flush();
      if (kind === "=") rows.push(codeLine("  ", j + 1, now[j]));
      else if (kind === "-") rows.push(codeLine("- ", "", old[i], "removed"));
      else rows.push(codeLine("+ ", j + 1, now[j], "added"));
    });
    flush();
    return h("table", {}, h("tbody", {}, rows));
  }

  /** Longest common subsequence of lines, as steps ["=", i, j], ["-", i], ["+", , j]. */
  function aligned(a, b) {
    let head = 0;
    while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
    let tail = 0;
    while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
    const [n, m] = [a.length - head - tail, b.length - head - tail];
    const steps = Array.from({ length: head }, (_, i) => ["=", i, i]);
    if (n * m > ALIGNABLE) { // too long to align: all out, all in
      for (let i = 0; i < n; i += 1) steps.push(["-", head + i]);
      for (let j = 0; j < m; j += 1) steps.push(["+", undefined, head + j]);
    } else {
      const longest = Array.from({ length: n + 1 }, () => new Uint32Array(m + 1));
      for (let i = n - 1; i >= 0; i -= 1) for (let j = m - 1; j >= 0; j -= 1) longest[i][j] = a[head + i] === b[head + j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
      let [i, j] = [0, 0];
      while (i < n || j < m) {
        if (i < n && j < m && a[head + i] === b[head + j]) { steps.push(["=", head + i, head + j]); i += 1; j += 1; }
        else if (i < n && (j === m || longest[i + 1][j] >= longest[i][j + 1])) { steps.push(["-", head + i]); i += 1; }
        else { steps.push(["+", undefined, head + j]); j += 1; }
      }
    }
    for (let k = 0; k < tail; k += 1) steps.push(["=", a.length - tail + k, b.length - tail + k]);
    return steps;
  }

  function casesCard(cases, args) {
    const body = h("tbody", {});
    const failed = cases.filter((row) => row[2] !== "passed").length;
    const timed = cases.some((row) => row[6] !== undefined && row[6] !== null);
    const paint = () => body.replaceChildren(...cases.filter((row) => !view.failing || row[2] !== "passed").map((row) => caseRow(row, args, timed)));
    const only = h("input", { type: "checkbox", change: () => { view.failing = only.checked; paint(); } });
    only.checked = view.failing && failed > 0;
    view.failing = only.checked;
    paint();
    const names = ["arguments", "", "status", "abs error", "rel error", ...(timed ? ["PyTorch µs", "kernel µs", "speed-up", "± noise"] : [])];
    return card(
      `${cases.length} cases, ${failed} failed`,
      failed ? h("div", { class: "tools" }, h("label", {}, only, "only those that failed")) : null,
      h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, names.map((name, i) => h("th", { scope: "col", class: i > 2 ? "num" : null }, name)))), body)),
    );
  }

  function caseRow([arg, isTimed, status, message, abs, rel, reference, candidate, gain, noise], args, timed) {
    const numbers = [digits(abs), digits(rel), ...(timed ? [digits(reference, 4), digits(candidate, 4), gain ? speed(gain, noise, false) : "–", noise ? `${(100 * noise).toFixed(1)} %` : "–"] : [])];
    return h("tr", {}, h("td", { class: "mono args" }, args[arg], message ? h("div", { class: status }, message) : null), h("td", { class: "small" }, isTimed ? "timed" : ""), h("td", {}, badge(status)), numbers.map((value) => h("td", { class: "num" }, value)));
  }

  // --- machines and settings ---------------------------------------------------------------------------

  function facts() {
    const flat = (value) => Array.isArray(value) && value.every((item) => typeof item === "string") && value.length ? value.join(", ") : (value !== null && typeof value === "object" ? JSON.stringify(value) : String(value));
    const listOf = (object, hidden = []) => h("dl", { class: "facts" }, Object.entries(object).filter(([what, value]) => !hidden.includes(what) && value !== null && flat(value) !== "[]" && flat(value) !== "{}").map(([what, value]) => [h("dt", {}, what), h("dd", { class: "mono" }, flat(value))]));
    const walls = (sandbox) => Object.entries(sandbox || {}).map(([device, found]) => [h("h3", {}, `Sandbox of workers on ${device}`), h("dl", { class: "facts" }, h("dt", {}, "holds"), h("dd", {}, (found.holds || []).join(", ") || "nothing"), h("dt", {}, "missing"), h("dd", { class: (found.missing || []).length ? "wrong" : null }, (found.missing || []).join(", ") || "nothing"))]);
    const machine = (one) => [listOf(one, ["gpus", "sandbox"]), (one.gpus || []).map((gpu, i) => [h("h3", {}, `GPU ${i}`), listOf(gpu)]), walls(one.sandbox)];
    return [
      h("h1", {}, "Machines and settings"),
      data.runs.map((run, i) => [
        h("h2", {}, data.runs.length > 1 ? swatch(i) : null, run.name),
        card("Machine that judged", run.machines.length ? run.machines.map(machine) : h("p", { class: "lead" }, "The records do not say.")),
        h("div", { class: "grid" }, card("Asked for", listOf({ ...run.arguments, ...(run.arguments.task || {}) }, ["task"])), card("Client", listOf({ models: run.models.join(", ") || null, started: run.started || null, ...run.versions, ...run.tokens }))),
      ]),
      h("p", { class: "quiet" }, "The hash of each kernel, the seed where it was fixed, and the walls that stood around its worker are on the page of its operator."),
    ];
  }

  // --- finding the way ---------------------------------------------------------------------------------

  async function show() {
    const turn = (drawn += 1);
    const parts = location.hash.replace(/^#\/?/, "").split("/");
    const page = parts[0] || "summary";
    let children;
    if (page === "op") {
      let name = "";
      try { name = decodeURIComponent(parts[1] || ""); } catch { name = parts[1]; }
      children = await operator(name, parts[2], parts[3], parts[4]);
    } else children = { operators, facts }[page]?.() ?? summary();
    if (turn !== drawn) return;
    const staying = page === "op" && main.dataset.page === `op/${parts[1]}`;
    for (const [canvas] of charts) Chart.getChart(canvas)?.destroy();
    if (page !== "summary") charts = [];
    main.replaceChildren(...children.flat(Infinity).filter(Boolean));
    main.dataset.page = page === "op" ? `op/${parts[1]}` : page;
    for (const anchor of document.querySelectorAll("nav a")) {
      if (anchor.dataset.page === (page === "op" ? "operators" : page)) anchor.setAttribute("aria-current", "page");
      else anchor.removeAttribute("aria-current");
    }
    paintCharts();
    if (!staying && turn > 1) { window.scrollTo(0, 0); main.focus({ preventScroll: true }); }
  }

  function paintCharts() {
    charts = charts.filter(([canvas]) => canvas.isConnected);
    for (const [canvas, config] of charts) {
      Chart.getChart(canvas)?.destroy();
      new Chart(canvas, config());
    }
  }

  function theme(choice) {
    const dark = choice ? choice === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "dark" : "light";
    document.getElementById("theme").textContent = dark ? "Light" : "Dark";
    document.getElementById("theme").setAttribute("aria-label", dark ? "Use light colours" : "Use dark colours");
    paintCharts();
  }

  document.getElementById("theme").addEventListener("click", () => theme(root.dataset.theme === "dark" ? "light" : "dark"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme());
  document.querySelector(".skip").addEventListener("click", (event) => { // a hash is a route here
    event.preventDefault();
    main.focus();
  });
  window.addEventListener("hashchange", show);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    event.preventDefault();
    if (!document.querySelector("input[type=search]")) location.hash = "#/operators";
    setTimeout(() => document.querySelector("input[type=search]")?.focus(), 50);
  });
  theme();
  unpack("figures").then((found) => { data = found; return show(); }).then(
    () => { root.dataset.ready = String(Math.round(performance.now())); },
    (error) => { main.replaceChildren(h("p", { class: "loading" }, `This report cannot be shown: ${error}. It needs a browser of 2023 or later.`)); },
  );
})();
