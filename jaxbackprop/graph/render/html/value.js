// ---- one value: a number, a few numbers, or a heat-map with its figures -----------------------------------

const LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const MIDDLE = LEVELS.length >> 1;

// The share of a cell's level, from -1 to 1; null for what is not finite.
const share = (letter) => (LEVELS.includes(letter) ? (LEVELS.indexOf(letter) - MIDDLE) / MIDDLE : null);

function valueView(index, kind) {
  if (index < 0) return null;
  const value = values[index];
  const view = element("div", { class: `view ${kind}` });
  if (!value.heat) {
    view.append(element("span", { class: "number", text: value.t || value.s }));
    return view;
  }
  view.append(value.rows ? numbersView(value) : heatView(value));
  const facts = element("dl", { class: "figures" });
  const fact = (name, text) => facts.append(element("div", {}, element("dt", { text: name }), element("dd", { text })));
  if (value.low !== undefined) {
    fact("minimum", value.low);
    fact("mean", value.mean);
    fact("maximum", value.high);
  }
  if (value.odd) fact("nan or infinite", String(value.odd));
  const side = element("div", { class: "beside" });
  if (value.histogram) side.append(histogram(value));
  side.append(facts);
  view.append(side);
  return view;
}

function tinted(made, letter) {
  const of = share(letter);
  if (of === null) made.classList.add("odd");
  else {
    made.classList.add(of < 0 ? "negative" : "positive");
    made.style.setProperty("--share", Math.abs(of).toFixed(2));
  }
  return made;
}

function numbersView({ rows, heat }) {
  const body = element("tbody");
  rows.forEach((row, i) => {
    body.append(element("tr", {}, ...row.map((text, j) => tinted(element("td", { text }), heat[i][j]))));
  });
  return element("table", { class: "entries" }, body);
}

function heatView({ heat, s, t }) {
  const columns = heat[0].length, high = heat.length;
  const across = Math.max(6, Math.min(18, Math.floor(264 / columns))), down = Math.max(5, Math.min(18, Math.floor(168 / high)));
  const map = drawn("svg", {
    class: "heat",
    role: "img",
    width: columns * across,
    height: high * down,
    viewBox: `0 0 ${columns} ${high}`,
    preserveAspectRatio: "none",
    "aria-label": `Heat-map of ${s}: ${t}`,
  });
  heat.forEach((row, y) => {
    for (let x = 0; x < columns; ) {
      let end = x + 1;
      while (end < columns && row[end] === row[x]) end += 1;
      const of = share(row[x]);
      const look = of === null ? "odd" : of < 0 ? "negative" : "positive";
      const rect = drawn("rect", { class: look, x, y, width: end - x, height: 1 });
      if (of !== null) rect.setAttribute("fill-opacity", Math.abs(of).toFixed(2));
      map.append(rect);
      x = end;
    }
  });
  return map;
}

function histogram({ histogram: counts, low, high }) {
  const most = Math.max(...counts), width = 128, tall = 36, bar = width / counts.length;
  const chart = drawn("svg", {
    class: "histogram",
    role: "img",
    width,
    height: tall + 1,
    viewBox: `0 0 ${width} ${tall + 1}`,
    "aria-label": `Histogram from ${low} to ${high}: ${counts.join(", ")}`,
  });
  counts.forEach((count, i) => {
    if (!count) return;
    const size = Math.max(1, (count / most) * tall);
    chart.append(drawn("rect", { x: i * bar, y: rounded(tall - size), width: bar - 1, height: rounded(size) }));
  });
  chart.append(drawn("path", { d: `M0 ${tall + 0.5}H${width}` }));
  return chart;
}
