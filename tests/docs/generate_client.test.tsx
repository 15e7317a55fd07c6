// @vitest-environment happy-dom
/** The snippets of the page on generated clients, run against the app of the page on typed messages. */

import { createElement, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { WebSocket } from "ws";

const url = process.env.SERVER_URL!;
const until = (done: () => boolean) => vi.waitUntil(done, { timeout: 20_000 });

beforeAll(() => {
  globalThis.WebSocket = WebSocket as any;
  (window as any).happyDOM.setURL(url);
});

afterEach(() => {
  vi.unstubAllGlobals();
});

test("a page talks, keeps its position and follows", async () => {
  const page = await import("./page");
  const { chat } = await import("./chat");
  const { follow } = await import("./follow");
  const followed: string[] = [];
  const followedToTheEnd = follow(chat, (line) => followed.push(line));
  await until(() => page.lines.includes("open"));
  page.input.value = "hello";
  page.form.dispatchEvent(new Event("submit"));
  expect(page.input.value).toBe("");
  await until(() => page.lines.includes("ada: hello"));
  expect(sessionStorage.getItem("position")).toBe(chat.position);
  chat.send({ type: "say", text: "" });
  await until(() => page.lines.some((line) => line.includes("length")));
  chat.close();
  expect(page.lines.at(-1)).toBe("closed");
  await followedToTheEnd;
  expect(followed).toContain("ada: hello");
  page.form.dispatchEvent(new Event("submit"));
});

test("calls", async () => {
  const { count, words } = await import("./words");
  expect(await count("two words")).toBe(2);
  expect(await count("x".repeat(1001))).toBe("too_long");
  expect(await count("", AbortSignal.abort())).toBe("aborted");
  words.close();
});

test("a session that has expired ends the attempts", async () => {
  const asked = vi.fn(async () => new Response("bob", { status: asked.mock.calls.length > 3 ? 401 : 200 }));
  vi.stubGlobal("fetch", asked);
  const { chat } = await import("./session");
  await until(() => chat.status === "open");
  expect(asked).toHaveBeenCalledTimes(1);
  chat.close();
  // From here on, no server answers.
  (window as any).happyDOM.setURL("http://127.0.0.1:1");
  chat.open();
  await until(() => chat.status === "closed");
  expect(asked.mock.calls.length).toBeGreaterThan(3);
  (window as any).happyDOM.setURL(url);
});

test("in Node.js", async () => {
  const { count } = await import("./node");
  expect(await count(url, "a b c")).toBe(3);
});

test("in React", async () => {
  const { Room } = await import("./room");
  const element = document.createElement("div");
  const root = createRoot(element);
  root.render(createElement(StrictMode, null, createElement(Room, { room: "react", name: "eve" })));
  await until(() => element.querySelector("output")?.textContent === "open");
  element.querySelector("button")!.click();
  await until(() => element.querySelector("li")?.textContent === "eve: hello");
  root.unmount();
});
