// The socket: greeting, frames and status come in; acts go out. See view/_wire.py for the format.

const HEAD = 48;

export function decode(buffer, hello) {
  const view = new DataView(buffer);
  const k = hello.intent.length, bodies = hello.scene.bodies;
  const taxels = hello.taxels.length, electrodes = hello.electrodes;
  const n = view.getUint16(2, true);
  const head = new Float32Array(buffer, 16, 8);
  let at = HEAD;
  const floats = (size) => { const part = new Float32Array(buffer, at, size); at += 4 * size; return part; };
  const bytes = (size) => { const part = new Uint8Array(buffer, at, size); at += size; return part; };
  const frame = {
    paused: (view.getUint8(1) & 1) === 1, n, bin: view.getUint32(4, true), t: view.getFloat64(8, true),
    goal: head.subarray(0, 3), radius: head[3], body: head.subarray(4, 7), progress: head[7],
    decoded: floats(k), intended: floats(k), commanded: floats(k), scale: floats(2), position: floats(3 * bodies),
  };
  frame.quaternion = new Int16Array(buffer, at, 4 * bodies); at += 8 * bodies;
  frame.touch = bytes(taxels);
  frame.stim = bytes(electrodes);
  frame.raster = bytes(n * Math.ceil(hello.features / 4));
  if (at !== buffer.byteLength) throw new Error("a frame of the wrong length");
  return frame;
}

export class Link {
  // on: {hello, frame, status, order, state}; state(text) is "live", "ended" or "lost".
  constructor(on) {
    this.on = on;
    this.received = 0;
    this.bytes = 0;
    this.hello = null;
    this.over = false;
    this.wait = 500;
    this.open();
  }

  open() {
    const token = document.querySelector("meta[name=token]").content;
    this.socket = new WebSocket(`ws://${location.host}/socket?token=${encodeURIComponent(token)}`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => { this.wait = 500; this.on.state("live"); };
    this.socket.onmessage = (event) => this.take(event.data);
    this.socket.onclose = () => this.closed();
  }

  closed() {
    if (this.over) { this.on.state("ended"); return; }
    this.on.state("lost");
    setTimeout(() => this.open(), this.wait);
    this.wait = Math.min(8000, this.wait * 2);
  }

  take(data) {
    if (typeof data !== "string") {
      if (!this.hello) return;
      this.received += 1;
      this.bytes += data.byteLength;
      this.on.frame(decode(data, this.hello));
      return;
    }
    const message = JSON.parse(data);
    this.bytes += data.length;
    if (message.hello) { this.hello = message; this.on.hello(message); }
    else if (message.order) this.on.order(message);
    else if (message.status) { this.over = message.ended; this.on.status(message); }
  }

  act(name, value) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify(value === undefined ? { act: name } : { act: name, value }));
  }
}
