/** The client against a server that does what a test says. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";

import { CallError, connectChat, connectWords, type ChatOptions, type Options } from "./client/index";
import { becomes, hear, Scripted } from "./server";

let server: Scripted;
let clients: { close(): void }[];

beforeEach(async () => {
  server = new Scripted();
  await server.listen();
  clients = [];
});

afterEach(() => {
  for (const client of clients) client.close();
  server.close();
});

const common = () => ({ url: server.url, WebSocket, firstDelayMs: 1, maxDelayMs: 5 });

function chatOf(options: Partial<ChatOptions> = {}) {
  const chat = connectChat({ ...common(), params: { room: "a b" }, query: { name: "ada" }, ...options });
  clients.push(chat);
  return chat;
}

function wordsOf(options: Options = {}) {
  const words = connectWords({ ...common(), ...options });
  clients.push(words);
  return words;
}

const said = (text: string, position: string | null = null) => ({ type: "said", name: "bob", text, position });

describe("connecting", () => {
  test("the path, the query and the position are in the URL", async () => {
    chatOf({ since: "7-1" });
    await server.accept();
    expect(server.urls).toEqual(["/rooms/a%20b/chat?name=ada&since=7-1"]);
  });

  test("a base URL with a path is where the app is mounted", async () => {
    chatOf({ url: () => new URL(`${server.url}/api/`) });
    await server.accept();
    expect(server.urls).toEqual(["/api/rooms/a%20b/chat?name=ada"]);
  });

  test("functions are asked before each attempt", async () => {
    const attempts: number[] = [];
    const chat = chatOf({
      query: async (attempt) => {
        attempts.push(attempt);
        return { name: `ada${attempts.length}` };
      },
    });
    (await server.accept()).socket.close(1012);
    await server.accept();
    await becomes(chat, "open");
    expect(attempts).toEqual([0, 1]);
    expect(server.urls.map((url) => url.split("?")[1])).toEqual(["name=ada1", "name=ada2"]);
  });

  test("a function that fails is asked again", async () => {
    let asked = 0;
    const chat = chatOf({
      query: () => {
        if (asked++ === 0) throw new Error("no token");
        return { name: "ada" };
      },
    });
    await becomes(chat, "waiting");
    expect(chat.lastClose).toEqual({ code: 1006, reason: "Error: no token" });
    await becomes(chat, "open");
  });

  test("a refused handshake is tried again", async () => {
    server.refuse = 401;
    const verdicts: boolean[] = [];
    const chat = chatOf({
      reconnect: (close, opened) => {
        verdicts.push(opened);
        if (verdicts.length === 3) server.refuse = null;
        return close.code === 1006;
      },
    });
    await becomes(chat, "open");
    expect(verdicts).toEqual([false, false, false]);
    expect(server.attempts).toBe(4);
  });

  test("a function may give up; one that fails or returns nothing has not decided", async () => {
    server.refuse = 403;
    let asked = 0;
    const chat = chatOf({
      reconnect: async () => {
        if (asked++ === 0) throw new TypeError("Failed to fetch");
        return asked === 2 ? undefined : false;
      },
    });
    await becomes(chat, "closed");
    expect(asked).toBe(3);
  });

  test("an attempt that hangs is given up", async () => {
    const hangs = new Promise<never>(() => {});
    let asked = 0;
    const chat = chatOf({ connectTimeoutMs: 300, query: () => (asked++ ? { name: "ada" } : hangs) });
    await becomes(chat, "waiting");
    expect(chat.lastClose).toEqual({ code: 1006, reason: "timeout" });
    await becomes(chat, "open");
  });

  test("a client that is closed while it connects stays closed", async () => {
    const chat = chatOf();
    chat.close();
    expect(chat.status).toBe("closed");
    const other = chatOf({ query: async () => ({ name: "bob" }) });
    await server.accept();
    await becomes(other, "open");
    expect(server.urls).toEqual(["/rooms/a%20b/chat?name=bob"]);
  });

  test("a close code that is not allowed is an error, and the connection stays", async () => {
    const chat = chatOf();
    await server.accept();
    await becomes(chat, "open");
    expect(() => chat.close(999)).toThrow();
    expect(chat.status).toBe("open");
    expect(chat.send({ type: "typing" })).toBe(true);
  });

  test("a closed client can be opened again, and resumes", async () => {
    const chat = chatOf();
    (await server.accept()).send(said("hello", "7-2"));
    await hear(chat, (message) => message.type === "said");
    chat.close();
    chat.open();
    await server.accept();
    expect(server.urls[1]).toContain("since=7-2");
  });
});

/** The close codes of all connections that were lost. */
function closesOf(chat: ReturnType<typeof chatOf>): unknown[] {
  const closes: unknown[] = [];
  chat.onStatus((status) => {
    if (status === "waiting") closes.push(chat.lastClose?.code);
  });
  return closes;
}

