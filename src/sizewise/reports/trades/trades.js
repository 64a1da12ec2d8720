// The trade explorer. Reads what symbol.py writes; nothing is fetched but the file of a symbol, and that by a script tag.
(function(){
"use strict";
const $ = id => document.getElementById(id), DAY = 86400, GIVEN = JSON.parse($("given").textContent);
const PANELS = {price: 250, size: 150, equity: 150, drawdown: 130}, LEAST_DAYS = 5, MARGIN_DAYS = 10;
const known = {}, charts = {};
// What is on the screen: the file, days and series of what was chosen, its trades, and the one that is looked at.
let seen = null, trades = [], looked = null, sorted = {column: 0, up: true}, wanted = null;

// ---- reading a file: letters are numbers as in letters.py
const DIGIT = {};
[..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].forEach((letter, i) => { DIGIT[letter] = i; });
function numbers(text) {
  const found = [];
  for (let i = 0, value = 0, shift = 0; i < text.length; i++) {
    const digit = DIGIT[text[i]];
    value |= (digit & 31) << shift;
    if (digit & 32) { shift += 5; continue; }
    found.push(value & 1 ? -(value >>> 1) : value >>> 1);
    value = shift = 0;
  }
  return found;
}
function series(text) { let at = 0; return numbers(text).map(step => at += step); }
function rows(text, width) {
  const flat = numbers(text), found = [];
  for (let i = 0; i < flat.length; i += width) found.push(flat.slice(i, i + width));
  return found;
}

window.sizewiseTrades = (symbol, file) => {
  file.unit = 10 ** file.decimals;
  file.day = series(file.days);
  // A day stands at its end, where its close is; what filled within it lies to the left of that.
  file.time = file.day.map(day => (day + 1) * DAY - 1);
  file.close = series(file.closes).map(ticks => ticks / file.unit);
  file.regime = [...file.regimes].map(Number);
  let first = 0, entry = 0;
  file.fold = file.folds.map(([fold, days]) => ({fold, first, last: (first += days) - 1}));
  file.signal = rows(file.signals, 5).map(([step, held, side, stop, regime]) => {
    entry += step;
    return {entry: entry * 60, exit: (entry + held) * 60, side, stop: stop / file.unit, regime};
  });
  file.account = {};
  known[symbol] = file;
  if ($("symbol").value === symbol) choose();
};
function load(symbol) {
  if (known[symbol]) return choose();
  say("Loading " + symbol);
  const script = document.createElement("script");
  script.src = "trades/" + encodeURIComponent(symbol) + ".js";
  script.onerror = () => say("trades/" + symbol + ".js is missing beside this page: run `dvc repro trades`");
  document.head.append(script);
}
function account(file, arm, seed) {
  const name = arm + "/" + seed;
  if (file.account[name]) return file.account[name];
  const [sizes, equity, closed, met] = file.paths[arm][seed];
  let followed = 0, minute = 0;
  return file.account[name] = {
    size: series(sizes).map(bps => bps / 100),
    equity: series(equity).map(bps => bps / 1e4 * GIVEN.start),
    trades: rows(closed, 5).map(([step, entered, left, pnl, hundredths]) => {
      const signal = file.signal[followed += step], at = dayOf(file, signal.entry), to = dayOf(file, signal.exit);
      return {...signal, at, to, pnl, risk: signal.stop ? hundredths / 100 : NaN,
        entered: file.close[at] + entered / file.unit, left: file.close[to] + left / file.unit};
    }),
    met: rows(met, 2).map(([step, kind]) => ({time: (minute += step) * 60, kind: GIVEN.events[kind]})),
  };
}
function dayOf(file, time) {
  const day = Math.floor(time / DAY);
  let low = 0, high = file.day.length - 1;
  while (low < high) { const middle = (low + high) >> 1; if (file.day[middle] < day) low = middle + 1; else high = middle; }
  return low;
}

// ---- choosing
function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, label]) => new Option(label, value, false, String(value) === String(chosen))));
}
function seedOf(file, arm, seed) { const seeds = file.paths[arm]; return seed in seeds ? seed : Object.keys(seeds)[0]; }
function choose(kept) {
  const symbol = $("symbol").value, file = known[symbol], arm = $("arm").value;
  if (!file) return load(symbol);
  if (!file.paths[arm]) return say(arm + " does not trade " + symbol);
  const seed = seedOf(file, arm, $("seed").value || (wanted || {}).seed), seeds = Object.keys(file.paths[arm]);
  options($("seed"), seeds.map(one => [one, one === "0" && seeds.length === 1 ? "none" : one]), seed);
  $("seed").disabled = seeds.length === 1;
  const fold = (wanted || {}).fold || $("fold").value || "all";
  options($("fold"), [["all", "every fold"], ...file.fold.map(f => [f.fold, f.fold + ": " + date(file.time[f.first]) + " to " + date(file.time[f.last])])], fold);
  if ($("fold").selectedIndex < 0) $("fold").value = "all";
  wanted = null;
  seen = shown(file, symbol, arm, seed);
  looked = null;
  list();
  draw();
  if (!kept) everything();
  const hash = "#" + [symbol, arm, seed, $("fold").value, $("beside").value].map(encodeURIComponent).join("/");
  try { history.replaceState(null, "", hash); } catch (error) { /* a browser that lets no file rewrite its address */ }
}
function shown(file, symbol, arm, seed) {
  const folds = file.fold.filter(f => $("fold").value === "all" || String(f.fold) === $("fold").value);
  const first = folds[0].first, last = folds[folds.length - 1].last + 1, besides = $("beside").value;
  const of = (name, which) => {
    const found = account(file, name, which), equity = joined(found.equity, folds);
    return {name, seed: which, size: found.size.slice(first, last), equity, drawdown: drawdown(equity), found};
  };
  const one = of(arm, seed), two = file.paths[besides] ? of(besides, seedOf(file, besides, seed)) : null;
  return {
    file, symbol, first, folds, one, two,
    x: file.time.slice(first, last), close: file.close.slice(first, last), regime: file.regime.slice(first, last),
    trades: one.found.trades.filter(trade => trade.at >= first && trade.at < last),
    met: one.found.met.filter(({time}) => { const at = dayOf(file, time); return at >= first && at < last; }),
  };
}
// Growth of folds one after the other: each begins with the same equity.
function joined(equity, folds) {
  let base = 1;
  return folds.flatMap(({first, last}) => {
    const part = equity.slice(first, last + 1).map(value => base * value);
    base = part[part.length - 1] / GIVEN.start;
    return part;
  });
}
function drawdown(equity) {
  let most = GIVEN.start;
  return equity.map(value => { most = Math.max(most, value); return 100 * (value / most - 1); });
}

