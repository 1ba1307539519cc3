// The body in three dimensions: shapes come once, then only poses. WebGL 1, one program, a shadow on the floor.

import { lookAt, multiply, perspective, pose } from "./matrix.js";
import { extent, mesh } from "./shapes.js";
import { theme } from "./theme.js";

const VERTEX = `
attribute vec3 position; attribute vec3 normal;
uniform mat4 camera; uniform mat4 model; uniform float fall; uniform float ground;
varying vec3 n; varying vec3 at;
void main() {
  vec4 world = model * vec4(position, 1.0);
  if (fall > 0.5) world.xyz -= vec3(0.25, 0.15, 1.0) * (world.z - ground);
  n = mat3(model[0].xyz, model[1].xyz, model[2].xyz) * normal;
  at = world.xyz;
  gl_Position = camera * world;
}`;
const FRAGMENT = `
precision mediump float;
uniform vec4 colour; uniform float flat_; uniform float grid; uniform vec3 sky; uniform float far; uniform vec3 eye;
varying vec3 n; varying vec3 at;
void main() {
  vec3 light = normalize(vec3(0.25, 0.15, 1.0));
  vec3 m = normalize(n);
  float lit = 0.62 + 0.2 * m.z + 0.3 * max(0.0, dot(m, light));
  vec3 shade = flat_ > 0.5 ? colour.rgb : colour.rgb * lit;
  float alpha = colour.a;
  if (grid > 0.0) {
    vec2 cell = abs(fract(at.xy / grid + 0.5) - 0.5) * grid;
    float wide = 0.006 * far;
    float line = 1.0 - smoothstep(0.0, wide, min(cell.x, cell.y) * 2.0);
    shade = mix(colour.rgb, colour.rgb * 0.82, line);
    shade = mix(shade, sky, smoothstep(0.9 * far, 3.0 * far, distance(at, eye) - 2.4 * far));
  }
  gl_FragColor = vec4(shade, alpha);
}`;
const ANGLE = 0.7;

