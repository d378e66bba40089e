// The embedding map in the browser: WebGL draws the points, a canvas above them takes the hand and draws its marks.
// Follows elements.js, channel.js and embedding_parts.js in one module.

const HELP = "drag or arrows: move · wheel or + −: zoom · click, or Enter for the middle: select · Escape: deselect";
const MARK = "#d55e00", FAINT = "rgba(213, 94, 0, .45)";
const FULL = 20000; // points that are drawn in full colour
const MOST_BYTES = 9e6; // of a file: what Jupyter's connection takes in one message

function render({ model, el }) {
  const facts = model.get("facts"), view = { x: 0, y: 0, zoom: 1 }, cards = new Map();
  let places = new Float32Array(0), hovered = -1, found = null, path = [], lasso = null, grip = null, asked = null;

  const layer = element("canvas", { "aria-hidden": "true" });
  const hand = element("canvas", { class: "mv-hand", tabindex: 0, role: "img", "aria-label": `Map: ${facts.title}` });
  const tip = element("div", { class: "mv-tip", hidden: "" });
  const legend = element("div", { class: "mv-legend" });
  const stage = element("div", { class: "mv-stage" }, layer, hand, legend, tip);
  const status = element("div", { class: "mv-status", role: "status" }), requests = channel(model);
  const panel = element("div", { class: "mv-panel" });
  let gone = false;
  requests.onGone(() => { gone = true; });
  const pick = element("select", { "aria-label": "Colour by" });
  for (const choice of model.get("choices")) pick.append(element("option", { value: choice }, choice));
  pick.addEventListener("change", () => { model.set("color_by", pick.value); model.save_changes(); });
  const encircle = button("Lasso", toggle, { "aria-pressed": "false", title: "Encircle points; or Shift and drag" });
  const words = element("input", { type: "search", placeholder: "Search by words", "aria-label": "Search by words" });
  words.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // the notebook has commands on letters
    if (event.key === "Enter") ask({ text: words.value });
  });
  const file = element("input", { type: "file", hidden: "", "aria-label": "Image file" });
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    file.value = "";
    if (chosen.size > MOST_BYTES) return say(`${chosen.name} is too large to send; call search(Path(...)) instead.`);
    ask({ name: chosen.name }, [await chosen.arrayBuffer()]);
  });
  el.append(element("div", { class: "mv-map" },
    element("div", { class: "mv-head" }, element("span", { class: "mv-title" }, facts.title),
      element("label", {}, "Colour by ", pick), encircle, button("Whole map", whole), words,
      button("Search by image …", () => file.click()), file),
    element("div", { class: "mv-body" }, element("div", { class: "mv-left" }, stage, requests.node, status,
      element("div", { class: "mv-foot" }, HELP, element("br"), `${facts.quality}. ${facts.disclaimer}`)), panel)));
  const deaf = ownKeys(el), gl = painter(layer);
  if (!gl) say("This browser draws no WebGL, so the points stay hidden; search and selection work.");

  function say(text) { status.textContent = text; }
  function toggle() { encircle.setAttribute("aria-pressed", encircle.getAttribute("aria-pressed") !== "true"); }
  function whole() { Object.assign(view, { x: 0, y: 0, zoom: 1 }); draw(); }
  function ask(query, buffers) {
    say("");
    requests.submit({ do: "search", ...query }, { buffers });
  }
  function select(rows) { model.set("selection", rows); model.save_changes(); }

  // places (-1 to 1, y upwards) ↔ pixels of the page

  const box = { w: 1, h: 1 }, reach = { x: 1, y: 1 }; // of the map in pixels; of the places on either side of 0
  const unit = () => 0.46 * Math.min(box.w / reach.x, box.h / reach.y) * view.zoom;
  const screen = (x, y) => [box.w / 2 + (x - view.x) * unit(), box.h / 2 - (y - view.y) * unit()];
  const at = (row) => screen(places[2 * row], places[2 * row + 1]);
  const count = () => places.length / 2;
  // of very many points each is pale, so that a crowd looks denser than an edge; chosen ones stand out
  const solid = () => (model.get("selection").length > 1 ? 1 : Math.min(1, Math.max(0.2, FULL / count()) * view.zoom));
  const radius = () => Math.min(6, Math.min(5.5, Math.max(1.5, 95 / Math.sqrt(count()))) * Math.sqrt(view.zoom));

  function nearest(x, y, within) {
    let best = -1, least = within * within;
    for (let row = 0; row < count(); row++) {
      const [u, v] = at(row), far = (u - x) ** 2 + (v - y) ** 2;
      if (far < least) [best, least] = [row, far];
    }
    return best;
  }

  function draw(points = true) { // without, only the marks above them: of 100,000 points a hover would repaint each
    const dense = window.devicePixelRatio || 1, [w, h] = [hand.clientWidth, hand.clientHeight];
    if (!w) return;
    Object.assign(box, { w, h });
    for (const canvas of [layer, hand]) {
      if (canvas.width !== Math.round(w * dense)) canvas.width = Math.round(w * dense);
      if (canvas.height !== Math.round(h * dense)) canvas.height = Math.round(h * dense);
    }
    const scale = [2 * unit() / w, 2 * unit() / h];
    if (points) gl?.draw(count(), scale, [-view.x * scale[0], -view.y * scale[1]], 2 * radius() * dense, solid());
    const pen = hand.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, w, h);
    const ink = getComputedStyle(hand).color;
    line(pen, path.map(at), ink, 2);
    pen.fillStyle = ink;
    pen.font = "600 12px system-ui, sans-serif";
    path.forEach((row, i) => { const [x, y] = at(row); pen.fillText(i + 1, x + radius() + 4, y - radius()); });
    for (const { row } of found?.nearest || []) line(pen, [screen(...found.place), at(row)], FAINT, 1);
    if (found?.place) {
      const [x, y] = screen(...found.place);
      line(pen, star(x, y), MARK, 3);
      pen.fillText(found.label, x + 15, y + 4);
    }
    const rows = model.get("selection");
    if (rows.length === 1 && rows[0] < count()) ring(pen, ...at(rows[0]), radius() + 4, MARK);
    if (hovered >= 0) ring(pen, ...at(hovered), radius() + 2, ink);
    if (lasso) line(pen, [...lasso, lasso[0]], MARK, 2);
  }

  function paint(codes) {
    const rgb = new Uint8Array(3 * codes.length);
    const parts = model.get("legend").palette.map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
    codes.forEach((code, row) => rgb.set(parts[code], 3 * row));
    gl?.set("colour", rgb, 3, gl.bytes, true);
    legend.replaceChildren(element("b", {}, model.get("color_by")), ...meaning(model.get("legend"), facts.texts));
    pick.value = model.get("color_by");
    draw();
  }

  function fade() {
    const rows = model.get("selection"), faded = new Uint8Array(count()).fill(rows.length > 1 ? 1 : 0);
    for (const row of rows) faded[row] = 0;
    gl?.set("faded", faded, 1, gl.bytes);
    draw();
  }

  // what Python answers

  const replies = {
    points(_, [xy, text, codes]) {
      places = new Float32Array(xy.buffer.slice(xy.byteOffset, xy.byteOffset + xy.byteLength));
      Object.assign(reach, { x: 0.1, y: 0.1 });
      places.forEach((p, i) => { const axis = i % 2 ? "y" : "x"; reach[axis] = Math.max(reach[axis], Math.abs(p)); });
      gl?.set("place", places, 2);
      gl?.set("text", new Uint8Array(text.buffer, text.byteOffset, text.byteLength), 1, gl.bytes);
      fade();
      replies.colours(_, [codes]);
      hand.dataset.points = count();
    },
    colours(_, [codes]) { paint(new Uint8Array(codes.buffer, codes.byteOffset, codes.byteLength)); },
    hover(card) { cards.set(card.row, card); if (card.row === hovered) show(card); },
    none() {
      path = [];
      const hint = "Hover over a point to see it, click it to keep it here, encircle many to compare them.";
      panel.replaceChildren(found ? listed(`Nearest to “${found.label}”`, found.nearest, select)
        : element("p", { class: "mv-hint" }, hint));
      draw();
    },
    card(card) {
      path = card.path;
      panel.replaceChildren(element("section", {}, ...about(card)), listed("Nearest", card.nearest, select));
      say(path.length ? `${path.length} images of this patient, joined in their order` : `Selected: ${card.title}`);
      draw();
    },
    sheet({ count, pictures }) {
      path = [];
      say(`${count.toLocaleString("en")} selected`);
      const shown = pictures.map((p) => button(p.picture ? element("img", { src: p.picture, alt: p.title }) : "?",
        () => select([p.row]), { title: p.title }));
      const made = pictures.some((p) => p.simulated) ? ", simulated" : "";
      const title = `Contact sheet, ${pictures.length.toLocaleString("en")} of ${count.toLocaleString("en")}${made}`;
      panel.replaceChildren(element("section", {}, element("h4", {}, title),
        element("div", { class: "mv-sheet" }, ...shown)));
      draw();
    },
    found(answer) {
      if (answer.problem) return say(answer.problem);
      found = answer;
      say(`Star: where “${found.label}” lies`);
      if (model.get("selection").length) select([]); else replies.none();
    },
  };

  function show(card) {
    tip.replaceChildren(...about(card, true));
    tip.hidden = false;
    const [x, y] = at(card.row), left = x > box.w / 2;
    tip.style.left = `${left ? x - tip.offsetWidth - 16 : x + 16}px`;
    tip.style.top = `${Math.max(4, Math.min(y - 40, box.h - tip.offsetHeight - 4))}px`;
  }

  function hover(row) {
    if (row === hovered) return;
    hovered = row;
    tip.hidden = true;
    clearTimeout(asked);
    if (cards.has(row)) show(cards.get(row));
    else if (row >= 0 && !gone) asked = setTimeout(() => model.send({ do: "hover", row }), 60); // not each one passed over
    draw(false);
  }

  // pointer and keys

  const spot = (event) => [event.offsetX, event.offsetY];
  hand.addEventListener("pointerdown", (event) => {
    hand.focus({ preventScroll: true });
    hand.setPointerCapture(event.pointerId);
    hover(-1);
    if (event.shiftKey || encircle.getAttribute("aria-pressed") === "true") lasso = [spot(event)];
    else grip = { start: spot(event), last: spot(event), moved: false };
  });
  hand.addEventListener("pointermove", (event) => {
    const [x, y] = spot(event);
    if (lasso) { lasso.push([x, y]); draw(); }
    else if (grip) {
      grip.moved ||= Math.hypot(x - grip.start[0], y - grip.start[1]) > 4;
      if (grip.moved) { view.x -= (x - grip.last[0]) / unit(); view.y += (y - grip.last[1]) / unit(); draw(); }
      grip.last = [x, y];
    } else hover(nearest(x, y, radius() + 5));
  });
  hand.addEventListener("pointerup", (event) => {
    if (lasso) { const drawn = lasso; lasso = null; select(inside(drawn, count(), at)); draw(); }
    else if (grip && !grip.moved) { const row = nearest(...spot(event), radius() + 5); select(row < 0 ? [] : [row]); }
    grip = null;
  });
  hand.addEventListener("pointerleave", () => hover(-1));

  function zoom(factor, x = box.w / 2, y = box.h / 2) {
    const [dx, dy, before] = [x - box.w / 2, box.h / 2 - y, unit()];
    view.zoom = Math.min(400, Math.max(0.5, view.zoom * factor));
    view.x += dx / before - dx / unit();
    view.y += dy / before - dy / unit();
    draw();
  }
  hand.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), ...spot(event));
  }, { passive: false });
  hand.addEventListener("keydown", (event) => {
    const step = 0.1 / view.zoom, move = (x, y) => () => { view.x += x * step; view.y += y * step; draw(); };
    const keys = {
      ArrowRight: move(1, 0), ArrowLeft: move(-1, 0), ArrowUp: move(0, 1), ArrowDown: move(0, -1),
      "+": () => zoom(1.25), "-": () => zoom(0.8), Escape: () => { found = null; select([]); replies.none(); },
      Enter: () => select([nearest(box.w / 2, box.h / 2, Infinity)]),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has commands on these keys
    keys[event.key]();
  });

  const onMessage = (message, buffers) => replies[message.reply]?.(message, buffers);
  const resized = new ResizeObserver(draw);
  resized.observe(hand);
  model.on("msg:custom", onMessage);
  model.on("change:selection", fade);
  model.send({ do: "start" });
  return () => {
    resized.disconnect();
    requests.end();
    deaf();
    model.off("msg:custom", onMessage);
    model.off("change:selection", fade);
    gl?.end();
  };
}

export default { render };
