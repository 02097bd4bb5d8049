"""Who the live view answers, and what ``descent serve`` says when it cannot serve."""

from __future__ import annotations

import socket

import pytest
from oracles.growing_runs import GrowingRun, made_up_run
from starlette.testclient import TestClient

from descentlab.cli.main import main
from descentlab.runs.store import Store
from descentlab.web.live.app import PAGES, live_app
from descentlab.web.live.live_store import LiveStore

PORT = 8765
HOME = f"http://127.0.0.1:{PORT}"


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store", create=True)


@pytest.fixture
def run(store) -> GrowingRun:
    run = GrowingRun(store, made_up_run())
    run.begin()
    run.train(3)
    run.end("failed", "ValueError: no", log="first line\nlast line")
    return run


@pytest.fixture
def client(store, run) -> TestClient:
    live = LiveStore(store)
    live.look()
    return TestClient(live_app(live, port=PORT), base_url=HOME)


@pytest.mark.parametrize("path", PAGES)
def test_pages_come_with_a_policy_that_lets_in_nothing_from_elsewhere(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    policy = dict(
        part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "http://" not in answer.text.replace("http://www.w3.org", "")
    assert "https://" not in answer.text
    assert "innerHTML" not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        "127.0.0.1:1",
        f"127.0.0.1.evil:{PORT}",
        "",
    ],
)
def test_a_foreign_host_is_refused(client, host):
    for path in ("/", "/events", "/curves?runs="):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 403
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("host", [f"localhost:{PORT}", f"LocalHost:{PORT}", f"[::1]:{PORT}"])
def test_this_machines_own_names_are_answered(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1:1"]
)
def test_a_foreign_origin_is_refused(client, origin):
    assert client.get("/events", headers={"Origin": origin}).status_code == 403
    assert client.get("/", headers={"Origin": HOME}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_reading_is_allowed(client, run, method):
    for path in ("/", "/events", f"/runs/{run.run_id}"):
        answer = client.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD"
    assert client.head("/").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/runs/..%2f..%2f..%2fetc%2fpasswd",
        "/runs/%2e%2e",
        "/runs/0000000000000000",
        "/runs/RUN/spec.json",
        "/runs/RUN%00",
        "/curves?runs=../RUN",
        "/curves?runs=RUN,..",
        "/live/page/main.js",
        "/base.css/../app.py",
        "/app.py",
    ],
)
def test_only_ids_of_known_runs_and_pages_are_paths(client, run, path):
    assert client.get(path.replace("RUN", run.run_id)).status_code == 404


def test_a_run_is_opened_with_its_settings_attempts_curve_and_log(client, run):
    found = client.get(f"/runs/{run.run_id}").json()
    assert ["optimizer.lr", "0.01"] in found["settings"]
    (attempt,) = found["attempts"]
    assert attempt["ended"] == "failed: ValueError: no"
    assert attempt["log"] == "first line\nlast line"
    assert found["curve"]["steps"] == [1, 2, 3]
    assert client.get(f"/curves?runs={run.run_id}").json() == {run.run_id: found["curve"]}


def test_a_damaged_run_is_opened_too(client, store, run):
    store.folder(run.run_id).spec.write_bytes(b"{")
    with run.attempt.metrics.open("ab") as file:
        file.write(b"\n{}\n{}")
    found = client.get(f"/runs/{run.run_id}").json()
    assert len(found["remarks"]) == 2
    assert found["curve"]["steps"] == [1, 2, 3]


def test_another_address_is_refused_and_ssh_explained(store, capsys):
    assert main(["serve", str(store.root), "--host", "0.0.0.0"]) == 2
    assert "ssh -L 8765:127.0.0.1:8765" in capsys.readouterr().err


def test_a_port_in_use_is_told_with_one_that_is_free(store, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", str(store.root), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"port: {port} is in use" in said
    free = int(said.partition("try --port ")[2])
    with socket.socket() as found:
        found.bind(("127.0.0.1", free))


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_is_none_is_refused(store, capsys, port):
    assert main(["serve", str(store.root), "--port", port]) == 2
    assert "1 to 65535" in capsys.readouterr().err


def test_a_store_that_is_missing_is_one_sentence(tmp_path, capsys):
    assert main(["serve", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
