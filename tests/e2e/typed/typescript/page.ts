/** A chat on the generated client, for a browser. */

import { connectChat } from "./client";

const name = new URLSearchParams(location.search).get("name")!;
const chat = connectChat({ params: { room: "den" }, query: { name }, since: sessionStorage.getItem("position") });
const form = document.querySelector("form")!;
const input = document.querySelector("input")!;

function show(text: string): void {
  const item = document.createElement("li");
  item.textContent = text;
  document.querySelector("ol")!.append(item);
}

chat.on("said", (message) => {
  show(`${message.name}: ${message.text}`);
  sessionStorage.setItem("position", chat.position!);
});
chat.on("gap", () => show("(messages are missing)"));
chat.onStatus((status) => (document.querySelector("output")!.value = status));

form.onsubmit = (event) => {
  event.preventDefault();
  if (chat.send({ type: "say", text: input.value })) input.value = "";
};
