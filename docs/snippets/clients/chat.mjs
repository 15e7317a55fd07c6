// Says hello in a room, and prints what it receives until it hears itself.
const ws = new WebSocket(process.argv[2]);
ws.onopen = () => ws.send(JSON.stringify({ type: "say", text: "hello from JavaScript" }));
ws.onmessage = ({ data }) => {
  console.log(data);
  const message = JSON.parse(data);
  if (message.type === "said" && message.text === "hello from JavaScript") ws.close(1000);
};
ws.onclose = ({ code }) => console.log(`closed with ${code}`);