// ---- words
const date = time => new Date(time * 1000).toISOString().slice(0, 10);
const money = value => (value < 0 ? "\u2212$" : "$") + Math.abs(Math.round(value)).toLocaleString("en-US");
const signed = (value, digits) => (value < 0 ? "\u2212" : value > 0 ? "+" : "") + Math.abs(value).toFixed(digits);
const share = value => value ? signed(value, 2) + "%" : "0%";
const price = value => value.toFixed(seen.file.decimals);
const label = code => GIVEN.labels[code].replaceAll("_", " ");
const named = one => one.name + (one.seed === "0" ? "" : ", seed " + one.seed);
function say(text) { $("shown").textContent = text; }
function element(name, text, given) { const made = document.createElement(name); made.textContent = text; return Object.assign(made, given); }

// ---- charts
function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim(); }
function draw() {
  const range = charts.price && seen.x[0] - DAY <= charts.price.scales.x.min && {...charts.price.scales.x};
  const c = Object.fromEntries(["ink", "quiet", "line", "mark", "other", "win", "loss", "paper", "warn", 0, 1, 2, 3, 4].map(k => [k, colour(k in [0, 1, 2, 3, 4] ? "shade" + k : k)]));
  const pair = key => seen.two ? [seen.one[key], seen.two[key]] : [seen.one[key]];
  // What is held at a close is held from there on.
  const stepped = uPlot.paths.stepped({align: 1});
  const data = {price: [seen.close], size: pair("size"), equity: pair("equity"), drawdown: pair("drawdown")};
  for (const name in charts) { charts[name].destroy(); delete charts[name]; }
  for (const name in PANELS) {
    const lines = data[name].map((_, i) => ({
      stroke: name === "price" ? c.quiet : i ? c.other : c.mark, width: i ? 1.25 : 1.75, dash: i ? [6, 3] : [],
      points: {show: false}, paths: name === "size" ? stepped : undefined,
    }));
    charts[name] = new uPlot({
      width: $(name).clientWidth, height: PANELS[name], series: [{}, ...lines], legend: {show: false}, padding: [6, 8, 0, 0],
      tzDate: time => uPlot.tzDate(new Date(time * 1e3), "Etc/UTC"),
      cursor: {sync: {key: "trades", setSeries: false}, drag: {x: true, y: false}, points: {size: 6}, y: false},
      axes: [
        {stroke: c.quiet, grid: {stroke: c.line, width: 1}, ticks: {stroke: c.line}, size: 28, space: 70, font: "12px system-ui", values: when},
        {stroke: c.quiet, grid: {stroke: c.line, width: 1}, ticks: {show: false}, size: 62, font: "12px system-ui", values: VALUES[name]},
      ],
      scales: {x: {time: true}, y: {range: RANGES[name]}},
      hooks: {
        drawClear: [u => shade(u, c)],
        draw: [u => name === "price" ? marks(u, c) : name === "size" ? crosses(u, c) : null],
        setScale: [(u, key) => { if (key === "x") { follow(u); describe(name, u); } }],
        setCursor: name === "price" ? [u => read(u.cursor.idx)] : [],
      },
    }, [seen.x, ...data[name]], $(name));
    fingers(charts[name]);
  }
  if (range) zoom(range.min, range.max);
  legends();
}
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
function when(u, ticks, axis, space, step) {
  return ticks.map(time => {
    const [year, month, day] = date(time).split("-");
    return step >= 360 * DAY ? year : MONTHS[month - 1] + (step >= 28 * DAY ? " " + year : " " + Number(day));
  });
}
const VALUES = {
  size: (u, ticks) => ticks.map(value => value + "%"), drawdown: (u, ticks) => ticks.map(value => value + "%"),
  equity: (u, ticks) => ticks.map(value => "$" + (value / 1e3).toLocaleString("en-US") + "k"),
};
const RANGES = {
  size: (u, low, high) => [Math.min(1.1 * low, 0), Math.max(1.1 * high, 0) || 1],
  drawdown: (u, low) => [Math.min(1.1 * low, -0.1), 0],
};
// Days are shaded one by one, from the close before to their own.
function shade(u, c) {
  const {left, top, width, height} = u.bbox, {x, regime} = seen;
  const at = time => Math.min(Math.max(u.valToPos(time, "x", true), left), left + width);
  for (let i = 0, from = 0; i < x.length; i++) {
    if (regime[i + 1] === regime[i]) continue;
    const start = at(from ? x[from - 1] : x[0] - DAY), stop = at(x[i]);
    u.ctx.fillStyle = c[regime[i]];
    if (stop > start) u.ctx.fillRect(start, top, stop - start, height);
    from = i + 1;
  }
  line(u, c.quiet, [2, 4], seen.folds.slice(1).map(f => [x[f.first - seen.first - 1], null]));
  if (looked) {
    u.ctx.fillStyle = c.mark;
    u.ctx.globalAlpha = 0.16;
    u.ctx.fillRect(at(looked.entry), top, Math.max(at(looked.exit) - at(looked.entry), 2), height);
    u.ctx.globalAlpha = 1;
  }
}
// Through points (time, value), or down the whole panel where a value is null.
function line(u, stroke, dash, points) {
  const {ctx, bbox} = u;
  clipped(u, () => {
    ctx.strokeStyle = stroke;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash(dash.map(d => d * devicePixelRatio));
    ctx.beginPath();
    points.forEach(([time, value], i) => {
      const px = u.valToPos(time, "x", true);
      if (value === null) { ctx.moveTo(px, bbox.top); ctx.lineTo(px, bbox.top + bbox.height); }
      else ctx[i ? "lineTo" : "moveTo"](px, u.valToPos(value, "y", true));
    });
    ctx.stroke();
  });
}
function clipped(u, paint) {
  const {left, top, width, height} = u.bbox;
  u.ctx.save();
  u.ctx.beginPath();
  u.ctx.rect(left, top, width, height);
  u.ctx.clip();
  paint();
  u.ctx.restore();
}
function marks(u, c) {
  const {min, max} = u.scales.x;
  for (const trade of trades) {
    if (trade.exit < min || trade.entry > max) continue;
    const tone = trade.pnl > 0 ? c.win : c.loss, stop = trade.entered - trade.side * trade.stop;
    if (trade.stop) line(u, tone, [3, 3], [[trade.entry, stop], [trade.exit, stop]]);
    line(u, tone, [], [[trade.entry, trade.entered], [trade.exit, trade.left]]);
    mark(u, trade.entry, trade.entered, tone, trade.pnl > 0 ? tone : c.paper, trade.side > 0 ? [[0, -6], [5, 4], [-5, 4]] : [[0, 6], [5, -4], [-5, -4]]);
    mark(u, trade.exit, trade.left, tone, trade.pnl > 0 ? tone : c.paper, [[-4, -4], [4, -4], [4, 4], [-4, 4]]);
  }
}
function crosses(u, c) {
  for (const {time} of seen.met) {
    mark(u, time, 0, c.warn, null, [[-4, -4], [4, 4]]);
    mark(u, time, 0, c.warn, null, [[-4, 4], [4, -4]]);
  }
}
function mark(u, time, value, stroke, fill, shape) {
  const {ctx} = u, px = u.valToPos(time, "x", true), py = u.valToPos(value, "y", true);
  clipped(u, () => {
    ctx.beginPath();
    shape.forEach(([dx, dy], i) => ctx[i ? "lineTo" : "moveTo"](px + dx * devicePixelRatio, py + dy * devicePixelRatio));
    ctx.closePath();
    ctx.strokeStyle = stroke;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    if (fill) { ctx.fillStyle = fill; ctx.fill(); }
    ctx.stroke();
  });
}
// A panel in words, as far as it is zoomed to.
function describe(name, u) {
  const {one, two, x} = seen, {min, max} = u.scales.x, from = Math.max(x.findIndex(time => time >= min), 0);
  const to = x.filter(time => time <= max).length, span = ", " + date(x[from]) + " to " + date(x[to - 1]);
  const ends = key => [one, two].filter(Boolean).map(each => named(each) + " " + key(each)).join("; ");
  const of = {
    price: () => "Price of " + seen.symbol + " and trades of " + named(one),
    size: () => "Largest size: " + ends(each => share(each.size.slice(from, to).reduce((most, size) => Math.abs(size) > Math.abs(most) ? size : most, 0))),
    equity: () => "Equity at the end: " + ends(each => money(each.equity[to - 1])),
    drawdown: () => "Deepest drawdown: " + ends(each => signed(Math.min(...each.drawdown.slice(from, to)), 2) + "%"),
  };
  $(name).setAttribute("aria-label", of[name]() + span);
  if (name === "price") say(seen.symbol + ": " + named(one) + (two ? " beside " + named(two) : "") + span);
}
function legends() {
  const {one, two} = seen;
  for (const name of ["size", "equity", "drawdown"]) {
    $(name + "-names").replaceChildren(...[one, two].filter(Boolean).map(each => {
      const made = element("span", named(each));
      made.prepend(element("i", ""));
      return made;
    }));
  }
  $("legend").replaceChildren(...[...new Set(seen.regime)].sort().map(code => {
    const made = element("span", label(code)), key = element("i", "");
    key.style.background = "var(--shade" + code + ")";
    made.prepend(key);
    return made;
  }));
}

