// start: call
import { CallError, connectWords } from "./falconws";

export const words = connectWords();

export async function count(text: string, signal?: AbortSignal): Promise<number | string> {
  try {
    const reply = await words.call("count_words", { text }, { timeoutMs: 5000, signal });
    return reply.words;
  } catch (error) {
    if (error instanceof CallError) return error.code;
    throw error;
  }
}
// end: call
