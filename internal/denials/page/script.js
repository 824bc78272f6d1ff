"use strict";
(() => {
  const source = document.getElementById("data");
  const body = document.getElementById("body");
  if (!source || !body) return;
  const data = JSON.parse(source.textContent);

  const classes = ["denied", "warned", "audited", "probed"];
  const dimensions = ["node", "rule", "policy"];
  const second = 1000;
  const steps = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2419200, 31449600,
    3144960000,
  ];
  const maxBars = 60;
  const pageRows = 100;
  const topRows = 10;
  const variantRows = 50;

  // Texts of records only ever become text nodes and values of title and aria-label.
  const el = (name, attributes, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    node.append(...children.filter((child) => child !== null));
    return node;
  };
  const svg = (name, attributes, ...children) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const byID = (id) => document.getElementById(id);
  const number = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
  const counted = (n, noun) => number(n) + " " + noun + (n === 1 ? "" : "s");
  const iso = (ms) => new Date(ms).toISOString();
  const clock = (ms) => iso(ms).slice(0, 19).replace("T", " ");
  const time = (ms) => el("time", {datetime: iso(ms)}, clock(ms));
  const button = (label, attributes, action) => {
    const node = el("button", {type: "button", "data-key": typeof label === "string" ? label : "", ...attributes}, label);
    node.addEventListener("click", action);
    return node;
  };
  const key = (name) => el("span", {class: "key " + name, "aria-hidden": "true"});

  // What the page was made of, with texts in the place of their numbers.
  const text = (n) => data.texts[n];
  const titles = new Map(data.rules.map(([id, title]) => [text(id), text(title)]));
  const named = (record) => ({...record, object: text(record.object), details: record.details.map(text), id: record.id.map(text)});
  const groups = data.groups.map((g) => {
    const group = {
      ...g, class: text(g.class), action: text(g.action), node: text(g.node), write: text(g.write),
      violated: g.violated.map(([rule, policy]) => ({rule: text(rule), policy: text(policy)})), variants: g.variants.map(named),
    };
    group.head = [group.action, group.node, group.write, ...group.violated.flatMap((v) => [v.rule, v.policy])].join(" ").toLowerCase();
    group.words = group.head + " " +
      group.variants.map((v) => [v.object, ...v.details, ...v.id].join(" ")).join(" ").toLowerCase();
    return group;
  });
  const left = data.left.map((l) => ({class: text(l.class), intervals: l.intervals}));
  const rows = data.rows.map((row) => {
    const r = {...named(row), group: groups[row.group]};
    r.words = [r.group.head, r.object, ...r.details, ...r.id].join(" ").toLowerCase();
    return r;
  });
  const span = (() => {
    let first = Infinity, last = -Infinity;
    for (const {intervals} of [...groups, ...left]) {
      for (let i = 0; i < intervals.length; i += 2) {
        first = Math.min(first, intervals[i]);
        last = Math.max(last, intervals[i] + 1);
      }
    }
    return {from: first * data.step * second, to: last * data.step * second};
  })();

  // The state of the page is in its address, so that "back" works and a view has a link.
  const names = ["action", ...dimensions, "from", "to", "q", "view", "order"];
  let state = {};
  let expanded = new Set();
  let pageNumber = 0;
  const load = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    state = {};
    for (const name of names) if (given.get(name)) state[name] = given.get(name);
    for (const name of ["from", "to"]) {
      const at = Date.parse(state[name]);
      if (Number.isNaN(at)) delete state[name]; else state[name] = at;
    }
  };
  const save = (replace) => {
    const given = new URLSearchParams();
    for (const name of names) if (state[name]) given.set(name, typeof state[name] === "number" ? iso(state[name]) : state[name]);
    try {
      history[replace ? "replaceState" : "pushState"](null, "", "#" + given);
    } catch { /* A viewer may not let a page have an address. */ }
  };
  const change = (changes, replace) => {
    state = {...state, ...changes};
    pageNumber = 0;
    save(replace);
    render();
  };
  const toggle = (name, value) => change({[name]: state[name] === value ? undefined : value});
  const filter = (name, value, label, hint) => button(label || value, {
    class: "filter", "aria-pressed": String(state[name] === value), "data-key": name + " " + value,
    title: hint || "Only " + name + " " + value,
  }, () => toggle(name, value));

  // Filters.
  const searched = () => (state.q || "").toLowerCase().split(/\s+/).filter(Boolean);
  const violates = (v) => (!state.rule || v.rule === state.rule) && (!state.policy || v.policy === state.policy);
  const matches = (g) => (!state.action || g.class === state.action) && (!state.node || g.node === state.node) &&
    ((!state.rule && !state.policy) || g.violated.some(violates));
  const hasWords = (words, all) => all.every((word) => words.includes(word));
  const range = () => ({from: state.from ?? span.from, to: state.to ?? span.to});
  const inRange = (intervals, {from, to}, count) => {
    let n = 0;
    for (let i = 0; i < intervals.length; i += 2) {
      const at = intervals[i] * data.step * second;
      if (at < from || at >= to) continue;
      n += intervals[i + 1];
      if (count) count(at, intervals[i + 1]);
    }
    return n;
  };
  const isNarrow = () => dimensions.some((name) => state[name]) || state.q;
  const select = () => {
    const all = searched();
    const selected = [];
    for (const group of groups) {
      if (!matches(group) || !hasWords(group.words, all)) continue;
      const n = inRange(group.intervals, range());
      if (n > 0) selected.push({group, n});
    }
    // Records that are in no group have no node, rule or policy.
    const others = isNarrow() ? [] : left.filter((l) => !state.action || l.class === state.action);
    return {selected, others};
  };

  // Chart.
  const nice = (n) => {
    let unit = 1;
    while (unit * 10 < n) unit *= 10;
    return [2, 4, 6, 8].map((times) => times * unit).find((top) => n <= top) || 10 * unit;
  };
  const stepName = (seconds) => {
    for (const [length, noun] of [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]]) {
      if (seconds === length) return noun;
      if (seconds % length === 0) return counted(seconds / length, noun);
    }
    return "";
  };
  const barsOf = ({selected, others}) => {
    const {from, to} = range();
    const step = second * (steps.find((s) => s % data.step === 0 && (to - from) / (s * second) <= maxBars) || steps.at(-1));
    const start = Math.floor(from / step) * step;
    const n = Math.max(1, Math.ceil((to - start) / step));
    const bars = Array.from({length: Math.min(n, 2 * maxBars)}, (_, i) => (
      {from: start + i * step, to: start + (i + 1) * step, counts: {}}));
    const count = (name) => (at, records) => {
      const bar = bars[Math.floor((at - start) / step)];
      if (bar) bar.counts[name] = (bar.counts[name] || 0) + records;
    };
    for (const {group} of selected) inRange(group.intervals, range(), count(group.class));
    for (const other of others) inRange(other.intervals, range(), count(other.class));
    for (const bar of bars) bar.total = classes.reduce((sum, name) => sum + (bar.counts[name] || 0), 0);
    return {bars, step};
  };
  const says = (counts) => classes.filter((name) => counts[name]).map((name) => number(counts[name]) + " " + name).join(", ") || "none";
  const zoom = (from, to) => change({from, to});
  // ticks are at most six times that are multiples of a round one.
  const ticks = (bars, step) => {
    const from = bars[0].from, to = bars.at(-1).to;
    const every = steps.map((s) => s * second).find((s) => s >= step && (to - from) / s <= 6) || to - from;
    const all = [];
    for (let at = Math.ceil(from / every) * every; at <= to; at += every) {
      const day = at % (86400 * second) === 0;
      const label = every >= 86400 * second * 365 ? iso(at).slice(0, 7) : day ? iso(at).slice(5, 10) :
        iso(at).slice(11, every % (60 * second) === 0 ? 16 : 19);
      all.push({at: (at - from) / (to - from), label});
    }
    return all;
  };
  const drawChart = (found) => {
    const {bars, step} = barsOf(found);
    const width = 100 / bars.length;
    const top = nice(Math.max(1, ...bars.map((bar) => bar.total)));
    const title = "Records per " + stepName(step / second) + ", " + clock(bars[0].from) + " to " + clock(bars.at(-1).to) + " UTC";
    const plot = svg("svg", {role: "img", "aria-label": title, viewBox: "0 0 100 100", preserveAspectRatio: "none", class: "bars"});
    for (const y of [0, 50, 100]) plot.append(svg("line", {class: "grid", x1: 0, x2: 100, y1: y, y2: y}));
    let anchor = null;
    bars.forEach((bar, i) => {
      const g = svg("g", {}, svg("title", {}, clock(bar.from) + " UTC: " + says(bar.counts)),
        svg("rect", {class: "hit", x: i * width, y: 0, width, height: 100}));
      let base = 100;
      for (const name of classes) {
        if (!bar.counts[name]) continue;
        const height = Math.max(0.6, 100 * bar.counts[name] / top);
        base -= height;
        g.append(svg("rect", {class: name, x: i * width + width * 0.08, y: base, width: width * 0.84, height}));
      }
      g.addEventListener("pointerdown", () => { anchor = i; });
      g.addEventListener("pointerup", () => {
        if (anchor !== null) zoom(bars[Math.min(anchor, i)].from, bars[Math.max(anchor, i)].to);
      });
      plot.append(g);
    });
    const axis = svg("svg", {class: "x", "aria-hidden": "true"});
    ticks(bars, step).forEach(({at, label}, i) => {
      const side = at < 0.03 ? "start" : at > 0.97 ? "end" : "middle";
      axis.append(svg("text", {x: 100 * at + "%", y: "1em", "text-anchor": side, class: i % 2 ? "odd" : "even"}, label));
    });
    const y = el("div", {class: "y", "aria-hidden": "true"}, ...[top, top / 2, 0].map((n) => el("span", {}, number(n))));
    byID("chart").replaceChildren(
      el("div", {class: "plot"}, y, plot, axis),
      el("figcaption", {}, title + ". Click a bar or drag over several to zoom in."),
      tableOf(bars, stepName(step / second)));
    byID("chart").hidden = false;
  };
  // tableOf is the chart as a table, made when it is opened.
  const tableOf = (bars, step) => {
    const details = el("details", {}, el("summary", {}, "The same as a table"));
    details.addEventListener("toggle", () => {
      if (!details.open || details.children.length > 1) return;
      const head = el("tr", {}, el("th", {scope: "col"}, "From (UTC)"),
        ...classes.map((name) => el("th", {scope: "col", class: "number"}, name)));
      details.append(el("table", {}, el("caption", {}, "Records per " + step), el("thead", {}, head),
        el("tbody", {}, ...bars.filter((bar) => bar.total).map((bar) => el("tr", {},
          el("th", {scope: "row"}, button(clock(bar.from), {class: "filter", title: "Zoom in"}, () => zoom(bar.from, bar.to))),
          ...classes.map((name) => el("td", {class: "number"}, number(bar.counts[name] || 0))))))));
    });
    return details;
  };

  // Totals and active filters.
  const drawTotals = () => {
    const sums = {};
    const {action, ...rest} = state;
    const before = state;
    state = rest; // the totals are those of all actions
    const {selected, others} = select();
    for (const {group, n} of selected) sums[group.class] = (sums[group.class] || 0) + n;
    for (const other of others) sums[other.class] = (sums[other.class] || 0) + inRange(other.intervals, range());
    state = before;
    byID("totals").replaceChildren(...classes.filter((name) => sums[name] || name !== "probed").map((name) =>
      el("li", {}, filter("action", name,
        el("span", {}, key(name), el("strong", {}, number(sums[name] || 0)), " " + name), "Only what was " + name))));
  };
  const drawFilters = () => {
    const chips = [];
    const chip = (label, undo) => chips.push(button(label + " ×", {class: "chip", title: "Remove this filter"}, undo));
    for (const name of ["action", ...dimensions]) {
      if (state[name]) chip(name + " " + state[name], () => change({[name]: undefined}));
    }
    if (state.q) chip("search “" + state.q + "”", () => change({q: undefined}));
    if (state.from !== undefined || state.to !== undefined) {
      const {from, to} = range();
      chip(clock(from) + " to " + clock(to), () => change({from: undefined, to: undefined}));
      const length = to - from;
      chips.push(button("◀ earlier", {}, () => zoom(from - length, from)), button("later ▶", {}, () => zoom(to, to + length)),
        button("wider", {}, () => zoom(Math.max(span.from, from - 2 * length), Math.min(span.to, to + 2 * length))));
    }
    if (chips.length > 1) chips.push(button("show all", {}, () => change(Object.fromEntries(names.map((name) => [name, undefined])))));
    const filters = byID("filters");
    filters.replaceChildren(...chips);
    filters.hidden = chips.length === 0;
  };

  // Nodes, rules and policies.
  const topOf = (name, selected) => {
    const sums = new Map();
    for (const {group, n} of selected) {
      const values = name === "node" ? [group.node] : group.violated.filter(violates).map((v) => v[name]);
      for (const value of new Set(values)) {
        const sum = sums.get(value) || {value, counts: {}, total: 0};
        sum.counts[group.class] = (sum.counts[group.class] || 0) + n;
        sum.total += n;
        sums.set(value, sum);
      }
    }
    const compare = (a, b) => {
      for (const c of classes) if ((a.counts[c] || 0) !== (b.counts[c] || 0)) return (b.counts[c] || 0) - (a.counts[c] || 0);
      return a.value < b.value ? -1 : 1;
    };
    return [...sums.values()].sort(compare);
  };
  const drawTop = ({selected}) => {
    byID("top").replaceChildren(...[["node", "Nodes"], ["rule", "Rules"], ["policy", "Policies"]].map(([name, title]) => {
      const all = topOf(name, selected);
      const shown = all.slice(0, expanded.has(name) ? 1000 : topRows);
      const largest = Math.max(1, ...shown.map((row) => row.total));
      const lines = shown.map((row) => {
        const share = svg("svg", {class: "share", "aria-hidden": "true", viewBox: "0 0 100 1", preserveAspectRatio: "none"});
        let x = 0;
        for (const c of classes) {
          const width = 100 * (row.counts[c] || 0) / largest;
          if (width > 0) share.append(svg("rect", {class: c, x, width, height: 1}));
          x += width;
        }
        const about = name === "rule" && titles.has(row.value) ? el("div", {class: "soft"}, titles.get(row.value)) : null;
        return el("tr", {title: says(row.counts)},
          el("th", {scope: "row"}, filter(name, row.value), about, share),
          el("td", {class: "number"}, number(row.counts.denied || 0)), el("td", {class: "number"}, number(row.total)));
      });
      const head = el("tr", {}, el("th", {scope: "col"}, title.replace(/ies$/, "y").replace(/s$/, "")),
        el("th", {scope: "col", class: "number"}, "Denied"), el("th", {scope: "col", class: "number"}, "All"));
      const more = all.length <= topRows ? null : button(expanded.has(name) ? "Show fewer" : "Show all " + number(all.length), {}, () => {
        if (!expanded.delete(name)) expanded.add(name);
        render();
      });
      return el("section", {"aria-labelledby": "top-" + name}, el("h2", {id: "top-" + name}, title),
        el("table", {"aria-labelledby": "top-" + name}, el("thead", {}, head), el("tbody", {}, ...lines)), more);
    }));
    byID("top").hidden = false;
  };

  // Records.
  const cell = (label, attributes, ...children) => el("td", {role: "cell", "data-label": label, ...attributes}, ...children);
  const violations = (group, details) => group.violated.map((v, i) => el("div", {class: "violation"},
    el("div", {}, filter("rule", v.rule), " of ", filter("policy", v.policy), details ? ": " + details[i] : null),
    titles.has(v.rule) ? el("div", {class: "soft"}, titles.get(v.rule)) : null));
  const identity = ([boot, seq, uid]) => el("div", {class: "id"},
    el("div", {title: "The process of the webhook, and the number of its record"}, "boot " + boot + ", seq " + seq),
    uid ? el("div", {title: "The UID of the AdmissionReview"}, "uid " + uid) : null);
  const drawVariants = (group) => {
    const list = el("tbody", {});
    const add = () => {
      const from = list.children.length;
      list.append(...group.variants.slice(from, from + variantRows).map((v) => el("tr", {},
        el("td", {class: "number"}, number(v.count)),
        el("td", {}, v.object || "the node", ...v.details.map((detail) => el("div", {class: "soft"}, detail))),
        el("td", {}, time(v.first), v.count > 1 ? el("div", {}, time(v.last)) : null, identity(v.id)))));
      more.hidden = list.children.length >= group.variants.length;
    };
    const more = button("Show more", {}, add);
    add();
    const head = el("tr", {}, el("th", {scope: "col", class: "number"}, "Records"), el("th", {scope: "col"}, "Object and details"),
      el("th", {scope: "col"}, "First, last, and the last record"));
    const rest = group.further ? el("p", {class: "note"}, counted(group.further, "more record") +
      " of this group with other objects or details: see the log.") : null;
    return [el("table", {class: "variants"}, el("caption", {}, "Records of this group"), el("thead", {}, head), list), more, rest]
      .filter((part) => part !== null);
  };
  // disclose is a button that shows the variants of a group below its row.
  const disclose = (group, row) => {
    const others = group.variants.length - 1;
    const label = others > 0 ? number(others) + (others > 1 ? " others" : " other") + (group.further ? " and more" : "") : "last record";
    let below = null;
    const open = button("▸ " + label, {class: "filter more", "aria-expanded": "false", "data-key": ""}, () => {
      if (below) {
        below.remove();
        below = null;
      } else {
        below = el("tr", {role: "row", class: "below"}, el("td", {role: "cell", colspan: 6}, ...drawVariants(group)));
        row.after(below);
      }
      open.setAttribute("aria-expanded", String(below !== null));
      open.textContent = (below ? "▾ " : "▸ ") + label;
    });
    return open;
  };
  const objectsOf = (group) => {
    const objects = new Set(group.variants.map((v) => v.object));
    const [first] = objects;
    if (objects.size > 1) return el("div", {class: "soft"}, number(objects.size) + (group.further ? " objects and more" : " objects"));
    return first ? el("div", {class: "soft"}, first) : null;
  };
  const groupRow = ({group, n}) => {
    const first = group.variants[0];
    const row = el("tr", {role: "row"},
      cell("Records", {class: "count"}, number(n) + (n === group.count ? "" : " of " + number(group.count))),
      cell("Action", {}, key(group.class), filter("action", group.class, group.action)),
      cell("Node", {}, filter("node", group.node)),
      cell("Write", {}, group.write, objectsOf(group)),
      cell("Violations", {}, ...violations(group, first.details)),
      cell("Time", {}, time(group.first), group.count > 1 ? el("div", {}, time(group.last)) : null,
        group.count === 1 ? identity(first.id) : null));
    if (group.count > 1) row.children[4].append(disclose(group, row));
    return row;
  };
  const singleRow = (r) => el("tr", {role: "row"},
    cell("Records", {class: "count"}, "1"),
    cell("Action", {}, key(r.group.class), filter("action", r.group.class, r.group.action)),
    cell("Node", {}, filter("node", r.group.node)),
    cell("Write", {}, r.group.write, r.object ? el("div", {class: "soft"}, r.object) : null),
    cell("Violations", {}, ...violations(r.group, r.details)),
    cell("Time", {}, el("time", {datetime: iso(r.time)}, iso(r.time).slice(0, 23).replace("T", " ")), identity(r.id)));

  const orders = new Map([["newest", (a, b) => b.last - a.last], ["oldest", (a, b) => a.first - b.first]]);
  const drawRows = ({selected}) => {
    const single = state.view === "single";
    let all;
    if (single) {
      const {from, to} = range();
      const words = searched();
      all = rows.filter((r) => r.time >= from && r.time < to && matches(r.group) && hasWords(r.words, words));
      if (state.order === "oldest") all.reverse();
      if (!state.order) all.sort((a, b) => classes.indexOf(a.group.class) - classes.indexOf(b.group.class));
    } else {
      all = selected;
      const compare = orders.get(state.order);
      if (compare) all = [...all].sort((a, b) => compare(a.group, b.group));
    }
    pageNumber = Math.max(0, Math.min(pageNumber, Math.ceil(all.length / pageRows) - 1));
    const from = pageNumber * pageRows;
    const shown = all.slice(from, from + pageRows);
    body.replaceChildren(...shown.map(single ? singleRow : groupRow));
    const what = single ? counted(all.length, "record") :
      counted(all.length, "group") + " of " + counted(all.reduce((sum, {n}) => sum + n, 0), "record");
    byID("shown").value = what + (all.length > pageRows ? ", " + number(from + 1) + " to " + number(from + shown.length) : "");
    const go = (by) => () => { pageNumber += by; render(); byID("records").scrollIntoView(); };
    const previous = button("Previous", {}, go(-1)), next = button("Next", {}, go(1));
    previous.disabled = pageNumber === 0;
    next.disabled = from + shown.length >= all.length;
    byID("pages").replaceChildren(byID("shown"), ...(all.length > pageRows ? [previous, next] : []));
    if (byID("older")) byID("older").hidden = !single;
    byID("printed").textContent = shown.length > 25 ? "Only the first 25 rows are printed. Filter the page to print others." : "";
  };

  // alike are the buttons that do the same as one that was replaced, so that the keyboard's focus can stay.
  const alike = (key) => [...document.querySelectorAll("button")].filter((b) => b.dataset.key === key);
  const render = () => {
    const focus = document.activeElement;
    const key = focus?.dataset?.key;
    const nth = key ? alike(key).indexOf(focus) : 0;
    const found = select();
    drawTotals();
    drawFilters();
    drawChart(found);
    drawTop(found);
    drawRows(found);
    byID("view").value = state.view || "";
    byID("order").value = state.order || "";
    if (focus !== byID("search")) byID("search").value = state.q || "";
    if (key) (alike(key)[nth] || alike(key)[0] || byID("totals").querySelector("button")).focus({preventScroll: true});
  };

  let timer;
  byID("search").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => change({q: byID("search").value || undefined}, true), 150);
  });
  for (const name of ["view", "order"]) byID(name).addEventListener("change", (e) => change({[name]: e.target.value || undefined}));
  const go = () => { load(); render(); };
  window.addEventListener("popstate", go);
  window.addEventListener("hashchange", go);
  byID("tools").hidden = false;
  go();
})();
