import { form, input, show } from "./page";

// start: connect
import { connectChat } from "./falconws";

export const chat = connectChat({
  params: { room: "lobby" },
  query: { name: "ada" },
  since: sessionStorage.getItem("position"),
});

chat.on("said", (message) => {
  show(`${message.name}: ${message.text}`);
  sessionStorage.setItem("position", chat.position!);
});
chat.on("gap", () => show("Some messages are missing."));
chat.on("error", (error) => show(error.message));
chat.onStatus((status) => show(status));
// end: connect

// start: send
form.onsubmit = (event) => {
  event.preventDefault();
  if (chat.send({ type: "say", text: input.value })) input.value = "";
};
// end: send
