/** What the TypeScript and the Python client have to do alike; test_scenarios.py plays the same file in Python. */

import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { WebSocket } from "ws";

import { CallError, connectChat, connectWords, type Close, type Status } from "./client/index";
import { Scripted } from "./server";

type Expected = { [name: string]: any };

const scenarios: Expected[] = JSON.parse(readFileSync(new URL("scenarios.json", import.meta.url), "utf8"));

test.each(scenarios)("$name", async ({ client: kind, steps, verdicts = [], ...expected }) => {
  const server = new Scripted();
  await server.listen();
  const found = { statuses: [] as Status[], ends: [] as unknown[], heard: [] as unknown[], calls: [] as string[] };
  const options = {
    url: server.url,
    WebSocket,
    firstDelayMs: 1,
    maxDelayMs: 5,
    reconnect: ({ code, reason }: Close, opened: boolean) => {
      found.ends.push([code, opened ? reason : null, opened]);
      return verdicts.shift() ?? undefined;
    },
  };
  const words = kind === "words" ? connectWords(options) : null;
  const client = words ?? connectChat({ ...options, params: { room: "lobby" }, query: { name: "ada" } });
  client.onStatus((status) => found.statuses.push(status));
  client.on("*", (message) => {
    if (message.type !== "unheard_of") found.heard.push(message["text"] ?? null);
  });
  const until = (done: () => boolean) => vi.waitUntil(done, { timeout: 30_000, interval: 2 });
  let peer: any;
  let id: unknown;
  let giveUp = new AbortController();
  for (const [step, argument, more] of steps) {
    if (step === "accept") peer = await server.accept();
    if (step === "close") peer.socket.close(argument, more);
    if (step === "cut") peer.socket.terminate();
    if (step === "refuse") server.refuse = argument;
    if (step === "send") {
      const text = typeof argument === "string" ? argument : JSON.stringify(argument);
      peer.socket.send(text.replace('"$id"', `${id}`));
    }
    if (step === "receive") id = (await peer.receive()).id;
    if (step === "heard") await until(() => found.heard.length >= argument);
    if (step === "asked") await until(() => found.ends.length >= argument);
    if (step === "closed") await until(() => client.status === "closed");
    if (step === "give up") giveUp.abort();
    if (step === "call") {
      giveUp = new AbortController();
      words!.call("reverse", { text: argument }, { signal: giveUp.signal }).then(
        (reply) => found.calls.push(reply.type),
        (error: CallError) => {
          const path = error.answer?.path ? ` ${error.answer.path}` : "";
          found.calls.push(error.code === "aborted" ? "given up" : error.code + path);
        },
      );
    }
  }
  const { lastCode, position, queries, ...lists } = expected;
  for (const [name, list] of Object.entries(lists).filter(([name]) => name !== "name")) {
    await until(() => (found as Expected)[name].length >= list.length);
    expect((found as Expected)[name], name).toEqual(list);
  }
  if (lastCode !== undefined) await until(() => (client.lastClose?.code ?? null) === lastCode);
  if (position !== undefined) expect(client.position).toBe(position);
  if (queries !== undefined) expect(server.urls.map((url) => url.split("?")[1])).toEqual(queries);
  client.close();
  server.close();
});
