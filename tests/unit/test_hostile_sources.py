"""What a hostile page, server, file or address says is answered with one sentence, and tells no secret."""

import email.utils
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from collectors import credentials
from collectors.config import ConfigError, Context, Credential, Endpoint, Settings
from collectors.control.http import ServerClock, checked_url
from collectors.control.interface import PlaneError
from collectors.credentials import secret
from collectors.daemon import DaemonExecutor
from collectors.prometheus.client import Client, _wait_s
from collectors.prometheus.targets import _targets
from collectors.prometheus.wire import Refused, Sample, read_intervals
from collectors.readings import believable
from collectors.scrape import page as page_module
from collectors.scrape.fetch import host_port
from collectors.scrape.page import PageError, PageReader, read_page
from collectors.signals.presets import read_presets
from collectors.toml_file import FileError, checked_toml

YEARS_S = 365.25 * 86_400


@pytest.mark.parametrize("stamp", ["1e400", "9e307", "-9e307", "nan", "1e999"])
@pytest.mark.parametrize("line", ["a 1", 'a{x="1"} 1', 'a{ x = "1" , } 4'])
@pytest.mark.parametrize("kind", ["text/plain", "application/openmetrics-text"])
def test_a_time_that_is_none_breaks_its_line(line: str, stamp: str, kind: str) -> None:
    """The sentence names the line; nothing else is raised."""
    with pytest.raises(PageError, match="line 2 is no sample"):
        read_page(f"b 1\n{line} {stamp}\n# EOF\n".encode(), {"a"}, kind)


def test_a_page_of_too_many_series_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not wanted does not count."""
    monkeypatch.setattr(page_module, "MAX_SERIES", 100)
    many = "".join(f'a{{m="{i}"}} 1\n' for i in range(101)).encode()
    assert read_page(many, {"b"}) == []
    assert len(read_page(many[: many.rfind(b"a{")], {"a"})) == 100
    with pytest.raises(PageError, match="more than 100 series"):
        read_page(many, {"a"})


def test_a_page_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that need the careful parser are counted in time, not in number."""
    monkeypatch.setattr(page_module, "MAX_READ_S", 0.05)
    odd = "".join(f'a{{ m = "{i}" , }} 4\n' for i in range(40_000)).encode()
    with pytest.raises(PageError, match=r"took longer than 0\.05 s"):
        PageReader({"a"}).read(odd)


@pytest.mark.parametrize("text", ["abc", "", "1,5"])
def test_a_value_that_is_no_number_is_refused(text: str) -> None:
    """As any other unusable answer, so that it costs its signal and nothing else."""
    with pytest.raises(Refused, match="no number"):
        _ = Sample({}, (1.0, text)).number


@pytest.mark.parametrize("at", ["1e300", "+Inf", "NaN", "-1e300"])
def test_an_absurd_scrape_time_counts_as_now(at: str) -> None:
    """Its readings grow old like others, and never lie in the future."""
    labels = {"job": "j", "instance": "i"}
    (target,) = _targets([Sample(labels, (0.0, "1"))], [Sample(labels, (0.0, at))], {}, 1.8e9, (), ())
    assert target.at == 1.8e9


def test_an_absurd_interval_is_no_interval() -> None:
    """More than a day, or more digits than a number has: as if it had not been told."""
    some = ["99999999999999999999d", "9" * 5000 + "s", "2d", "30s"]
    listed = ",".join(f'{{"labels":{{"job":"{i}"}},"scrapeInterval":"{s}"}}' for i, s in enumerate(some))
    assert read_intervals(f'{{"data":{{"activeTargets":[{listed}]}}}}'.encode()) == {"3": 30.0}


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ],
)
def test_absurd_dates_are_left_out(date: str) -> None:
    """The clock is ours then, and known to be strange; no wait is asked for without end."""
    client = Client(Endpoint(url="http://h"))
    client._learn_clock(date, time.time())
    assert client.offset_s == 0.0
    assert (_wait_s(date) or 0.0) <= 300
    client._learn_clock("Fri, 31 Dec 9999 23:59:59 GMT", time.time())
    assert client.clock_is_strange
    client._learn_clock(email.utils.formatdate(time.time() + 3600, usegmt=True), time.time())
    assert client.offset_s == pytest.approx(3600, abs=2)
    assert not client.clock_is_strange


@pytest.mark.parametrize(
    "stamp", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "2046-01-01T00:00:00Z"]
)
def test_a_plane_of_another_age_does_not_set_the_clock(stamp: str) -> None:
    """Neither by an answer nor by its stream."""
    clock, ours = ServerClock(), 1.8e9
    clock.sample(stamp, ours, ours + 0.1)
    clock.sample_stream(stamp, ours)
    assert (clock.now(ours), clock.offset_s) == (ours, None)
    clock.sample("2027-01-15T08:00:10Z", ours, ours)
    assert clock.offset_s == pytest.approx(10, abs=1)
    assert not clock.is_strange


