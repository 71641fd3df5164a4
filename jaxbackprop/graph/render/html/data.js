// ---- what Python wrote, and when each part of it is computed --------------------------------------------

const graph = JSON.parse(document.getElementById("graph").textContent);
const { nodes, results, values, levels, steps } = graph;
const MOST_BOXES = 300;

const byId = (id) => document.getElementById(id);

// The step, from 1, at which a node is computed, and that at which its gradient is taken; Infinity for never.
const forwardAt = nodes.map(() => Infinity);
const backwardAt = nodes.map(() => Infinity);
let seedAt = Infinity;
steps.forEach(([backward, node], index) => {
  if (node < 0) seedAt = index + 1;
  else (backward ? backwardAt : forwardAt)[node] = index + 1;
});

// A gradient is on its way as soon as the node that takes the value has passed it back.
const passedAt = (target) => (target < 0 ? seedAt : backwardAt[target]);

// Who takes each value: [node, output] -> [index of a node or, from -1 downward, of a result].
const takers = nodes.map((node) => node.made.map(() => []));
nodes.forEach((node, index) => node.from.forEach(([source, output]) => takers[source][output].push(index)));
results.forEach(([, source, output], index) => takers[source][output].push(-1 - index));
const takerName = (index) => (index < 0 ? results[-1 - index][0] : nodes[index].name);

// The levels that a node stands in, outermost first; and the nodes of each level, however deep.
const pathOf = nodes.map(() => []);
const within = levels.map(() => []);
(function enter(level, path) {
  for (const [kind, ref] of levels[level].boxes) {
    if (kind === "node") {
      pathOf[ref] = [...path, level];
      for (const outer of pathOf[ref]) within[outer].push(ref);
    } else if (kind === "scope") enter(ref, [...path, level]);
  }
})(0, []);

const valueText = (index) => (index < 0 ? "" : values[index].t);

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "text") made.textContent = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function drawn(tag, properties = {}, text = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
}
