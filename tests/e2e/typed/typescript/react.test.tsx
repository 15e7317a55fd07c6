// @vitest-environment happy-dom
/** The hooks, in a component under StrictMode. */

import { StrictMode, useState } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { WebSocket } from "ws";

import { type ChatClient } from "./client/index";
import { useChat, useMessage, useStatus } from "./client/react";
import { Scripted, type Peer } from "./server";

let server: Scripted;
let root: Root;
let element: HTMLElement;

beforeEach(async () => {
  server = new Scripted();
  await server.listen();
  element = document.createElement("div");
  root = createRoot(element);
});

afterEach(() => {
  root.unmount();
  server.close();
});

let renders = 0;

function Messages({ chat }: { chat: ChatClient }) {
  const [texts, setTexts] = useState<string[]>([]);
  useMessage(chat, "said", (message) => setTexts((before) => [...before, message.text]));
  return <p>{texts.join(" ")}</p>;
}

function Room({ room, name = "ada" }: { room: string; name?: string }) {
  renders++;
  const chat = useChat({ url: server.url, params: { room }, query: () => ({ name }), WebSocket, firstDelayMs: 1 });
  const status = useStatus(chat);
  return (
    <>
      <b>{status}</b>
      <Messages chat={chat} />
    </>
  );
}

function show(room: string, name?: string): void {
  root.render(
    <StrictMode>
      <Room room={room} name={name} />
    </StrictMode>,
  );
}

const until = (done: () => boolean) => vi.waitUntil(done, { timeout: 10_000, interval: 1 });

const status = () => element.querySelector("b")?.textContent;
const texts = () => element.querySelector("p")?.textContent;

test("it connects once, and no message is lost", async () => {
  show("a");
  const peer: Peer = await server.accept();
  // Before React has rendered anything again.
  for (let i = 0; i < 100; i++) peer.send({ type: "said", name: "bob", text: `${i}` });
  await until(() => texts()?.endsWith(" 99") ?? false);
  expect(texts()).toBe(Array.from({ length: 100 }, (_, i) => i).join(" "));
  expect(status()).toBe("open");
  expect(server.attempts).toBe(1);
});

test("rendering again keeps the connection, another room does not", async () => {
  show("a");
  await until(() => status() === "open");
  renders = 0;
  show("a", "bob");
  await until(() => renders > 0);
  expect(server.urls).toEqual(["/rooms/a/chat?name=ada"]);
  const first = await server.accept();
  const closed = new Promise((resolve) => first.socket.on("close", resolve));
  show("b", "bob");
  await closed;
  await until(() => status() === "open");
  expect(server.urls).toEqual(["/rooms/a/chat?name=ada", "/rooms/b/chat?name=bob"]);
  // What is new is used for the next attempt.
  renders = 0;
  show("b", "eve");
  await until(() => renders > 0);
  (await server.accept()).socket.close(1012);
  await until(() => server.attempts === 3);
  expect(server.urls[2]).toBe("/rooms/b/chat?name=eve");
});

test("a component that is gone has closed its connection", async () => {
  show("a");
  const peer = await server.accept();
  await until(() => status() === "open");
  const closed = new Promise<number>((resolve) => peer.socket.on("close", resolve));
  root.render(<StrictMode />);
  expect(await closed).toBe(1000);
  expect(server.attempts).toBe(1);
});

test("the status is that of the client", async () => {
  server.refuse = 503;
  show("a");
  await until(() => status() === "connecting");
  await until(() => status() === "waiting");
  server.refuse = null;
  await until(() => status() === "open");
});
