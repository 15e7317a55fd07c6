"""Pydantic models as messages."""

from typing import Literal

import falconws
from falconws.typed import CallMixin, Conversation, speaks
from pydantic import BaseModel, Field, model_validator


# start: messages
class Booked(BaseModel):
    """The room is yours."""

    type: Literal["booked"] = "booked"
    id: int | str | None = None
    room: str


class Book(BaseModel, CallMixin[Booked]):
    """Book a meeting room."""

    type: Literal["book"] = "book"
    id: int | str | None = None
    room: str = Field(min_length=1, examples=["Turing"])
    first_hour: int = Field(ge=0, le=23, examples=[9])
    last_hour: int = Field(ge=0, le=23, examples=[10])

    @model_validator(mode="after")
    def check_hours(self) -> "Book":
        if self.last_hour < self.first_hour:
            raise ValueError("the last hour is before the first one")
        return self


class Booking(Conversation[Book, Booked]):
    """Books meeting rooms."""

    # end: messages


# start: responder
class BookingResource:
    @speaks(Booking)
    async def on_websocket(self, req: falconws.Request, booking: Booking) -> None:
        await booking.accept()
        async for message in booking:
            await booking.reply(message, Booked(room=message.room))
            # end: responder


app = falconws.App()
app.add_route("/booking", BookingResource())
