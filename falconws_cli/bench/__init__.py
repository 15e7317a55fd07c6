"""`falconws bench`: a load test of the user's own app, its generator in a process of its own.

target     pure: which server, and whether it is this machine
frames     pure: frames to send, and how many messages came back
handshake  pure: the request, and what the server made of it
latency    pure: a histogram of latencies
settings   pure: what the generator is told, and what it reports
client     one connection under load
generator  the process that holds the connections; knows no terminal
processes  who listens on a port, and the CPU time it has used
serving    serves the project's app for the time of the test
view       what the user sees
run        puts the parts together
"""
