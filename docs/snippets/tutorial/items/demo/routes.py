"""All routes of the application."""

import falconws

from demo.catalogue import Catalogue
from demo.resources.echo import EchoResource
from demo.resources.health import HealthResource
from demo.resources.items import ItemsResource
from demo.settings import Settings


def add_routes(app: falconws.App, settings: Settings) -> None:
    """Add all routes to *app*.

    What resources need, such as a repository or a clock, is created here from *settings*, and
    passed to their constructors.
    """
    app.add_route("/healthz", HealthResource())
    app.add_route("/echo", EchoResource())
    # start: items
    catalogue = Catalogue(settings.database)
    app.add_route("/items", ItemsResource(catalogue))
    # end: items
