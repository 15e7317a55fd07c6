// start: room
import { useState } from "react";

import { useChat, useMessage, useStatus } from "./falconws/react";

export function Room({ room, name }: { room: string; name: string }) {
  const chat = useChat({ params: { room }, query: { name } });
  const status = useStatus(chat);
  const [lines, setLines] = useState([] as string[]);
  useMessage(chat, "said", ({ name, text }) => setLines((lines) => [...lines, `${name}: ${text}`]));
  return (
    <section>
      <output>{status}</output>
      <ul>
        {lines.map((line, index) => (
          <li key={index}>{line}</li>
        ))}
      </ul>
      <button onClick={() => chat.send({ type: "say", text: "hello" })}>Say hello</button>
    </section>
  );
}
// end: room
