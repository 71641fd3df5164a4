// ---- where everything stands ------------------------------------------------------------------------------
// Python laid out every level by itself. An unfolded scope takes more room than its box did: what stands
// right of it, or beneath, moves on. Both axes are stretched without a change of order, so nothing comes to
// cover anything else and level lines stay level.

const HEAD = 26, PAD = 14, NEAR = 0.15;

function stretched(spans) {
  const marks = [...new Set(spans.flatMap(([start, end]) => [start, end]))].sort((a, b) => a - b);
  const moved = new Map();
  marks.forEach((mark, index) => {
    let to = index ? moved.get(marks[index - 1]) + mark - marks[index - 1] : mark;
    for (const [start, end, room] of spans) if (end === mark) to = Math.max(to, moved.get(start) + room);
    moved.set(mark, to);
  });
  return (x) => {
    let low = 0, high = marks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (marks[middle] <= x + NEAR) low = middle + 1;
      else high = middle;
    }
    return low ? moved.get(marks[low - 1]) + x - marks[low - 1] : x;
  };
}

// The two stretches of a level, and its size under them.
function measured(level, open, known) {
  if (known.has(level)) return known.get(level);
  const { boxes, size } = levels[level];
  const spans = { x: [], y: [] };
  for (const [kind, ref, x, y, width, height] of boxes) {
    if (kind !== "scope" || !open.has(ref)) continue;
    const inner = measured(ref, open, known);
    const wide = Math.max(width, inner.width + 2 * PAD, 8 * levels[ref].name.length + 60);
    spans.x.push([x - width / 2, x + width / 2, wide]);
    spans.y.push([y - height / 2, y + height / 2, Math.max(height, inner.height + HEAD + PAD)]);
  }
  const x = stretched(spans.x), y = stretched(spans.y);
  const found = { x, y, width: x(size[0]), height: y(size[1]) };
  known.set(level, found);
  return found;
}

// All that is to be seen: boxes, frames of unfolded scopes, and lines.
function placed(open) {
  const known = new Map();
  const found = { boxes: [], frames: [], lines: [] };
  (function put(level, left, top) {
    const { x: fx, y: fy } = measured(level, open, known);
    const inLevel = levels[level];
    for (const [kind, ref, x, y, width, height, upper, lower] of inLevel.boxes) {
      const x0 = left + fx(x - width / 2), y0 = top + fy(y - height / 2);
      if (kind === "scope" && open.has(ref)) {
        const right = left + fx(x + width / 2), bottom = top + fy(y + height / 2);
        found.frames.push({ ref, x: x0, y: y0, width: right - x0, height: bottom - y0, name: levels[ref].name });
        put(ref, x0 + PAD, y0 + HEAD);
      } else found.boxes.push({ kind, ref, x: x0, y: y0, width, height, upper, lower });
    }
    for (const [source, target, corners, label, strands, said] of inLevel.lines) {
      const points = [];
      for (let i = 0; i < corners.length; i += 2) points.push([left + fx(corners[i]), top + fy(corners[i + 1])]);
      found.lines.push({
        points,
        strands,
        said,
        label: label && [left + fx(label[0]), top + fy(label[1])],
        from: inLevel.boxes[source],
        to: inLevel.boxes[target],
      });
    }
  })(0, 0, 0);
  const { width, height } = measured(0, open, known);
  return { ...found, width, height };
}

const boxesOf = (level) => levels[level].boxes.length;

// How many boxes are to be seen: those of each unfolded level, without the boxes that unfolded.
const visible = (open) => [0, ...open].reduce((sum, level) => sum + boxesOf(level), 0) - open.size;

const ancestors = (level) => (level <= 0 ? [] : [level, ...ancestors(levels[level].parent)]);

// Unfolds a level and those around it; folds what was unfolded longest ago where there would be too many.
function unfolded(open, level) {
  const wanted = ancestors(level);
  const kept = new Set([...open].filter((other) => !wanted.includes(other)));
  const all = () => new Set([...kept, ...wanted]);
  for (const oldest of [...kept]) {
    if (visible(all()) <= MOST_BOXES) break;
    for (const other of [...kept]) if (ancestors(other).includes(oldest)) kept.delete(other);
  }
  return all();
}

function folded(open, level) {
  return new Set([...open].filter((other) => !ancestors(other).includes(level)));
}

// Level after level, as many as fit.
function unfoldedUpTo(most) {
  let open = new Set();
  for (const level of byDepth()) {
    const parent = levels[level].parent;
    const more = new Set([...open, level]);
    if ((parent === 0 || open.has(parent)) && visible(more) <= most) open = more;
  }
  return open;
}

// All levels down to the deepest at which everything fits: alike scopes are shown alike.
function unfoldedAlike(most) {
  let open = new Set();
  const deepest = Math.max(...levels.map((_, level) => ancestors(level).length));
  for (let depth = 1; depth <= deepest; depth += 1) {
    const more = new Set(byDepth().filter((level) => ancestors(level).length <= depth));
    if (visible(more) > most) break;
    open = more;
  }
  return open;
}

const byDepth = () =>
  levels.map((_, level) => level).slice(1).sort((a, b) => ancestors(a).length - ancestors(b).length || a - b);
