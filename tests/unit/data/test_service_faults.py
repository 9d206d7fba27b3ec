"""The client against a server that is slow, broken or hostile: bounded and typed errors."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from qstore_ray.data.service.client.breaker import CircuitBreaker
from qstore_ray.data.service.client.client import DatasetServiceClient
from qstore_ray.data.service.client.transport import Timeouts
from qstore_ray.data.service.records import DatasetPatch
from qstore_ray.errors import ConfigError, DataError, ServiceError, UsageError
from tests.dataset_service import breaking, npz, send

SECRET = "planted-secret-0123456789"
ID = "0123456789abcdef"
BODY = npz()
SHA = hashlib.sha256(BODY).hexdigest()


def _client(url: str, **options) -> DatasetServiceClient:
    options = {
        "retries": 2,
        "longest_pause": 0.02,
        "timeout": Timeouts(connect=2.0, read=2.0, total=10.0),
        **options,
    }
    return DatasetServiceClient(url, token=SecretStr(SECRET), **options)


def _record(number: int = 0, **fields) -> dict:
    return {"id": f"{number:016x}", "name": "set", **fields}


def _json(value) -> bytes:
    return json.dumps(value).encode()


def test_429_is_waited_out_for_as_long_as_the_server_asks():
    def answer(handler, k):
        if k == 0:
            send(handler, status=429, Retry_After="1")
        else:
            send(handler, _json(_record()))

    with breaking(answer) as server:
        begun = time.monotonic()
        assert _client(server.url, longest_pause=5.0).get(ID).name == "set"
        assert time.monotonic() - begun >= 1.0
        assert len(server.asked) == 2


def test_a_server_cannot_ask_for_an_endless_pause():
    with breaking(lambda handler, _: send(handler, status=429, Retry_After="86400")) as server:
        with pytest.raises(ServiceError, match="keeps answering 429"):
            _client(server.url).get(ID)
        assert len(server.asked) == 1, "it does not wait for a day to ask again"


def test_a_storm_of_500_ends_after_the_retries():
    with breaking(lambda handler, _: send(handler, b"no", status=500)) as server:
        with pytest.raises(ServiceError, match="keeps answering 500"):
            _client(server.url).get(ID)
        assert len(server.asked) == 3


def test_what_changes_something_is_sent_once():
    with breaking(lambda handler, _: send(handler, status=503)) as server:
        for change in (
            lambda: _client(server.url).delete(ID),
            lambda: _client(server.url).patch(ID, DatasetPatch(name="new")),
        ):
            with pytest.raises(ServiceError, match="keeps answering 503"):
                change()
        assert [asked.method for asked in server.asked] == ["DELETE", "PATCH"]


def test_the_breaker_opens_after_failures_in_a_row_and_says_when_it_tries_again():
    with breaking(lambda handler, _: send(handler, status=500)) as server:
        client = _client(server.url, breaker=CircuitBreaker("the server", failures=3, pause=60.0))
        with pytest.raises(ServiceError, match="keeps answering 500"):
            client.get(ID)
        with pytest.raises(ServiceError, match=r"3 times in a row.*tried again in \d+\.\d s"):
            client.get(ID)
        assert len(server.asked) == 3


def test_html_is_shown_by_its_first_characters():
    page = b"<html><title>Please log in</title>" + b" " * 1000
    with breaking(lambda handler, _: send(handler, page, Content_Type="text/html")) as server:
        with pytest.raises(ServiceError, match=r"text/html, not JSON.*Please log in") as caught:
            _client(server.url).get(ID)
        assert "login page" in caught.value.fix
        assert len(str(caught.value)) < 400
        assert len(server.asked) == 1


def test_a_page_that_repeats_is_noticed():
    page = _json([_record(number) for number in range(2)])
    with breaking(lambda handler, _: send(handler, page)) as server:
        with pytest.raises(ServiceError, match="repeats itself") as caught:
            list(_client(server.url, page_size=2).datasets())
        assert caught.value.field == "offset 2"
        assert len(server.asked) == 2


def test_pages_that_never_end_are_bounded():
    def answer(handler, k):
        send(handler, _json([_record(2 * k), _record(2 * k + 1)]))

    with breaking(answer) as server:
        with pytest.raises(ServiceError, match="more than 11 entries"):
            list(_client(server.url, page_size=2, max_records=11).datasets())
        assert len(server.asked) == 6


def test_a_page_shorter_than_asked_for_does_not_end_the_list_where_more_are_counted():
    def answer(handler, k):
        send(handler, _json([_record(k)]), X_Total_Count="3")

    with breaking(answer) as server:
        assert len(list(_client(server.url, page_size=2).datasets())) == 3


def test_a_schema_that_drifts_midway_names_the_field_and_the_page():
    def answer(handler, k):
        second = _record(2 * k + 1) if k == 0 else _record(2 * k + 1, num_samples="many")
        send(handler, _json([_record(2 * k), second]))

    with breaking(answer) as server:
        listing = _client(server.url, page_size=2).datasets()
        assert [next(listing).id, next(listing).id] == [f"{0:016x}", f"{1:016x}"]
        with pytest.raises(ServiceError, match="page at offset 2") as caught:
            next(listing)
        assert caught.value.field == "1.num_samples"
        assert caught.value.value == "many"


@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/latest/meta-data", "//169.254.169.254/", "https://example.org/x"],
)
def test_a_redirect_to_another_origin_is_refused(location: str):
    with breaking(lambda handler, _: send(handler, status=302, Location=location)) as server:
        with pytest.raises(ServiceError, match="another origin, which is refused"):
            _client(server.url).get(ID)
        assert len(server.asked) == 1


def test_the_token_does_not_follow_a_redirect_to_another_port():
    with breaking(lambda handler, _: send(handler, _json(_record()))) as other:
        target = f"{other.url}/datasets/{ID}"
        with (
            breaking(lambda handler, _: send(handler, status=307, Location=target)) as server,
            pytest.raises(ServiceError, match="another origin"),
        ):
            _client(server.url).get(ID)
        assert other.asked == []


def test_redirects_within_the_origin_are_followed_and_bounded():
    def once(handler, k):
        send(handler, status=302, Location="/moved") if k == 0 else send(handler, _json(_record()))

    with breaking(once) as server:
        assert _client(server.url).get(ID).name == "set"
        assert [asked.path for asked in server.asked] == [f"/datasets/{ID}", "/moved"]
    with (
        breaking(lambda handler, _: send(handler, status=302, Location="/again")) as server,
        pytest.raises(ServiceError, match="more than 3 redirects"),
    ):
        _client(server.url).get(ID)


def test_a_body_that_trickles_beyond_the_deadline_is_given_up():
    def answer(handler, _):
        send(handler, b"[", length=10_000)
        for _ in range(9_999):  # for minutes, or until the client has hung up
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.02)

    timeout = Timeouts(connect=1.0, read=1.0, total=0.4)
    with (
        breaking(answer) as server,
        pytest.raises(ServiceError, match="does not answer in time"),
    ):
        _client(server.url, timeout=timeout).get(ID)


def test_a_server_that_says_nothing_is_given_up():
    with breaking(lambda *_: time.sleep(1.0)) as server:
        client = _client(server.url, retries=0, timeout=Timeouts(read=0.1))
        with pytest.raises(ServiceError, match="does not answer in time"):
            client.get(ID)


def test_no_server_at_all():
    with breaking(lambda *_: None) as server:
        url = server.url
    with pytest.raises(ServiceError, match="the connection failed") as caught:
        _client(url).get(ID)
    assert "that the service runs" in caught.value.fix


def test_an_answer_larger_than_allowed_is_not_read():
    with (
        breaking(lambda handler, _: send(handler, b" " * 200_000)) as server,
        pytest.raises(ServiceError, match="larger than 1,000 bytes"),
    ):
        _client(server.url, max_json_bytes=1000).get(ID)


def test_a_compressed_answer_is_refused():
    with breaking(lambda handler, _: send(handler, b"x", Content_Encoding="gzip")) as server:
        with pytest.raises(ServiceError, match="compressed") as caught:
            _client(server.url).get(ID)
        assert caught.value.value == "gzip"
        assert server.asked[0].headers["Accept-Encoding"] == "identity"


def test_an_answer_cut_off_is_asked_for_again():
    def answer(handler, k):
        body = _json(_record())
        send(handler, body[:10] if k == 0 else body, length=len(body))

    with breaking(answer) as server:
        assert _client(server.url).get(ID).name == "set"
        assert len(server.asked) == 2


def _serve_file(handler, asked, *, stop_at: int | None = None, tag: str = SHA) -> None:
    """The file, or the range of it that was asked for; cut off after `stop_at` bytes."""
    wanted = asked.headers.get("Range")
    start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
    rest = BODY[start:]
    extra = {"Content_Range": f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"} if wanted else {}
    send(
        handler,
        rest[:stop_at],
        status=206 if wanted else 200,
        length=len(rest),
        ETag=f'"{tag}"',
        **extra,
    )


def test_a_broken_download_is_resumed_where_it_broke(tmp_path: Path):
    with breaking(
        lambda handler, k: _serve_file(handler, server.asked[k], stop_at=300 if k == 0 else None)
    ) as server:
        path = _client(server.url).download(ID, folder=tmp_path, sha256=SHA)
        assert path.read_bytes() == BODY
        assert server.asked[1].headers["Range"] == "bytes=300-"
        assert server.asked[1].headers["If-Range"] == f'"{SHA}"'
    assert {file.name for file in tmp_path.iterdir()} == {f"{SHA}.npz", f"{ID}-train.npz.json"}


def test_a_resumed_download_starts_again_if_the_content_changed(tmp_path: Path):
    def answer(handler, k):
        if k == 0:
            send(handler, b"old" * 10, length=1000, ETag=f'"{"0" * 64}"')
        else:  # as a server does whose content no longer has the tag of If-Range
            send(handler, BODY, ETag=f'"{SHA}"')

    with breaking(answer) as server:
        assert _client(server.url).download(ID, folder=tmp_path).read_bytes() == BODY
        assert "Range" in server.asked[1].headers


def test_a_range_that_was_not_asked_for_is_refused(tmp_path: Path):
    def answer(handler, k):
        if k == 0:
            _serve_file(handler, server.asked[k], stop_at=300)
        else:
            send(handler, BODY[200:], status=206, ETag=f'"{SHA}"', Content_Range="bytes 200-9/9")

    with breaking(answer) as server, pytest.raises(ServiceError, match="another range"):
        _client(server.url).download(ID, folder=tmp_path)


def test_a_file_with_another_hash_is_thrown_away(tmp_path: Path):
    with (
        breaking(lambda handler, _: send(handler, BODY[:-1] + b"!", ETag=f'"{SHA}"')) as server,
        pytest.raises(DataError, match="not the one that was promised") as caught,
    ):
        _client(server.url).download(ID, folder=tmp_path)
    assert caught.value.field == "sha256"
    assert SHA in caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_content_that_the_record_does_not_name_is_refused(tmp_path: Path):
    with (
        breaking(lambda handler, _: send(handler, BODY, ETag=f'"{SHA}"')) as server,
        pytest.raises(DataError, match="other content than the dataset's record"),
    ):
        _client(server.url).download(ID, folder=tmp_path, sha256="0" * 64)


def test_a_download_without_a_hash_or_too_large_is_refused(tmp_path: Path):
    with (
        breaking(lambda handler, _: send(handler, BODY, ETag='"new"')) as server,
        pytest.raises(ServiceError, match="no SHA-256"),
    ):
        _client(server.url).download(ID, folder=tmp_path)
    with (
        breaking(lambda handler, _: send(handler, BODY, ETag=f'"{SHA}"')) as server,
        pytest.raises(ServiceError, match="larger than 100 bytes"),
    ):
        _client(server.url, max_file_bytes=100).download(ID, folder=tmp_path)


def test_no_message_tells_the_token():
    def answer(handler, k):
        bodies = [(401, b"{}"), (200, b"<html>"), (500, b""), (400, b"[]"), (302, b"")]
        status, body = bodies[min(k, 4)]
        extra = {"Location": "http://169.254.169.254/"} if status == 302 else {}
        send(handler, body, status=status, **extra)

    with breaking(answer) as server:
        client = _client(server.url, retries=0)
        for _ in range(5):
            with pytest.raises(ServiceError) as caught:
                client.get(ID)
            assert SECRET not in f"{caught.value} {caught.value.__cause__!r}"
        assert all(a.headers["Authorization"] == f"Bearer {SECRET}" for a in server.asked)
    assert SECRET not in repr(client) + str(vars(client._transport))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("data.example.org", "not the address of a service"),
        ("ftp://data.example.org", "not the address of a service"),
        ("https://data.example.org?x=1", "not the address of a service"),
        ("https://data.example.org:port", "not an address"),
        ("https://user:pass@data.example.org", "must not contain credentials"),
        ("http://data.example.org", "would travel unencrypted"),
        ("http://127.0.0.1.example.org", "would travel unencrypted"),
    ],
)
def test_an_address_that_is_none_is_refused(url: str, message: str):
    with pytest.raises(ConfigError, match=message) as caught:
        _client(url)
    assert caught.value.field == "base_url"
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize("id_", ["../jobs/1", "a/b", "", "a?b", "%2e%2e", "ä"])
def test_an_id_cannot_lead_elsewhere(id_: str):
    with pytest.raises(UsageError, match="not the id"):
        _client("http://127.0.0.1:1").get(id_)


def test_a_breaker_lets_one_trial_call_through():
    now = [0.0]
    breaker = CircuitBreaker("it", failures=2, pause=10.0, clock=lambda: now[0])
    breaker.failed()
    breaker.check()
    breaker.failed()
    with pytest.raises(ServiceError, match=r"tried again in 10\.0 s"):
        breaker.check()
    now[0] = 10.0
    breaker.check()  # the trial
    with pytest.raises(ServiceError, match="when the trial call has ended"):
        breaker.check()
    breaker.failed()
    with pytest.raises(ServiceError, match=r"in 10\.0 s"):
        breaker.check()
    now[0] = 20.0
    breaker.check()
    breaker.succeeded()
    breaker.check()
    with pytest.raises(ConfigError, match="positive time"):
        CircuitBreaker("it", pause=0.0)