describe("close codes", () => {
  test.each([1000, 1002, 1003, 1007, 1008, 1009, 3403, 3401, 4001])("%d is final", async (code) => {
    const chat = chatOf();
    (await server.accept()).socket.close(code, "enough");
    await becomes(chat, "closed");
    expect(chat.lastClose).toEqual({ code, reason: "enough" });
  });

  test.each([1001, 1011, 1012, 1013, 1014, 3429, 3503, 4002])("%d is not", async (code) => {
    const chat = chatOf();
    const closes = closesOf(chat);
    (await server.accept()).socket.close(code);
    await server.accept();
    await becomes(chat, "open");
    expect(closes).toEqual([code]);
    expect(chat.lastClose).toBe(null);
  });

  test("a lost connection is not", async () => {
    const chat = chatOf();
    const closes = closesOf(chat);
    (await server.accept()).socket.terminate();
    await server.accept();
    expect(closes).toEqual([1006]);
  });

  test("the application may decide otherwise", async () => {
    const chat = chatOf({ reconnect: ({ code }) => (code === 4403 ? true : code === 1012 ? false : undefined) });
    (await server.accept()).socket.close(4403);
    (await server.accept()).socket.close(1013);
    (await server.accept()).socket.close(1012);
    await becomes(chat, "closed");
  });
});

describe("backoff", () => {
  /** The delays of *count* attempts, as they would be without chance. */
  async function delays(count: number, lived: number): Promise<number[]> {
    const found: number[] = [];
    const real = globalThis.setTimeout;
    vi.spyOn(Math, "random").mockReturnValue(1);
    vi.spyOn(globalThis, "setTimeout").mockImplementation(((run: any, ms: number, ...rest: any[]) => {
      // Other timers are those of an attempt to connect, and of the server.
      if (ms < 500 || ms > 15_000 || ms === 10_000) return real(run, ms, ...rest);
      found.push(ms);
      return real(run, 0, ...rest);
    }) as any);
    const now = Date.now();
    let later = 0;
    vi.spyOn(Date, "now").mockImplementation(() => now + later);
    const chat = chatOf({ firstDelayMs: 500, maxDelayMs: 15_000 });
    for (let i = 0; i < count; i++) {
      const peer = await server.accept();
      await becomes(chat, "open");
      later += lived;
      peer.socket.close(1013);
    }
    await server.accept();
    vi.restoreAllMocks();
    return found;
  }

  test("the delay doubles up to the longest, also while connections open", async () => {
    expect(await delays(7, 100)).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
  });

  test("a connection that has lasted starts it again", async () => {
    expect(await delays(3, 20_000)).toEqual([500, 500, 500]);
  });
});

