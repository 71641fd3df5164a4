// ---- steps, keys, links -----------------------------------------------------------------------------------

const OPEN_AT_FIRST = 48;
const PACE = 1100;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const scroll = byId("scroll"), told = byId("told"), slider = byId("slider"), play = byId("play");
const items = [...document.querySelectorAll("#steps li")];
const now = { step: 0, shown: -1, open: unfoldedAlike(OPEN_AT_FIRST), scale: null, timer: null, entry: 0 };
let view = null;

function redraw(focus = null) {
  view = draw(now.open, { onNode: select, onScope: toggle });
  enter(Math.max(0, view.stops.findIndex((group) => focus && focus(group))), Boolean(focus));
  resize();
  refresh();
}

function refresh() {
  const [backward, node] = steps[now.step - 1] || [0, -1];
  view.show(now.step, now.shown);
  slider.value = now.step;
  byId("count").textContent = `Step ${now.step} of ${steps.length}`;
  const pass = now.step ? (backward ? "backward" : "forward") : "nothing computed yet";
  byId("pass").textContent = pass;
  byId("pass").className = now.step ? (backward ? "gradient" : "value") : "";
  slider.setAttribute("aria-valuetext", `${now.step} of ${steps.length}, ${pass}`);
  const paragraph = now.step ? items[now.step - 1].querySelector("p") : null;
  if (paragraph) told.replaceChildren(...[...paragraph.childNodes].map((child) => child.cloneNode(true)));
  else told.textContent = "Nothing is computed yet: the picture shows what depends on what. Next computes the first node.";
  for (const [id, end] of [["first", 0], ["previous", 0], ["next", steps.length], ["last", steps.length]]) {
    byId(id).setAttribute("aria-disabled", String(now.step === end));
  }
  showDetail(now.shown >= 0 ? now.shown : node, now.step);
}

// Goes to a step; whoever went there by hand stops what plays.
function go(step, { playing = false, follow = true } = {}) {
  if (!playing) halt();
  const before = now.step;
  now.step = Math.min(steps.length, Math.max(0, step));
  now.shown = -1;
  if (items[before - 1]) items[before - 1].removeAttribute("aria-current");
  if (items[now.step - 1]) items[now.step - 1].setAttribute("aria-current", "step");
  remember();
  refresh();
  if (follow) seek();
}

function remember() {
  // In a notebook's frame the address is not the page's to change.
  try {
    history.replaceState(null, "", now.step ? `#step-${now.step}` : location.pathname + location.search);
  } catch {
    return;
  }
}

// Brings the box of the current step into view, in the picture alone.
function seek() {
  const target = picture.querySelector('[data-forward="now"], [data-backward="now"]');
  if (!target) return;
  const box = target.getBoundingClientRect(), around = scroll.getBoundingClientRect();
  const off = (low, high, start, end) => (low < start + 24 || high > end - 24 ? (low + high - start - end) / 2 : 0);
  const left = off(box.left, box.right, around.left, around.right);
  const top = off(box.top, box.bottom, around.top, around.bottom);
  if (left || top) scroll.scrollBy({ left, top, behavior: still.matches ? "instant" : "smooth" });
}

function select(node) {
  halt();
  now.shown = now.shown === node ? -1 : node;
  refresh();
}

function toggle(level) {
  const was = now.open.has(level);
  now.open = was ? folded(now.open, level) : unfolded(now.open, level);
  redraw((group) => group.dataset.level === String(level));
}

// ---- size -------------------------------------------------------------------------------------------------

function resize() {
  const room = scroll.clientWidth;
  const fitting = Math.min(1.15, Math.max(0.8, (room - 28) / view.width));
  const scale = now.scale ?? fitting;
  picture.setAttribute("width", rounded(view.width * scale));
  picture.setAttribute("height", rounded(view.height * scale));
}

function zoom(factor) {
  const current = Number(picture.getAttribute("width")) / view.width;
  now.scale = factor ? Math.min(2.5, Math.max(0.15, current * factor)) : Math.min(1.5, (scroll.clientWidth - 28) / view.width);
  resize();
  seek();
}

// ---- playing ----------------------------------------------------------------------------------------------

function halt() {
  clearInterval(now.timer);
  now.timer = null;
  play.classList.remove("playing");
  play.querySelector("span").textContent = "Play";
}

