import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { load } from "./script.mjs";

class Socket {
  static opened = [];
  sent = [];
  bufferedAmount = 0;

  constructor(address) {
    this.address = address;
    Socket.opened.push(this);
  }

  send(data) { this.sent.push(data instanceof ArrayBuffer ? data : JSON.parse(data)); }
  close(code) { this.closedWith = code; }
  says(message) { this.onmessage({ data: JSON.stringify(message) }); }
  ends(code = 1006, reason = "") { this.onclose({ code, reason }); }
}

const READY = { type: "ready" };
const frame = (bytes = 1280) => new ArrayBuffer(bytes);

let connection, phases, messages, refusals;

const socket = () => Socket.opened.at(-1);
const phase = () => phases.at(-1)[0];
const delayS = () => phases.at(-1)[1];

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(Math, "random", () => 0.5); // the back-off varies by chance; half way is its plain value
  Socket.opened = [];
  [phases, messages, refusals] = [[], [], []];
  const { Connection } = load(["Connection"], { WebSocket: Socket });
  connection = new Connection(() => `address ${Socket.opened.length}`, {
    phase: (...told) => phases.push(told),
    message: (message) => messages.push(message),
    refused: (...told) => refusals.push(told),
  });
  connection.open();
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/** Be let in, after as many failures as it took. */
function joined() {
  socket().says(READY);
  assert.equal(phase(), "joined");
}

test("one is joined with the server's word, not with the socket's", () => {
  assert.equal(phase(), "connecting");
  assert.equal(connection.send({ type: "set" }), false);
  joined();
  assert.equal(connection.send({ type: "set" }), true);
  assert.deepEqual(socket().sent, [{ type: "set" }]);
  assert.deepEqual(messages, [READY]);
});

test("a server that does not answer is asked again after 0.5, 1, 2 ... at most 15 s", () => {
  const delays = Array.from({ length: 8 }, () => {
    socket().ends();
    mock.timers.tick(1000 * delayS());
    return delayS();
  });
  assert.deepEqual(delays, [0.5, 1, 2, 4, 8, 15, 15, 15]);
  assert.equal(phase(), "unreachable");
  assert.equal(Socket.opened.length, 9);
  assert.equal(socket().address, "address 8", "the address is asked anew");
});

test("the waits of a room's clients differ by up to a fifth", () => {
  mock.method(Math, "random", () => 0);
  socket().ends();
  assert.ok(Math.abs(delayS() - 0.4) < 1e-9);
  mock.method(Math, "random", () => 1);
  connection.retryNow();
  socket().ends();
  assert.ok(Math.abs(delayS() - 1.2) < 1e-9);
});

test("a connection that lasted starts the waiting anew, one that broke at once does not", () => {
  for (let failures = 0; failures < 3; failures++) {
    socket().ends();
    connection.retryNow();
  }
  joined();
  socket().ends();
  assert.equal(delayS(), 4);
  connection.retryNow();
  const now = mock.method(performance, "now", () => 0);
  joined();
  now.mock.mockImplementation(() => 11_000);
  socket().ends();
  assert.equal(delayS(), 0.5);
});

test("trying again now happens once, and not while a connection stands", () => {
  socket().ends();
  connection.retryNow();
  connection.retryNow();
  assert.equal(Socket.opened.length, 2);
  mock.timers.tick(20_000);
  assert.ok(Socket.opened.length <= 3);
});

for (const [code, closeCode, expected] of [
  ["full", 1013, "full"], ["not_ready", 1013, "loading"], ["restarting", 1012, "loading"],
  ["too_many", 1013, "limited"], ["too_fast", 1013, "limited"], ["anything_else", 1011, "unreachable"],
]) {
  test(`refused with ${code} before joining, one waits: ${expected}`, () => {
    socket().says({ type: "error", code, message: "not now", fatal: true });
    socket().ends(closeCode);
    assert.deepEqual(phases.at(-1), [expected, 0.5, "not now"]);
    assert.deepEqual(messages, [], "why comes with the phase");
  });
}

test("whoever was in comes back to a server that restarts, or that found them too slow", () => {
  joined();
  socket().says({ type: "error", code: "restarting", message: "back soon", fatal: true });
  socket().ends(1012);
  assert.equal(phase(), "reconnecting");
  connection.retryNow();
  joined();
  socket().ends(1013);
  assert.equal(phase(), "reconnecting");
});

for (const code of ["invalid_message", "unknown_language", "not_allowed", "setup"]) {
  test(`refused with ${code}, trying again would not help`, () => {
    socket().says({ type: "error", code, message: "no", fatal: true });
    socket().ends(1008);
    assert.deepEqual(refusals, [["no", code]]);
    mock.timers.tick(60_000);
    assert.equal(Socket.opened.length, 1);
  });
}

