// The embedding map in the browser: WebGL draws the points, a canvas above them takes the hand and draws its marks.

const VERTEX = `
  attribute vec2 place; attribute vec3 colour; attribute float text, faded;
  uniform vec2 scale, shift; uniform float size;
  varying vec3 paint; varying float diamond, alpha;
  void main() {
    gl_Position = vec4(place * scale + shift, 0.0, 1.0);
    gl_PointSize = size * (text > 0.5 ? 1.25 : 1.0);
    paint = colour; diamond = text; alpha = faded > 0.5 ? 0.12 : 0.92;
  }`;
const FRAGMENT = `
  precision mediump float;
  uniform float size; varying vec3 paint; varying float diamond, alpha;
  void main() {
    vec2 p = abs(2.0 * gl_PointCoord - 1.0);
    float r = diamond > 0.5 ? p.x + p.y : length(p), soft = min(3.0 / size, 0.6);
    gl_FragColor = vec4(paint, 1.0) * alpha * (1.0 - smoothstep(1.0 - soft, 1.0, r));
  }`;
const MARK = "#d55e00";
const MOST_BYTES = 9e6; // of a file: what Jupyter's connection takes in one message

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function button(text, act, attributes = {}) {
  const node = element("button", { type: "button", ...attributes }, text);
  node.addEventListener("click", act);
  return node;
}

function painter(canvas) {
  const gl = canvas.getContext("webgl", { antialias: false, premultipliedAlpha: true });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const buffers = {};
  return {
    set(name, values, width, type = gl.FLOAT, normalized = false) {
      buffers[name] ??= gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      const at = gl.getAttribLocation(program, name);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, width, type, normalized, 0, 0);
    },
    bytes: gl.UNSIGNED_BYTE,
    draw(count, scale, shift, size) {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform2fv(gl.getUniformLocation(program, "scale"), scale);
      gl.uniform2fv(gl.getUniformLocation(program, "shift"), shift);
      gl.uniform1f(gl.getUniformLocation(program, "size"), size);
      gl.drawArrays(gl.POINTS, 0, count);
    },
    end() { gl.getExtension("WEBGL_lose_context")?.loseContext(); }, // a page may hold only sixteen
  };
}

