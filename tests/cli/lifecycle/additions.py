"""One command for each kind of thing that falconws adds to a project."""

ADDITIONS = {
    ("resource", "chat room"): ("add-resource", "chat room", "--pattern", "duplex"),
    ("resource", "ticker"): ("add-resource", "ticker", "--route", "/t/{number:int}", "--no-http"),
    ("resource", "words"): ("add-resource", "words", "--pattern", "request-response", "--typed"),
    ("resource", "lobby"): ("add-resource", "lobby", "--pattern", "room", "--typed"),
    ("middleware", "auth"): ("add-middleware", "auth", "--kind", "token-auth"),
    ("middleware", "log"): ("add-middleware", "log", "--kind", "logging"),
    ("media-handler", "orders"): ("add-media-handler", "orders", "--payload", "binary", "--codec", "msgpack"),
    ("media-handler", "fast"): ("add-media-handler", "fast", "--payload", "text", "--codec", "orjson"),
}
THINGS = list(ADDITIONS)