test("a close code that forbids is final even without words", () => {
  socket().ends(1008);
  assert.deepEqual(refusals, [["", "not_allowed"]]);
});

test("sound before the first ready is dropped: nobody was told yet that they are heard", () => {
  assert.equal(connection.sendAudio(frame()), true);
  joined();
  assert.deepEqual(socket().sent, []);
});

test("what is said while the connection is lost is sent when it is back, in order", () => {
  joined();
  socket().ends();
  const frames = [frame(), frame()];
  connection.sendAudio(frames[0]);
  connection.endUtterance();
  connection.sendAudio(frames[1]);
  connection.retryNow();
  joined();
  assert.deepEqual(socket().sent, [frames[0], { type: "flush" }, frames[1]]);
});

test("what the socket had not sent when it broke is sent again", () => {
  joined();
  const frames = [frame(), frame(), frame()];
  connection.sendAudio(frames[0]);
  socket().bufferedAmount = 1280;
  connection.sendAudio(frames[1]);
  socket().bufferedAmount = 2560;
  connection.sendAudio(frames[2]);
  socket().ends();
  connection.retryNow();
  joined();
  assert.deepEqual(socket().sent, frames.slice(1));
});

test("15 s wait for the network at most; of more, the oldest goes", () => {
  joined();
  socket().ends();
  const frames = Array.from({ length: 376 }, () => frame());
  const fits = frames.map((pcm) => connection.sendAudio(pcm));
  assert.equal(fits.indexOf(false), 375);
  assert.equal(connection.behindS, 15);
  connection.retryNow();
  joined();
  assert.equal(socket().sent[0], frames[1]);
});

test("with two seconds on the way, the rest waits its turn", () => {
  joined();
  socket().bufferedAmount = 64_001;
  connection.sendAudio(frame());
  assert.deepEqual(socket().sent, []);
  assert.equal(connection.behindS, 0.04);
  socket().bufferedAmount = 0;
  mock.timers.tick(100);
  assert.equal(socket().sent.length, 1);
  assert.equal(connection.behindS, 0);
});

test("a silent server is asked after 10 s and given up after 10 more", () => {
  joined();
  socket().says({ type: "presence" });
  mock.timers.tick(10_000);
  assert.deepEqual(socket().sent, [{ type: "ping" }]);
  socket().says({ type: "pong" });
  mock.timers.tick(10_000);
  assert.equal(phase(), "joined");
  mock.timers.tick(10_000);
  assert.equal(phase(), "reconnecting");
});

test("what was sent to a server that had stopped answering is sent again", () => {
  joined();
  socket().says({ type: "presence" });
  mock.timers.tick(10_000);
  const pcm = frame();
  connection.sendAudio(pcm);
  mock.timers.tick(10_000);
  connection.retryNow();
  joined();
  assert.deepEqual(socket().sent, [pcm]);
});

test("a server that lets nobody in is given up after 20 s", () => {
  mock.timers.tick(19_999);
  assert.equal(phase(), "connecting");
  mock.timers.tick(1);
  assert.equal(phase(), "unreachable");
});

test("a closed connection stays closed and says nothing more", () => {
  joined();
  const [last] = [socket()];
  connection.close();
  assert.equal(last.closedWith, 1000);
  assert.equal(last.onmessage, null);
  mock.timers.tick(60_000);
  assert.equal(Socket.opened.length, 1);
});

test("a second end of the same utterance is not sent", () => {
  const { Backlog } = load(["Backlog"]);
  const backlog = new Backlog();
  const pcm = frame();
  for (const item of [pcm, { type: "flush" }, { type: "flush" }]) assert.equal(backlog.push(item), true);
  assert.deepEqual([backlog.shift(), backlog.shift(), backlog.isEmpty], [pcm, { type: "flush" }, true]);
});

test("a typed address may lack scheme, port and slash", () => {
  const { typedServer } = load(["typedServer"]);
  const addresses = {
    "": "ws://localhost:9000/",
    "192.168.1.20": "ws://192.168.1.20:9000/",
    "kitchen:8000": "ws://kitchen:8000/",
    "https://example.org": "wss://example.org/",
    "http://example.org:80": "ws://example.org/",
    "wss://example.org/fish": "wss://example.org/fish/",
  };
  for (const [typed, address] of Object.entries(addresses)) assert.equal(typedServer(typed).href, address, typed);
  for (const typed of ["ftp://example.org", "ws://", "a b"]) assert.throws(() => typedServer(typed), TypeError, typed);
});

test("a served page finds its server below the same path", () => {
  const server = (href, protocol) => load(["servingServer"], { location: { href, protocol } }).servingServer().href;
  assert.equal(server("https://example.org/fish/?room=a#token=b", "https:"), "wss://example.org/fish/");
  assert.equal(server("http://127.0.0.1:9000/", "http:"), "ws://127.0.0.1:9000/");
});