function start() {
  if (now.timer) {
    halt();
    return;
  }
  if (now.step === steps.length) go(0);
  const onward = () => {
    go(now.step + 1, { playing: true });
    if (now.step === steps.length) halt();
  };
  play.classList.add("playing");
  play.querySelector("span").textContent = "Pause";
  now.timer = setInterval(onward, PACE);
  onward();
}

// ---- keys -------------------------------------------------------------------------------------------------

const KEYS = {
  ArrowRight: () => go(now.step + 1),
  ArrowLeft: () => go(now.step - 1),
  Home: () => go(0),
  End: () => go(steps.length),
  p: start,
  P: start,
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = event.target;
  // The slider steps by itself, and a table that is wider than its room scrolls.
  if (at === slider || at.closest(".wide")) return;
  if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && picture.contains(at)) {
    event.preventDefault();
    enter(now.entry + (event.key === "ArrowDown" ? 1 : -1), true);
  }
});

// One box of the picture is a stop of the Tab key; the arrow keys move the stop.
function enter(index, focus) {
  const { stops } = view;
  if (!stops.length) return;
  stops[now.entry]?.setAttribute("tabindex", "-1");
  now.entry = Math.min(stops.length - 1, Math.max(0, index));
  stops[now.entry].setAttribute("tabindex", "0");
  if (focus) stops[now.entry].focus();
}

picture.addEventListener("focusin", (event) => {
  const index = view.stops.indexOf(event.target);
  if (index >= 0) enter(index, false);
});

// ---- links ------------------------------------------------------------------------------------------------

const stepOf = (address) => {
  const found = /^#step-(\d+)$/.exec(address);
  return found ? Math.min(steps.length, Number(found[1])) : null;
};

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  // In a notebook's frame an address would lead out of the page.
  event.preventDefault();
  const step = stepOf(link.getAttribute("href"));
  if (step !== null) visit(step);
  const target = step === null ? byId(link.getAttribute("href").slice(1)) : byId("player");
  target.scrollIntoView({ behavior: still.matches ? "instant" : "smooth", block: "start" });
  if (step === null) target.focus({ preventScroll: true });
});

window.addEventListener("hashchange", () => {
  const step = stepOf(location.hash);
  if (step !== null) visit(step);
});

// Goes to a step whose node may lie in a folded scope.
function visit(step) {
  const [, node] = steps[step - 1] || [0, -1];
  const deepest = node < 0 ? 0 : pathOf[node][pathOf[node].length - 1];
  const missing = node >= 0 && pathOf[node].some((level) => level && !now.open.has(level));
  if (missing) now.open = unfolded(now.open, deepest);
  if (missing) redraw();
  go(step);
}

// ---- the beginning ----------------------------------------------------------------------------------------

byId("first").addEventListener("click", () => go(0));
byId("previous").addEventListener("click", () => go(now.step - 1));
byId("next").addEventListener("click", () => go(now.step + 1));
byId("last").addEventListener("click", () => go(steps.length));
play.addEventListener("click", start);
slider.max = steps.length;
slider.addEventListener("input", () => go(Number(slider.value)));
byId("smaller").addEventListener("click", () => zoom(1 / 1.25));
byId("larger").addEventListener("click", () => zoom(1.25));
byId("fit").addEventListener("click", () => zoom(0));
byId("fold").addEventListener("click", () => { now.open = new Set(); redraw(); seek(); });
byId("unfold").addEventListener("click", () => { now.open = unfoldedUpTo(MOST_BOXES); redraw(); seek(); });
for (const made of document.querySelectorAll(".folds")) made.hidden = levels.length < 2;

// Whoever prints an untouched page wants its numbers.
let printed = false;
window.addEventListener("beforeprint", () => {
  printed = now.step === 0;
  document.body.classList.toggle("untouched", printed);
  if (printed) view.show(steps.length + 1, -1);
});
window.addEventListener("afterprint", () => { if (printed) refresh(); });
window.addEventListener("resize", resize);

byId("player").hidden = false;
byId("keys").hidden = false;
// The addresses lead to the player, which tells each step too: not down to the list.
for (const item of items) item.removeAttribute("id");
redraw();
visit(stepOf(location.hash) ?? graph.opens);
