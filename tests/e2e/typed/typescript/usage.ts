/** What the type checker takes, and what it refuses. */

import WS from "ws";

import {
  CallError,
  connectChat,
  connectGuarded,
  connectMixed,
  connectPriceFeed,
  connectWords,
  type ChatClient,
  type ErrorMessage,
  type Said,
  type Status,
} from "./client/index";

declare function exhausted(nothing: never): never;

export async function usage(signal: AbortSignal): Promise<void> {
  const chat: ChatClient = connectChat({
    params: { room: 1 },
    query: async (attempt: number) => ({ name: `ada${attempt}` }),
    protocols: () => ["token"],
    since: sessionStorage.getItem("position"),
    reconnect: ({ code }, opened) => opened && code !== 4403,
  });
  const stop: () => void = chat.on("said", (message: Said) => message.text);
  stop();
  chat.on("error", (error: ErrorMessage) => error.code === "invalid_message" && error.path);
  chat.on("*", (message) => message["anything"]);
  chat.onStatus((status: Status) => status);
  const sent: boolean = chat.send({ type: "say", text: "hello" });
  chat.send({ type: "typing" });
  for await (const message of chat) {
    switch (message.type) {
      case "said":
        message.text satisfies string;
        break;
      case "welcome":
        message.present satisfies string[];
        break;
      case "joined":
      case "left":
        message.member satisfies string;
        break;
      case "gap":
        message.position satisfies string;
        break;
      case "error":
        message.code satisfies string;
        break;
      default:
        exhausted(message);
    }
  }

  const words = connectWords({ WebSocket: WS });
  const { words: count } = await words.call("count_words", { text: "two words" }, { timeoutMs: 5000, signal });
  count satisfies number;
  const { text } = await words.call("reverse", { text: "abc" });
  text satisfies string;
  try {
    await connectGuarded({ query: { token: 1 } }).call("ping");
  } catch (error) {
    if (error instanceof CallError && error.code === "timeout") error.answer?.path;
  }
  connectMixed().send({ type: "rename", name: "a", tags: [1, 2] });

  // @ts-expect-error the room is missing
  connectChat({ query: { name: "ada" } });
  // @ts-expect-error the name is missing
  connectChat({ params: { room: "lobby" }, query: {} });
  // @ts-expect-error the query is missing
  connectChat({ params: { room: "lobby" } });
  // @ts-expect-error no such message of the client
  chat.send({ type: "said", text: "hello" });
  // @ts-expect-error a member is missing
  chat.send({ type: "say" });
  // @ts-expect-error a member of another type
  chat.send({ type: "say", text: 1 });
  // @ts-expect-error no such message of the server
  chat.on("say", () => {});
  // @ts-expect-error no such member
  chat.on("said", (message) => message.member);
  // @ts-expect-error no such call
  words.call("say", { text: "" });
  // @ts-expect-error a member is missing
  words.call("count_words", {});
  // @ts-expect-error a member is missing
  words.call("count_words");
  // @ts-expect-error the reply to another call
  (await words.call("reverse", { text: "" })).words;
  // @ts-expect-error this room has no calls
  chat.call("count_words", { text: "" });
  // @ts-expect-error the client only listens
  connectPriceFeed().send({ type: "price" });
  sent satisfies boolean;
}
