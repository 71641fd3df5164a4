// ---- the picture ------------------------------------------------------------------------------------------

const RAIL = 3.5, BEND = 6, ARROW = 7, ROW = 13.5;
const picture = byId("picture");
const rounded = (number) => Math.round(number * 10) / 10;

// A line beside another: its corners moved by so much to the right, as seen along it.
function beside(points, far) {
  const apart = points.filter((p, i) => !i || Math.hypot(p[0] - points[i - 1][0], p[1] - points[i - 1][1]) > 0.05);
  if (!far || apart.length < 2) return apart;
  const sides = apart.slice(1).map(([x, y], i) => {
    const length = Math.hypot(x - apart[i][0], y - apart[i][1]);
    return [(-(y - apart[i][1]) / length) * far, ((x - apart[i][0]) / length) * far];
  });
  return apart.map(([x, y], i) => {
    const a = sides[Math.max(0, i - 1)], b = sides[Math.min(i, sides.length - 1)];
    const along = (a[0] * b[0] + a[1] * b[1]) / (far * far);
    const share = along > -0.5 ? 1 / (1 + along) : 0.5;
    return [x + (a[0] + b[0]) * share, y + (a[1] + b[1]) * share];
  });
}

function way(points) {
  const at = ([x, y]) => `${rounded(x)} ${rounded(y)}`;
  let path = `M${at(points[0])}`;
  for (let i = 1; i < points.length - 1; i += 1) {
    const [before, here, after] = points.slice(i - 1, i + 2);
    const towards = (other) => {
      const length = Math.hypot(other[0] - here[0], other[1] - here[1]) || 1;
      const share = Math.min(BEND, length / 2) / length;
      return [here[0] + (other[0] - here[0]) * share, here[1] + (other[1] - here[1]) * share];
    };
    path += `L${at(towards(before))}Q${at(here)} ${at(towards(after))}`;
  }
  return `${path}L${at(points[points.length - 1])}`;
}

function tip([x0, y0], [x, y]) {
  const length = Math.hypot(x - x0, y - y0) || 1;
  const dx = (x - x0) / length, dy = (y - y0) / length, half = ARROW * 0.42;
  const back = [x - ARROW * dx, y - ARROW * dy];
  const corners = [[x, y], [back[0] - half * dy, back[1] + half * dx], [back[0] + half * dy, back[1] - half * dx]];
  return corners.map((corner) => corner.map(rounded).join(",")).join(" ");
}

function rail(points, kind) {
  const group = drawn("g", { class: `rail ${kind}` });
  const [ends, start] = kind === "forward" ? [points.slice(-2), points] : [points.slice(0, 2).reverse(), points];
  group.append(drawn("path", { d: way(start) }), drawn("polygon", { points: tip(ends[0], ends[1]) }));
  return group;
}

// Draws what is unfolded, and answers with a function that shows the state after so many steps.
function draw(open, { onNode, onScope }) {
  const found = placed(open);
  const updates = [];
  const stops = [];
  const margin = findings.length ? 24 : 12;
  picture.setAttribute("viewBox", `${-margin} ${-margin} ${rounded(found.width + 2 * margin)} ${rounded(found.height + 2 * margin)}`);
  picture.replaceChildren();
  for (const frame of found.frames) picture.append(drawFrame(frame, updates, stops, onScope));
  for (const line of found.lines) picture.append(drawLine(line, updates));
  for (const box of found.boxes) picture.append(drawBox(box, updates, stops, onNode, onScope));
  stops.sort((a, b) => a.order - b.order);
  return {
    width: found.width + 2 * margin,
    height: found.height + 2 * margin,
    stops: stops.map((stop) => stop.group),
    show: (step, shown) => updates.forEach((update) => update(step, shown)),
  };
}

function stop(group, order, stops, act) {
  group.setAttribute("role", "button");
  group.setAttribute("tabindex", "-1");
  group.addEventListener("click", () => act());
  group.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    act();
  });
  stops.push({ group, order });
}

