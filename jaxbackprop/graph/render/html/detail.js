// ---- all there is to say of a node, as far as it is computed ---------------------------------------------

const detail = byId("detail");

// What is not computed yet is blank; who cannot see that is told.
const blank = () => element("span", { class: "blank" }, element("span", { class: "unseen", text: "not computed yet" }));

function term(label, view, note) {
  return element("div", { class: "term" },
    element("p", { class: "of" }, ...[].concat(label), note ? element("span", { class: "shape", text: ` ${note}` }) : null),
    view || blank());
}

const named = (text) => element("code", { text });
const typed = (index, output) => {
  const [dimensions, dtype] = nodes[index].made[output];
  return dimensions === "[]" ? "" : dtype + dimensions;
};

function showDetail(index, step) {
  detail.replaceChildren();
  if (index < 0) {
    detail.append(element("p", { class: "hint", text: step ? "" : "Each step computes one node. A click on a node shows what is known of it." }));
    if (step === seedAt) detail.append(...seedParts());
    return;
  }
  const node = nodes[index];
  const heading = element("h2", {}, named(node.name));
  if (!node.name.startsWith(node.sign) && node.kind === "operation") heading.append(element("span", { class: "sign-of", text: node.sign }));
  detail.append(heading, facts(node), moves(index));
  if (node.wrong) {
    detail.append(element("p", { class: "alert" }, element("strong", { text: "Wrong gradient. " }), node.wrong));
  }
  detail.append(...findingParts(node), section("Forward", "value", forwardParts(index, step)));
  const parts = backwardParts(index, step);
  if (parts.length) detail.append(section("Backward", "gradient", parts));
  else detail.append(element("p", { class: "hint", text: "No gradient flows through it." }));
}

const section = (title, kind, parts) => element("section", {}, element("h3", { class: kind, text: title }), ...parts);

function facts(node) {
  const list = element("dl", { class: "facts" });
  const fact = (name, ...content) => list.append(element("div", {}, element("dt", { text: name }), element("dd", {}, ...content)));
  const kinds = { input: "argument", constant: "constant", copy: "copy", operation: "operation" };
  fact("kind", kinds[node.kind] + (node.inside ? `, a program of ${node.inside} nodes inside` : ""));
  if (node.gate) fact("gate", element("span", { class: "gate", text: node.gate }));
  const made = node.kind === "copy" ? node.made.slice(0, 1) : node.made;
  fact("shape", made.map(([dimensions]) => dimensions).join(", "));
  fact("dtype", made.map(([, dtype]) => dtype).join(", "));
  if (node.line) fact("line", named(node.line), node.function ? ` in ${node.function}` : "");
  if (node.scope) fact("scope", named(node.scope));
  return list;
}

function moves(index) {
  const list = element("p", { class: "moves" });
  const link = (at, text) => {
    if (at < Infinity) list.append(element("a", { href: `#step-${at}`, text: `${text} ${at}` }));
  };
  link(forwardAt[index], "forward: step");
  link(backwardAt[index], "backward: step");
  return list;
}

function forwardParts(index, step) {
  const node = nodes[index];
  const known = (at, value) => (step >= at ? valueView(value, "value") : null);
  const parts = [];
  const several = node.kind !== "copy" && node.made.length > 1;
  node.made.slice(0, several ? undefined : 1).forEach((_, output) => {
    const label = several ? [named(`${node.name}[${output}]`)] : node.kind === "copy" ? ["handed on"] : ["value"];
    parts.push(term(label, known(forwardAt[index], node.values[output]), typed(index, output)));
  });
  if (node.from.length) {
    const taken = element("div", { class: "terms" });
    for (const [source, output, , name] of node.from) {
      taken.append(term([named(name)], known(forwardAt[source], nodes[source].values[output]), typed(source, output)));
    }
    parts.push(element("details", {}, element("summary", { text: node.kind === "copy" ? "copied from" : "computed from" }), taken));
  }
  return parts;
}

function backwardParts(index, step) {
  const node = nodes[index];
  if (backwardAt[index] === Infinity) return [];
  const parts = [];
  const view = (at, value) => (step >= at && value >= 0 ? valueView(value, "gradient") : null);
  if (node.rule) parts.push(element("p", { class: "formula", text: node.rule }));
  const terms = element("div", { class: node.kind === "copy" ? "terms sum" : "terms" });
  let count = 0;
  takers[index].forEach((users, output) => {
    if (node.gradients[output] < 0) return;
    for (const user of users) {
      if (passedAt(user) === Infinity) continue;
      if (node.kind === "copy" && count) terms.append(element("span", { class: "plus", text: "+" }));
      count += 1;
      terms.append(term([node.kind === "input" ? "gradient, from " : "dy, from ", named(takerName(user))],
        view(passedAt(user), node.gradients[output]), typed(index, output)));
    }
  });
  parts.push(terms);
  const passed = element("div", { class: "terms" });
  node.from.forEach(([source, output, active, name]) => {
    const gradient = nodes[source].gradients[output];
    if (!active || gradient < 0) return;
    passed.append(term(node.kind === "copy" ? ["= the sum, to ", named(name)] : ["to ", named(name)],
      view(backwardAt[index], gradient), typed(source, output)));
  });
  if (passed.childElementCount) parts.push(element("h4", { text: node.kind === "copy" ? "adds up to" : "passes on" }), passed);
  if (node.kept) {
    const kept = element("div", { class: "terms" });
    for (const [name, value] of node.kept) {
      kept.append(term([named(name)], step >= forwardAt[index] ? valueView(value, "value") : null, values[value].s));
    }
    parts.push(element("details", {}, element("summary", { text: `residuals kept (${node.kept.length})` }), kept));
  }
  return parts;
}

function seedParts() {
  return results.flatMap(([name, node, output]) => {
    // Where the result goes elsewhere too, it comes from a copy: this port is its own.
    const gradient = nodes[node].gradients[output];
    if (gradient < 0) return [];
    return [element("h2", {}, named(name)), section("Backward", "gradient", [term(["the gradient begins as"], valueView(gradient, "gradient"), typed(node, output))])];
  });
}