// Whether WebGL is drawn by the processor: smooth edges cost it as much as all the rest.
function inSoftware() {
  const gl = document.createElement("canvas").getContext("webgl");
  const names = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = names ? String(gl.getParameter(names.UNMASKED_RENDERER_WEBGL)) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

export class Body {
  constructor(canvas, hello) {
    this.canvas = canvas;
    const gl = this.gl = canvas.getContext("webgl", { antialias: !inSoftware(), stencil: true, alpha: false });
    if (!gl) throw new Error("this browser has no WebGL");
    this.planar = hello.dims < 3 && !hello.scene.geoms.some((geom) => geom.shape === "plane"); // on a floor is in space
    this.share = 1; // of the resolution: less on a machine that cannot keep up
    this.workspace = hello.workspace;
    this.build(VERTEX, FRAGMENT);
    this.measure(hello);
    this.geoms = hello.scene.geoms.map((geom) => this.make(geom));
    this.goal = { ...this.make({ shape: hello.dims < 3 ? "cylinder" : "sphere", size: hello.dims < 3 ? [1, 0.02] : [1], body: 0, rgba: null }), };
    const far = 40 * this.radius;
    this.floor = hello.scene.geoms.some((geom) => geom.shape === "plane")
      ? null : this.make({ shape: "plane", size: [far, far, 0], body: 0, rgba: null });
    this.plate = this.floor && this.planar ? this.make({ shape: "plane", size: this.half(), body: 0, rgba: null }) : null;
    this.step = 10 ** Math.round(Math.log10(this.radius / 4));
    this.home();
    this.hands();
  }

  build(vertex, fragment) {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    this.place = {};
    for (const name of ["camera", "model", "fall", "ground", "colour", "flat_", "grid", "sky", "far", "eye"]) {
      this.place[name] = gl.getUniformLocation(program, name);
    }
    this.attribute = { position: gl.getAttribLocation(program, "position"), normal: gl.getAttribLocation(program, "normal") };
    gl.enableVertexAttribArray(this.attribute.position);
    gl.enableVertexAttribArray(this.attribute.normal);
    gl.enable(gl.DEPTH_TEST);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  }

  // Centre and size of what is to be seen: the workspace now, the body with the first poses.
  measure(hello) {
    const [low, high] = hello.workspace.map((v) => [v[0] || 0, v[1] || 0, v[2] || 0]);
    this.low = low;
    this.high = high;
    this.centre = low.map((v, i) => (v + high[i]) / 2);
    this.radius = Math.hypot(high[0] - low[0], high[1] - low[1], high[2] - low[2]) / 2 || 1;
    this.ground = this.low[2];
    this.middle = this.centre.slice(0, 2); // of the workspace
    this.measured = false;
  }

  half() {
    return [(this.high[0] - this.low[0]) / 2, (this.high[1] - this.low[1]) / 2, 0];
  }

  include(frame) {
    // A body in space fills the picture, not its workspace.
    const alone = !this.planar && this.geoms.some((geom) => geom.extent && geom.body), far = [Infinity, Infinity, Infinity];
    const low = alone ? far : [...this.low], high = alone ? far.map((v) => -v) : [...this.high], first = frame.position;
    for (const geom of this.geoms) {
      if (!geom.extent || (alone && !geom.body)) continue;
      const at = this.model(geom, frame);
      for (let i = 0; i < 3; i++) {
        const reach = geom.shape === "box" ? [0, 1, 2].reduce((s, c) => s + Math.abs(at[4 * c + i]) * geom.size[c], 0)
          : geom.shape === "capsule" ? geom.size[0] + Math.abs(at[8 + i]) * geom.size[1] : geom.extent;
        low[i] = Math.min(low[i], at[12 + i] - reach);
        high[i] = Math.max(high[i], at[12 + i] + reach);
      }
    }
    this.centre = low.map((v, i) => (v + high[i]) / 2);
    this.radius = (alone ? 1.25 : 1) * Math.hypot(high[0] - low[0], high[1] - low[1], high[2] - low[2]) / 2 || 1;
    if (first.length) this.ground = this.floor ? low[2] - 0.002 * this.radius : 0;
    this.step = 10 ** Math.round(Math.log10(this.radius / 4));
    this.offset = this.centre.map((v, i) => v - frame.body[i]);
    this.measured = true;
    this.home();
  }

  make(geom) {
    const gl = this.gl, { position, normal, index } = mesh(geom.shape, geom.size, 40 * this.radius);
    const buffer = (target, data) => {
      const made = gl.createBuffer();
      gl.bindBuffer(target, made);
      gl.bufferData(target, data, gl.STATIC_DRAW);
      return made;
    };
    return {
      shape: geom.shape, size: geom.size, body: geom.body, extent: extent(geom.shape, geom.size),
      rgba: geom.rgba, local: geom.pos ? pose(geom.pos, geom.quat) : null, count: index.length,
      position: buffer(gl.ARRAY_BUFFER, new Float32Array(position)), normal: buffer(gl.ARRAY_BUFFER, new Float32Array(normal)),
      index: buffer(gl.ELEMENT_ARRAY_BUFFER, new Uint16Array(index)),
    };
  }

  // Told how long a picture took while others were waiting, ms: draws fewer points where that is too long.
  pace(took) {
    this.late = 0.8 * (this.late || 0) + 0.2 * took;
    if (this.late < 60 || this.share <= 0.4) return;
    this.share = Math.max(0.4, this.share * 0.8);
    this.late = 0;
  }

  home() {
    this.azimuth = this.planar ? -Math.PI / 2 : -Math.PI / 3;
    this.elevation = this.planar ? 1.02 : 0.35;
    this.zoom = 1;
    this.target = [...this.centre];
  }

  turn(across, up) {
    this.azimuth -= across;
    this.elevation = Math.max(-0.1, Math.min(1.55, this.elevation + up));
    this.changed = true;
  }

  // Along the ground, away from the eye.
  ahead() {
    return [-Math.cos(this.azimuth), -Math.sin(this.azimuth)];
  }

  nearer(by) {
    this.zoom = Math.max(0.15, Math.min(6, this.zoom * by));
    this.changed = true;
  }

  hands() {
    const canvas = this.canvas, fingers = new Map();
    let apart = 0;
    canvas.onpointerdown = (e) => { fingers.set(e.pointerId, [e.clientX, e.clientY]); canvas.setPointerCapture(e.pointerId); apart = 0; };
    canvas.onpointerup = canvas.onpointercancel = (e) => { fingers.delete(e.pointerId); apart = 0; };
    canvas.onpointermove = (e) => {
      const before = fingers.get(e.pointerId);
      if (!before) return;
      fingers.set(e.pointerId, [e.clientX, e.clientY]);
      if (fingers.size === 1) { this.turn((e.clientX - before[0]) * 0.008, (e.clientY - before[1]) * 0.008); return; }
      const [a, b] = [...fingers.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (apart) this.nearer(apart / now);
      apart = now;
    };
    canvas.onwheel = (e) => { e.preventDefault(); this.nearer(Math.exp(e.deltaY * 0.001)); };
    canvas.ondblclick = () => { this.home(); this.changed = true; };
    const keys = {
      ArrowLeft: () => this.turn(0.1, 0), ArrowRight: () => this.turn(-0.1, 0), ArrowUp: () => this.turn(0, 0.08),
      ArrowDown: () => this.turn(0, -0.08), PageUp: () => this.nearer(0.9), PageDown: () => this.nearer(1.1),
      Home: () => { this.home(); this.changed = true; },
    };
    canvas.onkeydown = (e) => { if (keys[e.key]) { keys[e.key](); e.preventDefault(); } };
  }

  // In the plane the camera stays while the controlled point is in the picture; in space it goes along, softly up and down.
  follow(at) {
    if (this.planar) {
      const free = 0.8 * this.radius, away = at.map((v, i) => v - this.target[i]), distance = Math.hypot(...away);
      if (distance > free) for (let i = 0; i < 3; i++) this.target[i] += away[i] * (1 - free / distance);
      return;
    }
    const to = at.map((v, i) => v + this.offset[i]);
    this.target = [to[0], to[1], this.target[2] + 0.05 * (to[2] - this.target[2])];
  }

  model(geom, frame) {
    const b = geom.body, p = frame.position.subarray(3 * b, 3 * b + 3);
    const q = Array.from(frame.quaternion.subarray(4 * b, 4 * b + 4), (v) => v / 32767);
    const body = pose(p, q);
    return geom.local ? multiply(body, geom.local) : body;
  }

  // `still`: nothing moves, so that all points can be drawn however long it takes.
  draw(frame, still = false) {
    const gl = this.gl, canvas = this.canvas, ratio = Math.min(2, window.devicePixelRatio || 1) * (still ? 1 : this.share);
    const w = Math.max(1, Math.round(canvas.clientWidth * ratio)), h = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    if (!this.measured) this.include(frame);
    this.follow([...frame.body]);
    this.changed = false;
    const aspect = w / h, reach = this.radius / Math.sin(ANGLE / 2) * Math.max(1, 1 / aspect) * 0.82 * this.zoom;
    const flat = Math.cos(this.elevation);
    const eye = [
      this.target[0] + reach * flat * Math.cos(this.azimuth), this.target[1] + reach * flat * Math.sin(this.azimuth),
      this.target[2] + reach * Math.sin(this.elevation),
    ];
    const colour = (name) => theme[name].rgb.map((v) => v / 255);
    const sky = colour("sky");
    gl.viewport(0, 0, w, h);
    gl.clearColor(...sky, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT | gl.STENCIL_BUFFER_BIT);
    const camera = multiply(perspective(ANGLE, aspect, 0.02 * reach, 20 * reach + 20 * this.radius), lookAt(eye, this.target));
    gl.uniformMatrix4fv(this.place.camera, false, camera);
    gl.uniform1f(this.place.ground, this.ground + 0.001 * this.radius);
    gl.uniform3fv(this.place.sky, sky);
    gl.uniform3fv(this.place.eye, eye);
    gl.uniform1f(this.place.far, this.radius);
    const models = this.geoms.map((geom) => this.model(geom, frame));
    if (this.floor) this.one(this.floor, pose([this.target[0], this.target[1], this.ground], [1, 0, 0, 0]), [...colour("floor"), 1], { grid: this.step });
    if (this.plate) this.one(this.plate, pose([...this.middle, this.ground + 5e-4 * this.radius], [1, 0, 0, 0]), [...sky, 1], { flat: 1 });
    this.geoms.forEach((geom, i) => { if (geom.shape === "plane") this.one(geom, models[i], [...colour("floor"), 1], { grid: this.step }); });
    this.shadows(models);
    this.geoms.forEach((geom, i) => {
      if (geom.shape !== "plane") this.one(geom, models[i], geom.rgba || [...colour(this.paint(geom)), 1], {});
    });
    this.showGoal(frame, colour("intended"));
  }

  // Shapes without a colour of their own: the world grey, limbs blue, what touches (a small ball at the end) stands out.
  paint(geom) {
    if (geom.body === 0) return "solid";
    return geom.shape === "sphere" && geom.extent < 0.1 * this.radius ? "decoded" : "limb";
  }

  shadows(models) {
    const gl = this.gl;
    gl.enable(gl.BLEND);
    gl.enable(gl.STENCIL_TEST);
    gl.stencilFunc(gl.EQUAL, 0, 255);
    gl.stencilOp(gl.KEEP, gl.KEEP, gl.INCR);
    gl.depthMask(false);
    this.geoms.forEach((geom, i) => { if (geom.shape !== "plane") this.one(geom, models[i], [0, 0, 0, 0.16], { fall: 1, flat: 1 }); });
    gl.depthMask(true);
    gl.disable(gl.STENCIL_TEST);
    gl.disable(gl.BLEND);
  }

  showGoal(frame, colour) {
    const gl = this.gl, r = frame.radius;
    if (!(r > 0)) return;
    const model = pose(frame.goal, [1, 0, 0, 0]);
    for (let i = 0; i < 11; i++) if (i % 4 < 3) model[i] *= r;
    gl.enable(gl.BLEND);
    gl.depthMask(false);
    this.one(this.goal, model, [...colour, 0.65], { flat: 1 });
    gl.disable(gl.DEPTH_TEST); // faintly through whatever hides it
    this.one(this.goal, model, [...colour, 0.25], { flat: 1 });
    gl.enable(gl.DEPTH_TEST);
    gl.depthMask(true);
    gl.disable(gl.BLEND);
  }

  one(geom, model, colour, { grid = 0, fall = 0, flat = 0 }) {
    const gl = this.gl;
    gl.uniformMatrix4fv(this.place.model, false, model);
    gl.uniform4fv(this.place.colour, colour);
    gl.uniform1f(this.place.grid, grid);
    gl.uniform1f(this.place.fall, fall);
    gl.uniform1f(this.place.flat_, flat);
    gl.bindBuffer(gl.ARRAY_BUFFER, geom.position);
    gl.vertexAttribPointer(this.attribute.position, 3, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, geom.normal);
    gl.vertexAttribPointer(this.attribute.normal, 3, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, geom.index);
    gl.drawElements(gl.TRIANGLES, geom.count, gl.UNSIGNED_SHORT, 0);
  }
}
