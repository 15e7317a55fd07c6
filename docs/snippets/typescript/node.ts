// start: node
import { WebSocket } from "ws";

import { connectWords } from "./falconws";

export async function count(url: string, text: string): Promise<number> {
  const words = connectWords({ url, WebSocket });
  try {
    return (await words.call("count_words", { text })).words;
  } finally {
    words.close();
  }
}
// end: node