// ---- zoom: one range for all panels
function follow(u) {
  for (const other of Object.values(charts)) {
    const {min, max} = other.scales.x;
    if (other !== u && (min !== u.scales.x.min || max !== u.scales.x.max)) other.setScale("x", {min: u.scales.x.min, max: u.scales.x.max});
  }
}
function zoom(min, max) {
  const first = seen.x[0] - DAY, last = seen.x[seen.x.length - 1], width = Math.min(Math.max(max - min, LEAST_DAYS * DAY), last - first);
  const from = Math.min(Math.max((min + max - width) / 2, first), last - width);
  charts.price.setScale("x", {min: from, max: from + width});
}
// What is under a finger stays under it: one moves the range, two spread it; up and down still scrolls the page.
function fingers(u) {
  const down = new Map(), at = event => event.clientX - u.over.getBoundingClientRect().left;
  u.over.onpointerdown = event => { if (event.pointerType === "touch") down.set(event.pointerId, {time: u.posToVal(at(event), "x"), at: at(event)}); };
  u.over.onpointermove = event => {
    if (!down.has(event.pointerId)) return;
    down.get(event.pointerId).at = at(event);
    const [a, b] = down.values(), {min, max} = u.scales.x, width = u.over.clientWidth;
    const day = b ? (b.time - a.time) / (b.at - a.at) : (max - min) / width;
    if (day > 0 && isFinite(day)) zoom(a.time - a.at * day, a.time + (width - a.at) * day);
  };
  u.over.onpointerup = u.over.onpointercancel = event => {
    down.delete(event.pointerId);
    for (const left of down.values()) left.time = u.posToVal(left.at, "x");
  };
}
function everything() { zoom(seen.x[0] - DAY, seen.x[seen.x.length - 1]); }
function key(pressed) {
  const {min, max} = charts.price.scales.x, width = max - min, middle = (min + max) / 2;
  const at = charts.price.cursor.idx;
  if (pressed === "+" || pressed === "=") zoom(middle - width / 4, middle + width / 4);
  else if (pressed === "-") zoom(middle - width, middle + width);
  else if (pressed === "0") everything();
  else if (pressed === "PageUp") zoom(min - 0.8 * width, max - 0.8 * width);
  else if (pressed === "PageDown") zoom(min + 0.8 * width, max + 0.8 * width);
  else if (pressed === "ArrowLeft" || pressed === "ArrowRight") point(at === null || at === undefined ? seen.x.findIndex(time => time >= min) : at + (pressed === "ArrowLeft" ? -1 : 1));
  else return false;
  return true;
}
function point(i) {
  const u = charts.price, at = Math.min(Math.max(i, 0), seen.x.length - 1), {min, max} = u.scales.x;
  const width = max - min;
  if (seen.x[at] < min) zoom(min - width / 2, max - width / 2);
  if (seen.x[at] > max) zoom(min + width / 2, max + width / 2);
  // Once the scale has moved.
  setTimeout(() => u.setCursor({left: u.valToPos(seen.x[at], "x"), top: u.bbox.height / devicePixelRatio / 2}), 0);
}
function read(i) {
  if (i === null || i === undefined || !seen) return;
  const {one, two, x} = seen, held = trades.find(trade => trade.entry <= x[i] && trade.exit > x[i]);
  const cells = [["day", date(x[i])], ["close", price(seen.close[i])], ["regime", label(seen.regime[i])]];
  for (const each of [one, two].filter(Boolean)) {
    cells.push([named(each) + ": size", share(each.size[i])], ["equity", money(each.equity[i])], ["drawdown", signed(each.drawdown[i], 2) + "%"]);
  }
  if (held) cells.push([held.side > 0 ? "long from" : "short from", price(held.entered) + " on " + date(held.entry)]);
  if (held && held.stop) cells.push(["risk distance to", price(held.entered - held.side * held.stop)]);
  $("reading").replaceChildren(...cells.map(([name, value]) => {
    const made = document.createElement("div");
    made.append(element("small", name), element("span", value));
    return made;
  }));
}