describe("messages", () => {
  test("handlers, iteration and everything that a newer server sends", async () => {
    const chat = chatOf();
    const heard: unknown[] = [];
    const all: string[] = [];
    chat.on("said", (message) => heard.push(message.text));
    const stop = chat.on("said", () => heard.push("stopped"));
    stop();
    chat.on("*", (message) => all.push(message.type));
    const peer = await server.accept();
    peer.send({ type: "unheard_of", more: [1] });
    peer.socket.send(Buffer.from(JSON.stringify(said("binary"))));
    for (const text of ["", "{", "null", "1", "[]", '"said"', "{}", '{"type":1}']) peer.socket.send(text);
    peer.send({ ...said("hello"), new_member: true });
    const iterated: string[] = [];
    for await (const message of chat) {
      iterated.push(message.type);
      if (message.type === "said") break;
    }
    expect(iterated).toEqual(["said"]);
    expect(heard).toEqual(["hello"]);
    expect(all).toEqual(["unheard_of", "said"]);
  });

  test("iterating ends with the client, after what was unread", async () => {
    const chat = chatOf();
    const iterator = chat[Symbol.asyncIterator]();
    const first = iterator.next();
    const peer = await server.accept();
    for (const text of ["a", "b", "c"]) peer.send(said(text));
    await hear(chat, (message) => message.text === "c");
    chat.close();
    expect((await first).value).toMatchObject({ text: "a" });
    const rest: string[] = [];
    for await (const message of iterator) if (message.type === "said") rest.push(message.text);
    expect(rest).toEqual(["b", "c"]);
  });

  test("a handler that throws takes nothing from the others", async () => {
    const thrown: unknown[] = [];
    const unhandled = (error: unknown) => thrown.push(error);
    const before = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection").on("unhandledRejection", unhandled);
    try {
      const chat = chatOf();
      chat.on("said", () => {
        throw new Error("mine");
      });
      const heard = hear(chat, (message) => message.type === "said");
      (await server.accept()).send(said("hello"));
      await heard;
      await vi.waitUntil(() => thrown.length > 0, { timeout: 20_000 });
      expect(String(thrown[0])).toBe("Error: mine");
    } finally {
      process.removeAllListeners("unhandledRejection");
      for (const listener of before) process.on("unhandledRejection", listener);
    }
  });

  test("send() says whether there was a connection", async () => {
    const chat = chatOf();
    expect(chat.send({ type: "say", text: "too early" })).toBe(false);
    const peer = await server.accept();
    await becomes(chat, "open");
    expect(chat.send({ type: "say", text: "hello" })).toBe(true);
    expect(await peer.receive()).toEqual({ type: "say", text: "hello" });
    peer.socket.terminate();
    await becomes(chat, "waiting");
    expect(chat.send({ type: "say", text: "lost" })).toBe(false);
    const next = await server.accept();
    await becomes(chat, "open");
    chat.send({ type: "say", text: "next" });
    expect(await next.receive()).toEqual({ type: "say", text: "next" });
  });
});

