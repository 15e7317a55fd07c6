"""A program without an event loop that publishes to the rooms of a service."""

import os

import falconws

# start: publisher
publisher = falconws.Publisher(os.environ["HUB_URL"])  # such as redis://localhost:6379/0


def order_was_paid(order_id: int) -> None:
    publisher.publish("orders", {"paid": order_id})
    # end: publisher


# start: script
def announce(texts: list[str]) -> None:
    with falconws.Publisher(os.environ["HUB_URL"]) as publisher:
        publisher.publish_many("news", texts)
        # end: script
