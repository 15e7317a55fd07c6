"""Metrics of the hub and of the process, in the format of Prometheus."""

import resource
from dataclasses import asdict

import falconws
from falcon.asgi import Response

hub = falconws.Hub()


# start: metrics
class MetricsResource:
    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub

    async def on_get(self, req: falconws.Request, resp: Response) -> None:
        health = await self._hub.health()
        values = {f"falconws_hub_{name}": value for name, value in asdict(self._hub.stats).items()}
        values["falconws_hub_up"] = int(health.ok)
        values["process_cpu_seconds_total"] = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        resp.content_type = "text/plain; version=0.0.4"
        resp.text = "".join(f"{name} {value}\n" for name, value in values.items())
        # end: metrics


app = falconws.App(middleware=[hub])
app.ws_options.allowed_origins = "same-origin"
app.add_route("/metrics", MetricsResource(hub))
