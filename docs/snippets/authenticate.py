"""Authentication: a token in the handshake, a ticket for browsers, a token as the first message."""

import asyncio
import hmac
import secrets
import time

import falcon
import falconws
from falcon.asgi import Response


# start: users
class Users:
    """The owners of tokens. Replace this with your database, or with the verification of a JWT."""

    def __init__(self, tokens: dict[str, str]) -> None:
        self._tokens = tokens

    def owner_of(self, token: str) -> str | None:
        """Return the user that *token* belongs to. Compare in constant time."""
        found = None
        for known, user in self._tokens.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                found = user
        return found
        # end: users


# start: tickets
class Tickets:
    """Tickets that are valid once, for 30 seconds, in this process."""

    def __init__(self, lifetime_s: float = 30.0) -> None:
        self._lifetime_s = lifetime_s
        self._tickets: dict[str, tuple[str, float]] = {}

    def issue(self, user: str) -> str:
        now = time.monotonic()
        self._tickets = {ticket: entry for ticket, entry in self._tickets.items() if entry[1] > now}
        ticket = secrets.token_urlsafe()
        self._tickets[ticket] = (user, now + self._lifetime_s)
        return ticket

    def redeem(self, ticket: str) -> str | None:
        user, expires = self._tickets.pop(ticket, ("", 0.0))
        return user if time.monotonic() < expires else None


class TicketResource:
    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    async def on_post(self, req: falconws.Request, resp: Response) -> None:
        resp.media = {"ticket": self._tickets.issue(req.context.user)}
        # end: tickets


# start: middleware
class Authentication:
    """Sets `req.context.user`, and refuses requests and handshakes without valid credentials."""

    def __init__(self, users: Users, tickets: Tickets) -> None:
        self._users = users
        self._tickets = tickets

    async def process_request(self, req: falconws.Request, resp: Response) -> None:
        self._admit(req, self._users.owner_of(_bearer_token(req)))

    async def process_request_ws(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        ticket = req.get_param("ticket")
        if ticket is not None:
            self._admit(req, self._tickets.redeem(ticket))
        else:
            self._admit(req, self._users.owner_of(_bearer_token(req)))

    def _admit(self, req: falconws.Request, user: str | None) -> None:
        if user is None:
            raise falcon.HTTPUnauthorized(description="A valid token is needed.", challenges=["Bearer"])
        req.context.user = user


def _bearer_token(req: falconws.Request) -> str:
    scheme, _, token = (req.auth or "").partition(" ")
    return token if scheme.lower() == "bearer" else ""
    # end: middleware


# start: responder
class ChatResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(f"{req.context.user}: {text}")
            # end: responder


# start: message
class FirstMessageResource:
    def __init__(self, users: Users, timeout_s: float = 5.0) -> None:
        self._users = users
        self._timeout_s = timeout_s

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        try:
            user = self._users.owner_of(await ws.receive_text(timeout=self._timeout_s))
        except TimeoutError:
            user = None
        if user is None:
            await ws.close(4401, "Authentication failed")
            return
        await ws.send_text(f"Hello {user}")
        # end: message


# start: expiry
class SessionResource:
    def __init__(self, session_s: float = 3600.0) -> None:
        self._session_s = session_s

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async with ws.task_scope() as scope:
            scope.create_task(self._echo(ws))
            scope.create_task(self._expire(ws))

    async def _echo(self, ws: falconws.WebSocket) -> None:
        async for text in ws.iter_text():
            await ws.send_text(text)

    async def _expire(self, ws: falconws.WebSocket) -> None:
        await asyncio.sleep(self._session_s)
        await ws.close(4001, "The session has expired")
        # end: expiry


users = Users({"secret": "ada"})
tickets = Tickets()
app = falconws.App(middleware=[Authentication(users, tickets)])
app.ws_options.allowed_origins = "same-origin"
app.add_route("/tickets", TicketResource(tickets))
app.add_route("/chat", ChatResource())
app.add_route("/session", SessionResource(session_s=0.05))

open_app = falconws.App()
open_app.ws_options.allowed_origins = "same-origin"
open_app.add_route("/hello", FirstMessageResource(users))