function render({ model, el }) {
  const facts = model.get("facts"), view = { x: 0, y: 0, zoom: 1 }, cards = new Map();
  let places = new Float32Array(0), hovered = -1, found = null, path = [], lasso = null, grip = null, asked = null;

  const layer = element("canvas", { "aria-hidden": "true" });
  const hand = element("canvas", { class: "mv-hand", tabindex: 0, role: "img", "aria-label": `Map: ${facts.title}` });
  const tip = element("div", { class: "mv-tip", hidden: "" });
  const legend = element("div", { class: "mv-legend" });
  const stage = element("div", { class: "mv-stage" }, layer, hand, legend, tip);
  const status = element("div", { class: "mv-status", role: "status" });
  const panel = element("div", { class: "mv-panel" });
  const pick = element("select", { "aria-label": "Colour by" });
  for (const choice of model.get("choices")) pick.append(element("option", { value: choice }, choice));
  pick.addEventListener("change", () => { model.set("color_by", pick.value); model.save_changes(); });
  const encircle = button("Lasso", () => toggle(), { "aria-pressed": "false", title: "Encircle points; or Shift and drag" });
  const words = element("input", { type: "search", placeholder: "Search by words", "aria-label": "Search by words" });
  words.addEventListener("keydown", (event) => { event.stopPropagation(); if (event.key === "Enter") ask({ text: words.value }); });
  const file = element("input", { type: "file", hidden: "", "aria-label": "Image file" });
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    file.value = "";
    if (chosen.size > MOST_BYTES) return say(`${chosen.name} is too large to send; use the widget's search(Path(...)).`);
    ask({ name: chosen.name }, [await chosen.arrayBuffer()]);
  });
  el.append(element("div", { class: "mv-map" },
    element("div", { class: "mv-head" }, element("span", { class: "mv-title" }, facts.title),
      element("label", {}, "Colour by ", pick), encircle, button("Whole map", whole), words,
      button("Search by image …", () => file.click()), file),
    element("div", { class: "mv-body" }, element("div", { class: "mv-left" }, stage, status,
      element("div", { class: "mv-foot" }, "drag: move · wheel, + −: zoom · click, or Enter for the middle: select · Escape: "
        + `nothing. ${facts.quality}. ${facts.disclaimer}`)), panel)));
  const gl = painter(layer);
  if (!gl) say("This browser draws no WebGL, so the points stay hidden; search and selection work.");

  function say(text) { status.textContent = text; }
  function toggle() { encircle.setAttribute("aria-pressed", encircle.getAttribute("aria-pressed") !== "true"); }
  function whole() { Object.assign(view, { x: 0, y: 0, zoom: 1 }); draw(); }
  function ask(query, buffers = []) { say("Searching …"); model.send({ do: "search", ...query }, undefined, buffers); }
  function select(rows) { model.set("selection", rows); model.save_changes(); }

  // places (-1 to 1, y upwards) ↔ pixels of the page

  const unit = () => 0.46 * Math.min(hand.clientWidth, hand.clientHeight) * view.zoom;
  const screen = (x, y) => [hand.clientWidth / 2 + (x - view.x) * unit(), hand.clientHeight / 2 - (y - view.y) * unit()];
  const at = (row) => screen(places[2 * row], places[2 * row + 1]);
  const radius = () => Math.min(12, Math.min(11, Math.max(3, 190 / Math.sqrt(places.length / 2))) * Math.sqrt(view.zoom)) / 2;

  function nearest(x, y, reach) {
    let best = -1, least = reach * reach;
    for (let row = 0; row < places.length / 2; row++) {
      const [u, v] = at(row), far = (u - x) ** 2 + (v - y) ** 2;
      if (far < least) [best, least] = [row, far];
    }
    return best;
  }

  function draw() {
    const [w, h, dense] = [hand.clientWidth, hand.clientHeight, window.devicePixelRatio || 1];
    if (!w) return;
    for (const canvas of [layer, hand]) {
      if (canvas.width !== Math.round(w * dense)) canvas.width = Math.round(w * dense);
      if (canvas.height !== Math.round(h * dense)) canvas.height = Math.round(h * dense);
    }
    const scale = [2 * unit() / w, 2 * unit() / h];
    gl?.draw(places.length / 2, scale, [-view.x * scale[0], -view.y * scale[1]], 2 * radius() * dense);
    const pen = hand.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, w, h);
    const ink = getComputedStyle(hand).color;
    const line = (corners, colour, width) => {
      pen.beginPath();
      corners.forEach(([x, y]) => pen.lineTo(x, y));
      Object.assign(pen, { strokeStyle: colour, lineWidth: width, lineJoin: "round" });
      pen.stroke();
    };
    const ring = (x, y, r, colour) => {
      pen.beginPath();
      pen.arc(x, y, r, 0, 7);
      Object.assign(pen, { strokeStyle: colour, lineWidth: 2 });
      pen.stroke();
    };
    line(path.map(at), ink, 2);
    pen.fillStyle = ink;
    pen.font = "600 12px system-ui, sans-serif";
    path.forEach((row, i) => { const [x, y] = at(row); pen.fillText(i + 1, x + radius() + 4, y - radius()); });
    for (const near of found?.nearest || []) line([screen(...found.place), at(near.row)], "rgba(213, 94, 0, .45)", 1);
    if (found?.place) {
      const [x, y] = screen(...found.place);
      line(Array.from({ length: 11 }, (_, i) => {
        const r = i % 2 ? 5 : 12, a = Math.PI * (i / 5 - 0.5);
        return [x + r * Math.cos(a), y + r * Math.sin(a)];
      }), MARK, 3);
      pen.fillText(found.label, x + 15, y + 4);
    }
    const rows = model.get("selection");
    if (rows.length === 1 && 2 * rows[0] < places.length) ring(...at(rows[0]), radius() + 4, MARK);
    if (hovered >= 0) ring(...at(hovered), radius() + 2, ink);
    if (lasso) line([...lasso, lasso[0]], MARK, 2);
  }

  function paint(codes) {
    const { palette, legend: entries, bounds } = model.get("legend"), rgb = new Uint8Array(3 * codes.length);
    const parts = palette.map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
    codes.forEach((code, row) => rgb.set(parts[code], 3 * row));
    gl?.set("colour", rgb, 3, gl.bytes, true);
    const lines = bounds ? [element("div", { class: "mv-ramp", style: `background: linear-gradient(90deg, ${palette.filter((_, i) => i % 32 === 0).join()})` }),
      element("div", { class: "mv-ends" }, ...bounds.map((b) => element("span", {}, String(Number(b.toPrecision(4))))))]
      : entries.map(([label, colour, count]) => element("div", {}, element("i", { style: `background: ${colour}` }), label, element("small", {}, count.toLocaleString("en"))));
    if (facts.texts && !bounds) lines.push(element("div", { class: "mv-shapes" }, "● image  ◆ text"));
    legend.replaceChildren(element("b", {}, model.get("color_by")), ...lines);
    pick.value = model.get("color_by");
    draw();
  }

  function fade() {
    const rows = model.get("selection"), faded = new Uint8Array(places.length / 2).fill(rows.length > 1 ? 1 : 0);
    for (const row of rows) faded[row] = 0;
    gl?.set("faded", faded, 1, gl.bytes);
    draw();
  }

  // what Python answers

  function about(card, brief) {
    const parts = [element("b", {}, card.kind === "text" ? "Text" : card.title)];
    if (card.picture) {
      const frame = element("div", { class: "mv-screen" }, element("img", { src: card.picture, alt: `${card.modality}: ${card.title}` }));
      if (card.simulated) frame.append(element("span", { class: "mv-badge" }, "simulated"));
      parts.unshift(frame);
    }
    if (card.problem) parts.push(element("div", { class: "mv-error", role: "alert" }, card.problem));
    if (card.findings.length) parts.push(element("div", { class: "mv-chips" }, ...card.findings.map((f) => element("span", {}, f))));
    const report = brief && card.report.length > 220 ? `${card.report.slice(0, 220)} …` : card.report;
    if (report) parts.push(element("p", {}, report));
    if (!brief && card.numbers.length) parts.push(element("small", {}, card.numbers.join(" · ")));
    return parts;
  }

  function listed(title, neighbours) {
    const lines = neighbours.map((n) => element("li", {}, button(`${n.kind === "text" ? "◆" : "●"} ${n.title}`, () => select([n.row])),
      element("small", {}, n.cosine.toFixed(3))));
    return element("section", {}, element("h4", {}, title), element("ol", {}, ...lines));
  }

  const replies = {
    points(_, [xy, text, codes]) {
      places = new Float32Array(xy.buffer.slice(xy.byteOffset, xy.byteOffset + xy.byteLength));
      gl?.set("place", places, 2);
      gl?.set("text", new Uint8Array(text.buffer, text.byteOffset, text.byteLength), 1, gl.bytes);
      fade();
      replies.colours(_, [codes]);
      hand.dataset.points = places.length / 2;
    },
    colours(_, [codes]) { paint(new Uint8Array(codes.buffer, codes.byteOffset, codes.byteLength)); },
    hover(card) { cards.set(card.row, card); if (card.row === hovered) show(card); },
    none() { path = []; panel.replaceChildren(found ? listed(`Nearest to “${found.label}”`, found.nearest)
      : element("p", { class: "mv-hint" }, "Hover over a point to see it, click it to keep it here, encircle many to compare them.")); draw(); },
    card(card) {
      path = card.path;
      panel.replaceChildren(element("section", {}, ...about(card)), listed("Nearest", card.nearest));
      say(path.length ? `${path.length} images of this patient, joined in their order` : `Selected: ${card.title}`);
      draw();
    },
    sheet({ count, pictures }) {
      path = [];
      say(`${count.toLocaleString("en")} selected`);
      panel.replaceChildren(element("section", {}, element("h4", {}, `${count.toLocaleString("en")} selected` + (pictures.length < count ? `, ${pictures.length} shown` : "")),
        element("div", { class: "mv-sheet" }, ...pictures.map((p) => button(p.picture ? element("img", { src: p.picture, alt: p.title }) : "?", () => select([p.row]), { title: p.title })))));
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
    const [x, y] = at(card.row), left = x > hand.clientWidth / 2;
    tip.style.left = `${left ? x - tip.offsetWidth - 16 : x + 16}px`;
    tip.style.top = `${Math.max(4, Math.min(y - 40, hand.clientHeight - tip.offsetHeight - 4))}px`;
  }

  function hover(row) {
    if (row === hovered) return;
    hovered = row;
    tip.hidden = true;
    clearTimeout(asked);
    if (row >= 0) asked = setTimeout(() => (cards.has(row) ? show(cards.get(row)) : model.send({ do: "hover", row })), 60);
    draw();
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
    if (lasso) { const ring = lasso; lasso = null; select(inside(ring)); draw(); }
    else if (grip && !grip.moved) { const row = nearest(...spot(event), radius() + 5); select(row < 0 ? [] : [row]); }
    grip = null;
  });
  hand.addEventListener("pointerleave", () => hover(-1));

  function inside(ring) {
    const rows = [];
    for (let row = 0; row < places.length / 2; row++) {
      const [x, y] = at(row);
      let odd = false;
      for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) { // crossings of a ray to the right
        const [[a, b], [c, d]] = [ring[i], ring[j]];
        if (b > y !== d > y && x < (c - a) * (y - b) / (d - b) + a) odd = !odd;
      }
      if (odd) rows.push(row);
    }
    return rows;
  }

  function zoom(factor, x = hand.clientWidth / 2, y = hand.clientHeight / 2) {
    const [dx, dy, before] = [x - hand.clientWidth / 2, hand.clientHeight / 2 - y, unit()];
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
      Enter: () => { const row = nearest(hand.clientWidth / 2, hand.clientHeight / 2, 1e9); if (row >= 0) select([row]); },
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
    model.off("msg:custom", onMessage);
    model.off("change:selection", fade);
    gl?.end();
  };
}

export default { render };
