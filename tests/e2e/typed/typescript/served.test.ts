/** The client against `falconws serve`: cut lines, restarts, gaps, tokens that expire. */

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";

import { CallError, connectChat, connectGuarded, connectPriceFeed, connectWords, type Status } from "./client/index";
import { becomes, hear, Line, Served } from "./server";

const served = new Served();
let line: Line;
let room = 0;
let clients: { close(): void }[] = [];

beforeAll(() => served.start());
afterAll(() => served.stop());

beforeEach(async () => {
  room++;
  line = new Line(() => served.port);
  await line.listen();
});

afterEach(() => {
  for (const client of clients) client.close();
  clients = [];
  line.close();
});

function enter(name: string, url = served.url, since: string | null = null) {
  const chat = connectChat({ url, params: { room }, query: { name }, since, WebSocket, firstDelayMs: 20 });
  clients.push(chat);
  return chat;
}

const says = (text: string) => (message: any) => message.type === "said" && message.text === text;
const isSaid = (message: any) => message.type === "said";
const welcomed = (chat: ReturnType<typeof enter>) => hear(chat, (message) => message.type === "welcome");

test("calls", async () => {
  const words = connectWords({ url: served.url, WebSocket });
  clients.push(words);
  const counts = await Promise.all(["", "a", "a b"].map((text) => words.call("count_words", { text })));
  expect(counts.map((count) => count.words)).toEqual([0, 1, 2]);
  await expect(words.call("reverse", { text: "darn" })).rejects.toMatchObject({ code: "too_rude" });
  const invalid = words.call("count_words", { text: "x".repeat(21) });
  await expect(invalid).rejects.toMatchObject({ code: "invalid_message", answer: { path: "$.text" } });
  expect(words.status).toBe("open");
});

test("a feed, by its subprotocol", async () => {
  const feed = connectPriceFeed({ url: served.url, WebSocket });
  clients.push(feed);
  for await (const message of feed) {
    expect(message).toEqual({ type: "price", symbol: "ACME", bid: 1.5, ask: 1.75 });
    break;
  }
});

test("what is said while the line is cut is heard once", async () => {
  const [ada, bob] = [enter("ada"), enter("bob", line.url)];
  const heard: string[] = [];
  const statuses: Status[] = [];
  bob.on("said", (message) => heard.push(message.text));
  bob.onStatus((status) => statuses.push(status));
  await Promise.all([welcomed(ada), welcomed(bob)]);
  const before = hear(bob, says("before"));
  ada.send({ type: "say", text: "before" });
  await before;
  line.cut();
  await becomes(bob, "waiting");
  const heardByAda = hear(ada, isSaid, 2);
  ada.send({ type: "say", text: "meanwhile" });
  ada.send({ type: "say", text: "still" });
  await heardByAda;
  const after = hear(bob, says("after"));
  const back = welcomed(bob);
  line.mend();
  await back;
  ada.send({ type: "say", text: "after" });
  await after;
  expect(heard).toEqual(["before", "meanwhile", "still", "after"]);
  expect(statuses.slice(0, 3)).toEqual(["open", "waiting", "connecting"]);
});

test("a reload resumes from a position that was kept", async () => {
  const ada = enter("ada");
  await welcomed(ada);
  const two = hear(ada, isSaid, 2);
  ada.send({ type: "say", text: "one" });
  ada.send({ type: "say", text: "two" });
  const [one] = await two;
  const [missed] = await hear(enter("bob", served.url, one.position), isSaid);
  expect(missed.text).toBe("two");
});

test("a restart is survived, and the gap is told", async () => {
  const chat = enter("ada");
  await welcomed(chat);
  const said = hear(chat, isSaid);
  chat.send({ type: "say", text: "before" });
  await said;
  const gap = hear(chat, (message) => message.type === "gap");
  await served.stop();
  await becomes(chat, "waiting");
  expect(chat.send({ type: "say", text: "lost" })).toBe(false);
  await served.start();
  const [{ position }] = await gap;
  expect(chat.position).toBe(position);
  const again = hear(chat, isSaid);
  await becomes(chat, "open");
  chat.send({ type: "say", text: "after" });
  expect((await again)[0].text).toBe("after");
});

test("a room that is closed stays closed", async () => {
  const chat = enter("ada");
  await welcomed(chat);
  chat.send({ type: "say", text: "close" });
  await becomes(chat, "closed");
  expect(chat.lastClose).toEqual({ code: 4001, reason: "The room was closed" });
});

test("a wrong query is refused, and the application decides", async () => {
  const chat = connectChat({
    url: served.url,
    params: { room },
    query: { name: "x".repeat(41) },
    WebSocket,
    reconnect: (_, opened) => opened,
  });
  await becomes(chat, "closed");
  expect(chat.lastClose?.code).toBe(1006);
});

test("a token that has expired is replaced before the next attempt", async () => {
  const issued = [0];
  const guarded = connectGuarded({
    url: served.url,
    WebSocket,
    firstDelayMs: 20,
    query: (attempt) => {
      if (attempt > 0) issued.push(issued.length);
      return { token: issued.at(-1)! };
    },
    // 3401 is final otherwise: the same token would be refused again.
    reconnect: (close) => close.code === 3401 || undefined,
  });
  clients.push(guarded);
  // The handshake with the token 0 is refused with 401.
  await guarded.call("ping");
  expect(issued).toEqual([0, 1]);
  // The token 1 expires during the conversation.
  await guarded.call("expire");
  await expect(guarded.call("ping")).rejects.toMatchObject({ code: "disconnected" });
  expect(guarded.lastClose?.code).toBe(3401);
  await guarded.call("ping");
  expect(issued).toEqual([0, 1, 2]);
});

test("a call without a reply ends at its deadline", async () => {
  const guarded = connectGuarded({ url: served.url, WebSocket, query: { token: 1000 } });
  clients.push(guarded);
  const call = guarded.call("sleep", {}, { timeoutMs: 50 });
  await expect(call).rejects.toSatisfy((error) => error instanceof CallError && error.code === "timeout");
});
