"""The client library's HTTP sessions, made to fail plainly: no retries, no key in a request.

The client retries by itself, and sends the API key with every request if it gets no access token.
Here every request is sent once; without an access token it fails; and one that is refused because
its token has expired or was revoked, which had no effect, is sent once more with a new token. What
is private to the client (`client_parameters.CloudAuth`, `_api_clients`, `_session`, `CloudAuth.tm`)
is pinned by a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qiskit_ibm_runtime.api import client_parameters
from qiskit_ibm_runtime.api.auth import CloudAuth
from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService

CONNECT_SECONDS, READ_SECONDS = 10.0, 120.0
_UNAUTHORIZED = 401
_RENEWED = "X-Token-Renewed"


class TokenAuth(CloudAuth):  # type: ignore[misc]
    """Authorization by an access token, and by nothing else; arguments are the client's."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the token, and renew it if it is refused."""
        request.headers.update(self.get_headers())
        request.register_hook("response", self._again)  # type: ignore[no-untyped-call]
        return request

    def __deepcopy__(self, _memo: object = None) -> TokenAuth:
        """Another of the same class: the client's own copy would be of its own class."""
        return TokenAuth(self.api_key, self.crn, self.private, self.proxies, self.verify)

    def get_headers(self) -> dict[str, str]:
        """The headers of a request.

        Raises:
            RequestException: there is no access token.
        """
        try:
            token = self.tm.get_token()
        except Exception as exc:
            self.tm.request_time = 0  # else the next request waits for a minute
            raise RequestException("no access token was given") from exc
        return {"Service-CRN": self.crn, "Authorization": f"Bearer {token}"}

    def _again(self, response: Response, **options: Any) -> Response:
        request = response.request
        if response.status_code != _UNAUTHORIZED or _RENEWED in request.headers:
            return response
        response.content  # noqa: B018 - reads it, so that the connection is free
        response.close()
        self.tm.expire_time = 0
        renewed = request.copy()
        renewed.headers.update({**self.get_headers(), _RENEWED: "1"})
        found: Response = response.connection.send(renewed, **options)
        found.history.append(response)
        found.request = renewed
        return found


class PlainAdapter(HTTPAdapter):
    """Sends a request once, and waits for an answer only so long.

    The client sets no timeout if the account has proxies, so an answer that never comes is waited
    for forever.
    """

    def __init__(self) -> None:
        super().__init__(max_retries=0)

    def send(self, request: PreparedRequest, **options: Any) -> Response:  # type: ignore[override]
        """Send it; see `HTTPAdapter.send`."""
        if options.get("timeout") is None:
            options["timeout"] = CONNECT_SECONDS, READ_SECONDS
        return super().send(request, **options)


def use_tokens_alone() -> None:
    """Let services that are made from now on, in any thread, never send the API key."""
    client_parameters.CloudAuth = TokenAuth


def make_plain(service: QiskitRuntimeService) -> None:
    """Let the client send every request once, and wait two minutes for an answer."""
    for session in http_sessions(service):
        for scheme in ("http://", "https://"):
            session.mount(scheme, PlainAdapter())
        session._timeout = None  # noqa: SLF001 - the adapter has one


def ask_once(service: Any, backend: Any) -> None:
    """Let the client submit a job, or read one, in one request.

    Before each job it asks which devices there are, whether this one is open, and what the instance
    has used, and only warns. The gateway asks what the account has left where it matters.
    """
    other, status = service.backend, backend.status()

    def found(name: str, *given: Any, **options: Any) -> Any:
        is_ours = name == backend.name and not given and not any(options.values())
        return backend if is_ours else other(name, *given, **options)

    service.backend = found
    service._check_instance_usage = lambda: None  # noqa: SLF001
    backend.status = lambda: status


def close_session(service: Any, session_id: str) -> None:
    """Let a session or batch take no more jobs; one request. Nothing if the service has none."""
    service._active_api_client.close_session(session_id)  # noqa: SLF001


def device_names(service: Any) -> set[str]:
    """The devices of all instances, as the service says now; one request for each instance."""
    return {each["name"] for client in _clients(service) for each in client.list_backends()}


def read_configuration(service: Any, device: str) -> None:
    """Ask for the configuration of a device, which raises what went wrong; one request."""
    service._active_api_client.backend_configuration(device)  # noqa: SLF001


def http_sessions(service: Any) -> list[Any]:
    """The client's HTTP sessions: one for each instance."""
    return [client._session for client in _clients(service)]  # noqa: SLF001


def _clients(service: Any) -> list[Any]:
    clients = [service._active_api_client, *service._api_clients.values()]  # noqa: SLF001
    return list({id(client): client for client in clients}.values())
