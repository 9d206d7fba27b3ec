#!/usr/bin/env bash
# An outage while instances are listed is reported as an invalid API token.
#
# Versions   qiskit-ibm-runtime 0.51.0, ibm-platform-services 0.77.1
# Valid input  QiskitRuntimeService(channel="ibm_quantum_platform", token=...) with a token that the
#            sign-in service accepts; the search service, which lists the instances, answers 500, 503
#            or 429, or drops the connection. A server on 127.0.0.1 plays both services
# Behaviour  list_instances catches every Exception and raises InvalidAccountError: "Unable to retrieve
#            instances. Please check that you are using a valid API token." A program cannot tell an
#            outage, after which it should wait and try again, from a key that was refused, after which
#            it must not; the cause is only in __cause__. An outage of the sign-in service itself and a
#            refused token (400 from sign-in) give the same type and text.
# Output seen  500, 503, 429, dropped, refused token: InvalidAccountError, Unable to retrieve instances.
#            Please check that you are using a valid API token.
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit-ibm-runtime==0.51.0" "ibm-platform-services==0.77.1"
HOME="$folder" "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import base64
import json
import logging
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

logging.disable(logging.CRITICAL)
fault = "500"


def token() -> str:
    """An access token as the sign-in service gives it: a JWT that is valid for an hour."""
    now = int(time.time())
    parts = ({"alg": "HS256"}, {"iat": now, "exp": now + 3600})
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*coded, "signature"))


class Services(BaseHTTPRequestHandler):
    """The sign-in service, which answers, and the search service, which has a fault."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/iam"):
            refused = {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
            now = int(time.time())
            valid = {
                "access_token": token(), "refresh_token": "not_supported", "token_type": "Bearer",
                "expires_in": 3600, "expiration": now + 3600,
            }
            self._answer(*((400, refused) if fault == "refused token" else (200, valid)))
        elif fault == "dropped":
            self.connection.close()
        else:
            self._answer(int(fault), {"errors": [{"message": "unavailable"}]})

    def _answer(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Services)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
os.environ.update(
    IAM_URL=f"{url}/iam", GLOBAL_SEARCH_URL=f"{url}/search", GLOBAL_CATALOG_URL=f"{url}/catalog",
    NO_PROXY="127.0.0.1", no_proxy="127.0.0.1",
)

from qiskit_ibm_runtime import QiskitRuntimeService

found = {}
for fault in ("500", "503", "429", "dropped", "refused token"):
    try:
        QiskitRuntimeService(channel="ibm_quantum_platform", token="a" * 44)
        found[fault] = "no error"
    except Exception as exc:
        found[fault] = f"{type(exc).__name__}: {exc}"
    print(f"{fault}: {found[fault]}")
text = "Unable to retrieve instances. Please check that you are using a valid API token."
assert all("InvalidAccountError" in each and text in each for each in found.values()), found
PYTHON
echo "as stated"
