"""Says hello in a room, and prints what it receives until it hears itself."""

import json
import sys

from websockets.sync.client import connect

with connect(sys.argv[1]) as ws:
    ws.send(json.dumps({"type": "say", "text": "hello from Python"}))
    for text in ws:
        print(text)
        message = json.loads(text)
        if message["type"] == "said" and message["text"] == "hello from Python":
            break
