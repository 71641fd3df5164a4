// ---- what the doctor found --------------------------------------------------------------------------------

const { findings } = graph;
const BADGE_LETTER = 6.2, BADGE_SIGN = 5.5;

// The most serious finding of some nodes (findings stand in that order); undefined where there is none.
function worstOf(indices) {
  const places = indices.flatMap((index) => nodes[index].ails || []);
  return places.length ? findings[Math.min(...places)] : undefined;
}

const ailmentOf = (kind, ref) => (kind === "node" ? worstOf([ref]) : kind === "scope" ? worstOf(within[ref]) : undefined);

// A border around a box, and above it (below, where the place is taken) a sign and the finding's kind.
function drawMark({ x, y, width, height }, { kind, look }, below) {
  const group = drawn("g", { class: `mark ${look}` });
  const middle = below ? y + height + 13 : y - 12;
  const left = x + width / 2 - (kind.length * BADGE_LETTER + 2 * BADGE_SIGN + 3) / 2;
  const [cx, s, c] = [left + BADGE_SIGN, BADGE_SIGN, BADGE_SIGN * 0.414];
  const sign = look === "grave"
    ? [[-c, -s], [c, -s], [s, -c], [s, c], [c, s], [-c, s], [-s, c], [-s, -c]]
    : [[0, -s], [s, s * 0.8], [-s, s * 0.8]];
  group.append(
    drawn("rect", { class: "ring", x: x - 3.5, y: y - 3.5, width: width + 7, height: height + 7, rx: 11 }),
    drawn("polygon", { points: sign.map(([dx, dy]) => `${rounded(cx + dx)},${rounded(middle + dy)}`).join(" ") }),
    drawn("text", { class: "badge", x: rounded(cx + s + 3), y: rounded(middle + 4) }, kind),
  );
  return group;
}

// All that was found at a node, for its panel.
function findingParts(node) {
  return (node.ails || []).map((place) => {
    const { kind, look, name, message, remedy } = findings[place];
    const at = name === node.name ? [] : [" at ", named(name)];
    return element("div", { class: `alert finding ${look}` },
      element("p", {}, element("strong", { class: look, text: kind }), ...at, `: ${message}.`),
      element("p", {}, element("b", { text: "Try" }), ` ${remedy}.`));
  });
}