function drawFrame({ ref, x, y, width, height, name }, updates, stops, onScope) {
  const around = drawn("g", { class: "frame" });
  around.append(drawn("rect", { x, y, width, height, rx: 12 }));
  const group = drawn("g", { class: "handle", "data-level": ref, "aria-expanded": "true" });
  group.append(drawn("title", {}, `${name}, a scope of ${levels[ref].nodes} nodes: fold`));
  group.append(
    drawn("rect", { class: "grip", x: x + 6, y: y + 5, width: width - 12, height: HEAD - 6, rx: 6 }),
    drawn("text", { class: "scope-name", x: x + 14, y: y + 19 }, `− ${name}`),
  );
  stop(group, Math.min(...within[ref]) - 0.5, stops, () => onScope(ref));
  around.append(group);
  return around;
}

function drawLine({ points, strands, said, label }, updates) {
  const group = drawn("g", { class: "line" });
  const flows = strands.some(([, , target, active]) => active && passedAt(target) < Infinity);
  const ahead = rail(beside(points, flows ? -RAIL : 0), "forward");
  group.append(ahead);
  const back = flows ? rail(beside(points, RAIL), "backward") : null;
  if (back) group.append(back);
  const valueAt = Math.min(...strands.map(([node]) => forwardAt[node]));
  const gradientAt = Math.min(...strands.filter((s) => s[3]).map(([, , target]) => passedAt(target)));
  const texts = [];
  if (label) {
    const [x, y] = label;
    if (said) group.append(drawn("text", { class: "on shape", x, y: y - 8 }, said));
    else {
      const [node, output] = strands[0];
      const { values: of, gradients, made, kind } = nodes[node];
      const value = valueText(of[output]), [dimensions, dtype] = made[output];
      if ((dimensions !== "[]" && kind !== "copy") || !value) {
        const shape = value ? dimensions : dtype + dimensions;
        group.append(drawn("text", { class: "on shape", x, y: y - 8 - (value ? ROW : 0) }, shape));
      }
      if (value) texts.push([drawn("text", { class: "on value", x, y: y - 8 }), value, valueAt]);
      const gradient = flows ? valueText(gradients[output]) : "";
      if (gradient) {
        texts.push([drawn("text", { class: "on gradient", x, y: y + ROW + 4.5 }), `← ${gradient}`, gradientAt]);
      }
      group.append(...texts.map(([made]) => made));
    }
  }
  updates.push((step) => {
    put(ahead, "data-done", step >= valueAt);
    if (back) put(back, "data-done", step >= gradientAt);
    for (const [made, text, at] of texts) {
      const shown = step >= at ? text : "";
      if (made.textContent !== shown) made.textContent = shown;
    }
  });
  return group;
}

