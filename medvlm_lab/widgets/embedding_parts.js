// Parts of the embedding map: points by WebGL, what lies in a lasso, the pieces of its page.

const VERTEX = `
  attribute vec2 place; attribute vec3 colour; attribute float text, faded;
  uniform vec2 scale, shift; uniform mediump float size; uniform float ink; // size: as the other shader has it
  varying vec3 paint; varying float diamond, alpha;
  void main() {
    gl_Position = vec4(place * scale + shift, 0.0, 1.0);
    gl_PointSize = size * (text > 0.5 ? 1.25 : 1.0);
    paint = colour; diamond = text; alpha = faded > 0.5 ? 0.12 : 0.92 * ink;
  }`;
const FRAGMENT = `
  precision mediump float;
  uniform float size; varying vec3 paint; varying float diamond, alpha;
  void main() {
    vec2 p = abs(2.0 * gl_PointCoord - 1.0);
    float r = diamond > 0.5 ? p.x + p.y : length(p), soft = min(3.0 / size, 0.6);
    gl_FragColor = vec4(paint, 1.0) * alpha * (1.0 - smoothstep(1.0 - soft, 1.0, r));
  }`;

function meaning({ palette, legend, bounds }, texts) {
  if (bounds) {
    const ramp = `background: linear-gradient(90deg, ${palette.filter((_, i) => i % 32 === 0).join()})`;
    const ends = bounds.map((bound) => element("span", {}, String(Number(bound.toPrecision(4)))));
    return [element("div", { class: "mv-ramp", style: ramp }), element("div", { class: "mv-ends" }, ...ends)];
  }
  const lines = legend.map(([label, colour, count]) => element("div", {},
    element("i", { style: `background: ${colour}` }), label, element("small", {}, count.toLocaleString("en"))));
  return texts ? [...lines, element("div", { class: "mv-shapes" }, "● image  ◆ text")] : lines;
}

function about(card, brief) {
  const parts = [element("b", {}, card.kind === "text" ? "Text" : card.title)];
  if (card.picture) {
    const image = element("img", { src: card.picture, alt: `${card.modality}: ${card.title}${card.simulated ? ", simulated" : ""}` });
    const frame = element("div", { class: "mv-screen" }, image);
    if (card.simulated) frame.append(element("span", { class: "mv-badge" }, "simulated"));
    parts.unshift(frame);
  }
  if (card.problem) parts.push(element("div", { class: "mv-error", role: "alert" }, card.problem));
  const chips = card.findings.map((finding) => element("span", {}, finding));
  if (chips.length) parts.push(element("div", { class: "mv-chips" }, ...chips));
  const report = brief && card.report.length > 220 ? `${card.report.slice(0, 220)} …` : card.report;
  if (report) parts.push(element("p", {}, report));
  if (!brief && card.numbers.length) {
    const numbers = element("small", {}, card.numbers.join(" · "));
    parts.push(element("details", {}, element("summary", {}, `${card.numbers.length} numbers`), numbers));
  }
  return parts;
}

function listed(title, neighbours, select) {
  const lines = neighbours.map((n) => {
    const name = `${n.kind === "text" ? "◆" : "●"} ${n.title}`;
    return element("li", {}, button(name, () => select([n.row])), element("small", {}, n.cosine.toFixed(3)));
  });
  return element("section", {}, element("h4", {}, title), element("ol", {}, ...lines));
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
    draw(count, scale, shift, size, ink) {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform2fv(gl.getUniformLocation(program, "scale"), scale);
      gl.uniform2fv(gl.getUniformLocation(program, "shift"), shift);
      gl.uniform1f(gl.getUniformLocation(program, "size"), size);
      gl.uniform1f(gl.getUniformLocation(program, "ink"), ink);
      gl.drawArrays(gl.POINTS, 0, count);
    },
    end() { gl.getExtension("WEBGL_lose_context")?.loseContext(); }, // a page may hold only sixteen
  };
}

function inside(ring, count, at) {
  const rows = [];
  for (let row = 0; row < count; row++) {
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

function line(pen, corners, colour, width) {
  pen.beginPath();
  for (const [x, y] of corners) pen.lineTo(x, y);
  Object.assign(pen, { strokeStyle: colour, lineWidth: width, lineJoin: "round" });
  pen.stroke();
}

function ring(pen, x, y, radius, colour) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  Object.assign(pen, { strokeStyle: colour, lineWidth: 2 });
  pen.stroke();
}

function star(x, y) {
  return Array.from({ length: 11 }, (_, i) => {
    const r = i % 2 ? 5 : 12, angle = Math.PI * (i / 5 - 0.5);
    return [x + r * Math.cos(angle), y + r * Math.sin(angle)];
  });
}
