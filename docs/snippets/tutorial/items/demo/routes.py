"""All routes of the application."""

import falconws

from demo.catalogue import Catalogue
from demo.resources.echo import EchoResource
from demo.resources.health import HealthResource
from demo.resources.items import ItemsResource


def add_routes(app: falconws.App) -> None:
    """Add all routes to *app*.

    What resources need, such as a repository or a clock, is created here and passed to their
    constructors.
    """
    app.add_route("/healthz", HealthResource())
    app.add_route("/echo", EchoResource())
    # start: items
    catalogue = Catalogue.from_env()
    app.add_route("/items", ItemsResource(catalogue))
    # end: items