function drawBox(box, updates, stops, onNode, onScope) {
  const { kind, ref, x, y, width, height, upper, lower } = box;
  const node = kind === "node" ? nodes[ref] : null;
  const look = node ? node.kind : kind;
  const group = drawn("g", { class: `box ${look}${node && node.wrong ? " wrong" : ""}` });
  const name = drawn("title");
  group.append(name);
  const round = look === "input" ? height / (lower ? 4 : 2) : kind === "result" ? 3 : 8;
  const inset = kind === "scope" ? 4 : 0;
  if (inset) group.append(drawn("rect", { class: "outer", x, y, width, height, rx: 11 }));
  const [x0, y0, w, h] = [x + inset, y + inset, width - 2 * inset, height - 2 * inset];
  const split = lower ? y0 + h / 2 : y0 + h;
  const r = Math.min(round, (split - y0) / 2);
  const top = lower
    ? `M${x0} ${split}V${y0 + r}q0 ${-r} ${r} ${-r}h${w - 2 * r}q${r} 0 ${r} ${r}V${split}z`
    : `M${x0 + r} ${y0}h${w - 2 * r}q${r} 0 ${r} ${r}v${h - 2 * r}q0 ${r} ${-r} ${r}h${-(w - 2 * r)}q${-r} 0 ${-r} ${-r}v${-(h - 2 * r)}q0 ${-r} ${r} ${-r}z`;
  group.append(drawn("path", { class: "storey upper", d: top }));
  if (lower) {
    const end = y0 + h;
    const bottom = `M${x0} ${split}V${end - r}q0 ${r} ${r} ${r}h${w - 2 * r}q${r} 0 ${r} ${-r}V${split}z`;
    group.append(drawn("path", { class: "storey lower", d: bottom }));
    group.append(drawn("text", { class: "twin", x: x + width / 2, y: (split + end) / 2 + 3.7 }, lower));
  }
  const sign = upper.length === 1 && node && node.kind === "operation";
  group.append(
    drawn("text", { class: sign ? "sign" : "label", x: x + width / 2, y: (y0 + split) / 2 + (sign ? 6 : 4.6) }, upper),
  );
  if (node && node.inside) group.append(drawn("path", { class: "inside", d: `M${x0 + 6} ${split - 3}h${w - 12}` }));
  if (node && node.wrong) {
    group.append(drawn("text", { class: "flag", x: x + width / 2, y: y - 6 }, "wrong gradient"));
  }
  const ailment = ailmentOf(kind, ref);
  if (ailment) group.append(drawMark(box, ailment, node && node.wrong));
  if (kind === "node") {
    group.dataset.node = ref;
    stop(group, ref, stops, () => onNode(ref));
  } else if (kind === "scope") {
    group.dataset.level = ref;
    group.setAttribute("aria-expanded", "false");
    name.textContent = `${levels[ref].name}, a scope of ${levels[ref].nodes} nodes${ailment ? `, the worst finding in it ${ailment.kind}` : ""}: unfold`;
    stop(group, Math.min(...within[ref]) - 0.5, stops, () => onScope(ref));
  }
  const [forward, backward, members] = timesOf(kind, ref);
  updates.push((step, shown) => {
    const current = steps[step - 1];
    const [passing, at] = current || [0, null];
    const here = members.has(at) || (kind === "result" && at === -1 && backward.length > 0);
    state(group, "forward", forward, step, here && !passing);
    state(group, "backward", backward, step, here && passing);
    group.classList.toggle("shown", kind === "node" && shown === ref);
    if (node) {
      const label = nodeLabel(ref, step);
      if (name.textContent !== label) name.textContent = label;
      if (here) put(group, "aria-current", "step");
      else group.removeAttribute("aria-current");
    }
  });
  return group;
}

// The steps at which a box is computed and has its gradient taken, and its nodes.
function timesOf(kind, ref) {
  const finite = (times) => times.filter((time) => time < Infinity);
  if (kind === "node") return [finite([forwardAt[ref]]), finite([backwardAt[ref]]), new Set([ref])];
  if (kind === "scope") {
    const inside = within[ref];
    return [finite(inside.map((i) => forwardAt[i])), finite(inside.map((i) => backwardAt[i])), new Set(inside)];
  }
  if (kind === "result") {
    const sources = ref < 0 ? results : [results[ref]];
    return [finite(sources.map(([, node]) => forwardAt[node])), finite([seedAt]), new Set()];
  }
  return [kind === "enters" ? finite([forwardAt[ref]]) : [], [], new Set()];
}

function state(group, pass, times, step, now) {
  const done = times.filter((time) => time <= step).length;
  put(group, `data-${pass}`, now ? "now" : !times.length ? "none" : done === times.length ? "done" : done ? "some" : "todo");
}

// An attribute that is as it was costs nothing; one that is set again is looked at again.
function put(made, name, value) {
  if (made.getAttribute(name) !== String(value)) made.setAttribute(name, value);
}

function nodeLabel(index, step) {
  const node = nodes[index];
  const kinds = { input: "argument", constant: "constant" };
  const parts = [node.name, kinds[node.kind] || (node.name.startsWith(node.sign) ? "" : node.sign)].filter(Boolean);
  if (node.gate) parts.push(node.gate);
  if (step >= forwardAt[index] && node.kind !== "copy") parts.push(`value ${node.values.map(valueText).join(", ")}`);
  if (step >= backwardAt[index]) parts.push(`gradient ${node.gradients.map(valueText).filter(Boolean).join(", ")}`);
  if (node.wrong) parts.push("wrong gradient");
  for (const place of node.ails || []) parts.push(`finding: ${findings[place].kind}`);
  return parts.join("; ");
}
