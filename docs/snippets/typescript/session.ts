// start: session
import { connectChat } from "./falconws";

export const chat = connectChat({
  params: { room: "lobby" },
  // Called before each attempt; asks for a new name, or token, each time.
  query: async () => {
    const response = await fetch("/session");
    return { name: await response.text() };
  },
  // Returns nothing where the close code decides.
  reconnect: async (close, opened) => {
    if (close.code === 3401) return true;
    if (opened) return;
    // The handshake has failed. Only an HTTP request tells whether it is worth another attempt.
    const response = await fetch("/session");
    if (response.status === 401) return false;
  },
});
// end: session
