// start: iterate
import type { ChatClient } from "./falconws";

export async function follow(chat: ChatClient, show: (line: string) => void): Promise<void> {
  for await (const message of chat) {
    switch (message.type) {
      case "said":
        show(`${message.name}: ${message.text}`);
        break;
      case "joined":
      case "left":
        show(`${message.member} has ${message.type}`);
        break;
    }
  }
}
// end: iterate