// ---- the list
const COLUMNS = [
  ["entered", t => t.entry, t => date(t.entry)],
  ["side", t => t.side, t => t.side > 0 ? "long" : "short"],
  ["size (%)", t => t.size, t => t.size ? Math.abs(t.size).toFixed(2) : "-"],
  ["beside (%)", t => t.other, t => t.other ? Math.abs(t.other).toFixed(2) : "-"],
  ["entry price", t => t.entered, t => price(t.entered)],
  ["left", t => t.exit, t => date(t.exit)],
  ["exit price", t => t.left, t => price(t.left)],
  ["days", t => t.exit - t.entry, t => ((t.exit - t.entry) / DAY).toFixed(0)],
  ["result ($)", t => t.pnl, t => t.pnl.toLocaleString("en-US").replace("-", "\u2212")],
  ["R", t => t.risk, t => isNaN(t.risk) ? "-" : t.risk.toFixed(2).replace("-", "\u2212")],
  ["regime", t => label(t.regime), t => label(t.regime)],
];
const WORDS = ["side", "regime"];
function list() {
  const regime = $("regime").value, outcome = $("outcome").value, of = COLUMNS[sorted.column][1];
  trades = seen.trades.filter(t => (!regime || t.regime === Number(regime)) && (!outcome || (t.pnl > 0) === (outcome === "win")));
  for (const trade of trades) {
    trade.size = seen.one.size[trade.at - seen.first];
    trade.other = seen.two ? seen.two.size[trade.at - seen.first] : 0;
  }
  const order = (a, b) => { const x = of(a), y = of(b); return typeof x === "string" ? x.localeCompare(y) : (isNaN(x) - isNaN(y)) || x - y; };
  trades.sort((a, b) => (sorted.up ? 1 : -1) * order(a, b));
  if (looked && !trades.includes(looked)) looked = null;
  const head = document.createElement("tr");
  COLUMNS.forEach(([name], i) => {
    const cell = document.createElement("th"), button = element("button", name, {type: "button"});
    cell.scope = "col";
    if (WORDS.includes(name)) cell.className = "name";
    if (i === sorted.column) cell.setAttribute("aria-sort", sorted.up ? "ascending" : "descending");
    button.onclick = () => {
      // Dates and words from the first on, numbers from the largest.
      sorted = {column: i, up: i === sorted.column ? !sorted.up : i === 0 || WORDS.includes(name)};
      list();
      $("trades").tHead.rows[0].cells[i].firstChild.focus();
    };
    cell.append(button);
    head.append(cell);
  });
  $("trades").tHead.replaceChildren(head);
  $("trades").tBodies[0].replaceChildren(...trades.map(trade => {
    const row = document.createElement("tr");
    COLUMNS.forEach(([name, , text], i) => {
      const cell = document.createElement("td");
      if (i) cell.textContent = text(trade);
      else cell.append(element("button", text(trade), {type: "button", ariaLabel: "Show the trade of " + text(trade)}));
      if (WORDS.includes(name)) cell.className = "name";
      row.append(cell);
    });
    if (trade === looked) row.setAttribute("aria-current", "true");
    row.onclick = () => look(trade, row);
    return row;
  }));
  const won = trades.filter(t => t.pnl > 0).length, sum = trades.reduce((all, t) => all + t.pnl, 0);
  $("count").textContent = trades.length + " of " + seen.trades.length + " trades: " + won + " won, " + (trades.length - won) + " did not, " + money(sum) + " in all";
}
function look(trade, row) {
  looked = trade;
  $("trades").querySelectorAll("[aria-current]").forEach(other => other.removeAttribute("aria-current"));
  row.setAttribute("aria-current", "true");
  const margin = Math.max(MARGIN_DAYS * DAY, (trade.exit - trade.entry) / 2);
  zoom(trade.entry - margin, trade.exit + margin);
  for (const chart of Object.values(charts)) chart.redraw(false);
  $("zoom").scrollIntoView();
  point(trade.at - seen.first);
}