def test_what_is_within_ten_years_is_believed() -> None:
    """A world of its own may be some years off; nothing that is no number is."""
    assert believable(1.8e9 + 9 * YEARS_S, 1.8e9)
    assert not believable(1.8e9 - 11 * YEARS_S, 1.8e9)
    assert not any(believable(float(text), 1.8e9) for text in ("nan", "inf", "-inf", "1e300"))


@pytest.mark.parametrize(
    "url",
    [
        "http://h:80?token=hunter2",
        "http://h#hunter2",
        "http://u:hunter2@h",
        "http://h:hunter2",
        "http://u:hunter2@h:x",
        "http://u:hunter2@[::1",
        "ftp://u:hunter2@h?hunter2",
        "http://u:hunter2\u2100@h",
        "h?token=hunter2",
    ],
)
def test_no_refused_address_is_told_with_its_secret(url: str) -> None:
    """Whoever refuses it: the plane's client, the page's, the configuration."""
    for refuse, kind in (
        (lambda: checked_url(url), PlaneError),
        (lambda: checked_toml(f'[contexts.a]\nplane = "{url}"', "f", Settings), FileError),
        (lambda: checked_toml(f'[contexts.a]\nprometheus = "{url}"', "f", Settings), FileError),
    ):
        try:
            refuse()
        except kind as error:
            assert "hunter2" not in str(error), refuse
            assert error.__cause__ is None or not isinstance(error, PlaneError)
        else:
            raise AssertionError(f"{kind.__name__} is due")
    try:
        host_port(url)
    except ValueError as error:
        assert "hunter2" not in str(error)


def test_a_page_may_have_a_query_and_others_not() -> None:
    """A page's address is used as it is; a query elsewhere would be lost, so it is refused."""
    context = Context.model_validate({"scrape": ["http://h/metrics?x=y"]})
    assert context.scrape[0].url == "http://h/metrics?x=y"
    for key in ("prometheus", "plane"):
        with pytest.raises(ValueError, match="must not hold a query"):
            Context.model_validate({key: "http://h/?x=y"})


def test_a_pipe_is_no_credential_file(tmp_path: Path) -> None:
    """It is refused at once, instead of waiting for someone to write; a link to a file is followed."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    caught: list[str] = []

    def read() -> None:
        try:
            secret(Credential(file=pipe))
        except ConfigError as error:
            caught.append(str(error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(60)
    assert caught == [f"credential file {pipe} is no regular file: write the credential into one"]
    file = tmp_path / "token"
    file.write_text("tok")
    file.chmod(0o600)
    (tmp_path / "link").symlink_to(file)
    assert secret(Credential(file=tmp_path / "link")) == "tok"


@pytest.mark.parametrize("command", ["sleep 3600", "sh -c 'sleep 3600; true'"])
def test_a_credential_command_has_little_time(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with what it started, which would otherwise keep its output open."""
    monkeypatch.setattr(credentials, "COMMAND_S", 0.2)
    with pytest.raises(ConfigError, match=r"took over 0\.2 s"):
        secret(Credential(command=command))


def test_a_credential_command_reads_no_keys() -> None:
    """Standard input is empty for it."""
    assert secret(Credential(command="sh -c 'cat; printf tok'")) == "tok"


def test_a_wrong_key_of_a_preset_lists_what_may_be_written(tmp_path: Path) -> None:
    """The name of the table is no key in it."""
    file = tmp_path / "mine.toml"
    file.write_text(
        'stack = "mine"\ntitle = "M"\nrole = "engine"\nproof = ["a"]\nkeep = []\n'
        '[signals.running]\nkind = "gauge"\nmetrics = ["a"]\nagregate = "sum"\n'
    )
    with pytest.raises(FileError, match="did you mean 'aggregate'") as caught:
        read_presets([file])
    allowed = str(caught.value).partition("allowed here: ")[2].split(", ")
    assert "kind" in allowed
    assert "id" not in allowed


def test_daemon_threads_hand_on_what_a_call_gives() -> None:
    """Results and errors alike; ending waits for none of them."""
    executor = DaemonExecutor()
    stuck = threading.Event()
    hanging = executor.submit(stuck.wait, 30)
    assert executor.submit(divmod, 7, 2).result(60) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        executor.submit(divmod, 7, 0).result(60)
    executor.shutdown()
    assert not hanging.done()
    stuck.set()
    assert hanging.result(60) is True


def test_what_hangs_does_not_hold_the_end() -> None:
    """Neither when a wait for it was given up, nor when the program ends."""
    code = (
        "import asyncio, time; from collectors.daemon import in_daemon\n"
        "async def main(): await asyncio.wait_for(in_daemon(time.sleep, 3600), 0.05)\n"
        "try: asyncio.run(main())\nexcept TimeoutError: print('ended')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "ended\n"