describe("calls", () => {
  const code = async (call: Promise<unknown>) => {
    const error = await call.then(
      () => expect.unreachable(),
      (error: unknown) => error,
    );
    expect(error).toBeInstanceOf(CallError);
    return (error as CallError).code;
  };

  test("two at once, answered in any order", async () => {
    const words = wordsOf();
    const first = words.call("count_words", { text: "a b" });
    const second = words.call("reverse", { text: "ab" });
    const peer = await server.accept();
    const [one, two] = [await peer.receive(), await peer.receive()];
    expect([one, two]).toEqual([
      { type: "count_words", text: "a b", id: 1 },
      { type: "reverse", text: "ab", id: 2 },
    ]);
    peer.send({ type: "reversed", text: "ba", id: two.id });
    peer.send({ type: "word_count", words: 2, id: one.id });
    expect(await first).toMatchObject({ words: 2 });
    expect(await second).toMatchObject({ text: "ba" });
  });

  test("only a reply settles a call", async () => {
    const words = wordsOf();
    const call = words.call("count_words", { text: "a" });
    const other = hear(words, (message) => message.type === "reversed");
    const peer = await server.accept();
    const { id } = await peer.receive();
    peer.send({ type: "reversed", text: "another message that has an id", id });
    await other;
    peer.send({ type: "word_count", words: 1, id });
    expect(await call).toMatchObject({ words: 1 });
  });

  test("the server's error", async () => {
    const words = wordsOf();
    const call = words.call("reverse", { text: "darn" });
    const peer = await server.accept();
    const { id } = await peer.receive();
    peer.send({ type: "error", code: "too_rude", message: "No.", id, path: "$.text" });
    const error: CallError = await call.then(
      () => expect.unreachable(),
      (error) => error,
    );
    expect(error).toMatchObject({ name: "CallError", code: "too_rude", message: "No.", answer: { path: "$.text" } });
  });

  test("a deadline, for one and for all", async () => {
    const words = wordsOf({ callTimeoutMs: 10 });
    await server.accept();
    expect(await code(words.call("reverse", { text: "" }))).toBe("timeout");
    expect(await code(wordsOf().call("reverse", { text: "" }, { timeoutMs: 10 }))).toBe("timeout");
  });

  test("no deadline", async () => {
    const words = wordsOf();
    const call = words.call("reverse", { text: "x" }, { timeoutMs: Infinity });
    const peer = await server.accept();
    const { id } = await peer.receive();
    await new Promise((resolve) => setTimeout(resolve, 5));
    peer.send({ type: "reversed", text: "x", id });
    expect(await call).toMatchObject({ text: "x" });
  });

  test("a signal", async () => {
    const words = wordsOf();
    const controller = new AbortController();
    const call = words.call("reverse", { text: "" }, { signal: controller.signal });
    const peer = await server.accept();
    const { id } = await peer.receive();
    controller.abort();
    expect(await code(call)).toBe("aborted");
    expect(await code(words.call("reverse", { text: "" }, { signal: controller.signal }))).toBe("aborted");
    // What comes too late is for nobody.
    const heard: unknown[] = [];
    words.on("*", (message) => heard.push(message));
    peer.send({ type: "reversed", text: "", id });
    const next = words.call("reverse", { text: "x" });
    peer.send({ type: "reversed", text: "x", id: (await peer.receive()).id });
    expect(await next).toMatchObject({ text: "x" });
    expect(heard).toEqual([]);
  });

  test("a server that never answers fills no memory", async () => {
    const words = wordsOf();
    const peer = await server.accept();
    await becomes(words, "open");
    const heard: unknown[] = [];
    words.on("*", (message) => heard.push(message.id));
    const calls = Array.from({ length: 300 }, () => words.call("reverse", { text: "" }, { timeoutMs: 1 }));
    expect(new Set(await Promise.all(calls.map(code)))).toEqual(new Set(["timeout"]));
    const ids: number[] = [];
    for (const _ of calls) ids.push((await peer.receive()).id);
    for (const id of ids) peer.send({ type: "reversed", text: "", id });
    const next = words.call("reverse", { text: "x" });
    peer.send({ type: "reversed", text: "x", id: (await peer.receive()).id });
    expect(await next).toMatchObject({ text: "x" });
    // Only the oldest are forgotten, and then nobody's.
    expect(heard).toEqual(ids.slice(0, 300 - 99));
  });

  test("a call that timed out before there was a connection is not sent", async () => {
    server.refuse = 503;
    const words = wordsOf();
    expect(await code(words.call("reverse", { text: "late" }, { timeoutMs: 10 }))).toBe("timeout");
    server.refuse = null;
    const peer = await server.accept();
    await becomes(words, "open");
    words.send({ type: "reverse", text: "next" });
    expect(await peer.receive()).toEqual({ type: "reverse", text: "next" });
  });

  test("a call that was sent fails with its connection, one that was not waits", async () => {
    const words = wordsOf();
    const sent = words.call("reverse", { text: "sent" });
    const peer = await server.accept();
    await peer.receive();
    server.refuse = 503;
    peer.socket.terminate();
    expect(await code(sent)).toBe("disconnected");
    const waiting = words.call("reverse", { text: "waiting" });
    server.refuse = null;
    const next = await server.accept();
    const received = await next.receive();
    expect(received.text).toBe("waiting");
    next.send({ type: "reversed", text: "gnitiaw", id: received.id });
    expect(await waiting).toMatchObject({ text: "gnitiaw" });
  });

  test("a closed client fails all", async () => {
    const words = wordsOf();
    const before = words.call("reverse", { text: "" });
    words.close();
    expect(await code(before)).toBe("disconnected");
    expect(await code(words.call("reverse", { text: "" }))).toBe("disconnected");
  });
});

describe("a page", () => {
  const events = new EventTarget();
  const page = globalThis as any;

  beforeEach(() => {
    page.addEventListener = events.addEventListener.bind(events);
    page.document = { hidden: false };
  });

  afterEach(() => {
    delete page.addEventListener;
    delete page.document;
  });

  test("offline ends the connection, online starts the next at once", async () => {
    const chat = chatOf({ firstDelayMs: 1e7, maxDelayMs: 1e7 });
    await server.accept();
    await becomes(chat, "open");
    events.dispatchEvent(new Event("offline"));
    expect(chat.status).toBe("waiting");
    expect(chat.lastClose).toEqual({ code: 1006, reason: "offline" });
    events.dispatchEvent(new Event("online"));
    await server.accept();
    await becomes(chat, "open");
  });

  test("a page that is shown again does not wait", async () => {
    const chat = chatOf({ firstDelayMs: 1e7, maxDelayMs: 1e7 });
    (await server.accept()).socket.close(1012);
    await becomes(chat, "waiting");
    page.document.hidden = true;
    events.dispatchEvent(new Event("visibilitychange"));
    expect(chat.status).toBe("waiting");
    page.document.hidden = false;
    events.dispatchEvent(new Event("visibilitychange"));
    await server.accept();
    await becomes(chat, "open");
    chat.close();
    events.dispatchEvent(new Event("online"));
    expect(chat.status).toBe("closed");
  });
});