// ---- what the reader does
for (const name of ["symbol", "arm", "seed", "fold", "beside"]) $(name).onchange = () => {
  if (name === "arm") $("beside").value = GIVEN.beside[$("arm").value] || GIVEN.reference;
  choose(name === "arm" || name === "seed" || name === "beside");
};
for (const name of ["regime", "outcome"]) $(name).onchange = () => { list(); for (const chart of Object.values(charts)) chart.redraw(false); };
$("choices").onsubmit = $("filters").onsubmit = () => false;
$("zoom").onclick = event => { if (seen && event.target.dataset.key) key(event.target.dataset.key); };
$("panels").onkeydown = event => { if (seen && !event.ctrlKey && !event.metaKey && !event.altKey && key(event.key)) event.preventDefault(); };
new ResizeObserver(() => {
  for (const name in charts) if ($(name).clientWidth && $(name).clientWidth !== charts[name].width) charts[name].setSize({width: $(name).clientWidth, height: PANELS[name]});
}).observe($("panels"));
const again = () => seen && draw();
// Paper is light.
let before;
addEventListener("beforeprint", () => { before = document.documentElement.dataset.theme; document.documentElement.dataset.theme = "light"; again(); });
addEventListener("afterprint", () => { if (before) document.documentElement.dataset.theme = before; else delete document.documentElement.dataset.theme; again(); });
new MutationObserver(again).observe(document.documentElement, {attributeFilter: ["data-theme"]});
matchMedia("(prefers-color-scheme:dark)").addEventListener("change", again);

const [symbol, arm, seed, fold, beside] = location.hash.slice(1).split("/").map(decodeURIComponent);
const offered = (select, value) => [...select.options].some(option => option.value === value);
if (symbol && offered($("symbol"), symbol)) $("symbol").value = symbol;
if (arm && offered($("arm"), arm)) $("arm").value = arm;
$("beside").value = beside && offered($("beside"), beside) ? beside : GIVEN.beside[$("arm").value] || GIVEN.reference;
wanted = {seed, fold};
load($("symbol").value);
})();
