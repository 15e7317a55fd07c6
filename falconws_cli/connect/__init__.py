"""`falconws connect`: a conversation with a WebSocket server, by hand or by script.

messages      pure: messages as a user types and reads them
expectations  pure: what a script waits for
handshake     opens the connection; every way in which that fails is one line
ending        pure: what the end of a connection means
lines         the lines of standard input as they come
script        the conversation that options and standard input hold
terminal      the conversation that a person holds
run           puts the parts together
"""
