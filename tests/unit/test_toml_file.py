"""Errors in files name file, line, key and what is allowed."""

import os
import threading
from pathlib import Path

import pytest

from collectors.config import ConfigError, Context, Settings, read_settings
from collectors.toml_file import FileError, checked_toml, place_in, read_toml

GOOD = """
[contexts.prod]
prometheus = "http://localhost:9090"
tiers = ["pro", "free"]
[contexts.prod.objectives]
pro = 2.0
[contexts.prod.objectives.models.embed-2]
pro = 1.0
[contexts.prod.identity]
priority = { "100" = "pro", "0" = "free" }
[[contexts.prod.identity.models]]
label = "pod"
regex = "code-.*"
model = "delta-code"
[[contexts.prod.pools]]
name = "a"
match = { workload = "x" }
"""


def test_a_good_file_is_read() -> None:
    """Contexts, objectives with their overrides and identity rules come out as written."""
    _, context = checked_toml(GOOD, "f", Settings).context(None)
    assert context.prometheus[0].url == "http://localhost:9090"
    assert context.objectives.of("embed-2") == {"pro": 1.0}
    assert context.objectives.of("other") == {"pro": 2.0}
    assert context.identity.models[0].model == "delta-code"


@pytest.mark.parametrize(
    ("was", "now", "line", "says"),
    [
        ("pro = 2.0", "pro = -2", 6, "greater than 0 (it is -2)"),
        ("priority =", "priorty =", 10, "did you mean 'priority'?"),
        ("match =", "macht =", 17, "did you mean 'match'?"),
        ('regex = "code-.*"', 'regex = "code-("', 13, "is no regular expression"),
        ('"http://localhost:9090"', '"localhost:9090"', 3, "must be a URL"),
        (
            '"http://localhost:9090"',
            '"http://u:secret@localhost"',
            3,
            "must not hold a user name or password",
        ),
        ('"0" = "free"', '"low" = "free"', 10, "no whole number"),
        ('"0" = "free"', '"0" = "fre"', 2, "identity.priority names fre"),
        ("prometheus =", "promtheus =", 3, "did you mean 'prometheus'?"),
    ],
)
def test_a_wrong_key_or_value_is_placed(was: str, now: str, line: int, says: str) -> None:
    """Each mistake gives `file:line: key: what`, and a near name where there is one."""
    with pytest.raises(FileError) as caught:
        checked_toml(GOOD.replace(was, now), "tidegate.toml", Settings)
    said = str(caught.value)
    assert f"tidegate.toml:{line}:" in said, said
    assert says in said


def test_a_secret_in_a_url_is_not_repeated() -> None:
    """The sentence about a password in a URL does not hold the password."""
    with pytest.raises(FileError) as caught:
        checked_toml(GOOD.replace("http://localhost:9090", "http://u:hunter2@h"), "f", Settings)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("was", "now", "lines", "key"),
    [
        (
            'tiers = ["pro", "free"]',
            '[[contexts.prod.prometheus]]\nurl = "http://b"',
            (4, 3),
            "contexts.prod.prometheus",
        ),
        ('tiers = ["pro", "free"]', 'prometheus = "http://b"', (4, 3), "contexts.prod.prometheus"),
        ('tiers = ["pro", "free"]', "tiers = [\n]\ntiers = [\n]", (6, 4), "contexts.prod.tiers"),
        ('tiers = ["pro", "free"]', 'prometheus.url = "http://b"', (4, 3), "contexts.prod.prometheus"),
        ("[contexts.prod.objectives]", "[contexts.prod]", (5, 2), "contexts.prod"),
        ('label = "pod"', 'label = "pod"\nlabel = "x"', (13, 12), "contexts.prod.identity.models.label"),
    ],
)
def test_a_key_that_is_given_twice_has_two_lines(
    was: str, now: str, lines: tuple[int, int], key: str
) -> None:
    """In words, with the line of each, and no word of how the parser keeps its tables."""
    with pytest.raises(FileError) as caught:
        checked_toml(GOOD.replace(was, now), "tidegate.toml", Settings)
    said = str(caught.value)
    assert said.startswith(f"tidegate.toml:{lines[0]}: {key}: is given twice"), said
    assert f"in line {lines[1]}" in said
    assert ("write each as [[contexts.prod.prometheus]]" in said) == ("[[" in now)


def test_a_key_has_a_place(tmp_path: Path) -> None:
    """File and line of a key; the file alone where there is no such key, or no such file."""
    file = tmp_path / "tidegate.toml"
    assert place_in(file, "contexts", "prod") == f"{file}: contexts.prod"
    file.write_text(GOOD, encoding="utf-8")
    assert place_in(file, "contexts", "prod", "tiers") == f"{file}:4: contexts.prod.tiers"
    assert place_in(file, "contexts", "prod", "scrape") == f"{file}: contexts.prod.scrape"


@pytest.mark.parametrize("content", [b"a = \n", b"\xff\xfe", b"[a\n"])
def test_what_is_no_toml_is_said(tmp_path: Path, content: bytes) -> None:
    """A broken file is one sentence that names it."""
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(FileError, match=r"broken\.toml"):
        read_toml(file, Settings)


def test_an_absent_default_file_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a configuration there is nothing configured; a file asked for by name must exist."""
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert read_settings() == Settings()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings(tmp_path / "none.toml")


def test_several_contexts_need_a_choice() -> None:
    """Without a default, the sentence lists what there is."""
    settings = Settings.model_validate({"contexts": {"a": {}, "b": {}}})
    with pytest.raises(ConfigError, match="there are: a, b"):
        settings.context(None)
    with pytest.raises(ConfigError, match="no context 'c'"):
        settings.context("c")


@pytest.mark.parametrize(
    ("was", "now", "line", "says"),
    [
        ("pro = 2.0", "plus = 2.0", 2, "objectives names plus, not in tiers (pro, free)"),
        ("pro = 1.0", "pr = 1.0", 2, "objectives names pr"),
        ("pro = 2.0", 'pro = "2"', 6, "valid number"),
        ('tiers = ["pro", "free"]', 'tiers = "pro"', 4, "list"),
        ('tiers = ["pro", "free"]', 'tiers = ["pro", "free"]\nproduction = "yes"', 5, "valid boolean"),
        ("[contexts.prod]", "[context.prod]", 2, "did you mean 'contexts'?"),
    ],
)
def test_a_silent_mistake_would_cost_an_alert(was: str, now: str, line: int, says: str) -> None:
    """A misspelt tier has no objective, and so no alert for ever: it is refused, with its place."""
    with pytest.raises(FileError) as caught:
        checked_toml(GOOD.replace(was, now, 1), "tidegate.toml", Settings)
    said = str(caught.value)
    assert f"tidegate.toml:{line}:" in said, said
    assert says in said


def mistake(text: str) -> str:
    """What is said about a context with this in it."""
    with pytest.raises(FileError) as caught:
        checked_toml(f"[contexts.prod]\n{text}\n", "f.toml", Settings)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        'prometheus = {url = "http://h", basic = {username = "u", password = "hunter2"}}',
        'prometheus = {url = "http://h", basic = {username = "u", password = 22446688}}',
        'prometheus = {url = "http://h", basic = "user:hunter2"}',
        'prometheus = {url = "user:hunter2"}',
        'prometheus = "user:hunter2"',
        'alertmanager = "user:hunter2"',
        'scrape = ["user:hunter2"]',
        'plane = "user:hunter2"',
        'plane = {url = "http://h", token = "hunter2"}',
        'plane = {url = "http://h", token = 22446688}',
        'plane = {url = "http://h", token = {env = "hunter2.x/y"}}',
        'plane = {url = "http://h", token = {env = 22446688}}',
        'plane = {url = "http://h", token = {file = 22446688}}',
        'plane = {url = "http://h", token = {command = 22446688}}',
        'plane = {url = "http://h", ca_file = 22446688}',
        'prometheus = {url = "http://h", headers = {X-Key = 22446688}}',
        'prometheus = {url = "http://h", cert_file = "c", key_file = """-----BEGIN KEY-----\nhunter2"""}',
        f'prometheus = {{url = "http://h", cert_file = "c", key_file = "{"hunter2" * 40}"}}',
        'prometheus = {url = "http://h", token = {file = "-----BEGIN hunter2"}}',
    ],
)
def test_what_may_be_a_secret_is_not_repeated(text: str) -> None:
    """Whatever is put where a credential, a file or an address belongs: the place is told, not the value."""
    said = mistake(text)
    assert said.startswith("f.toml:")
    assert "contexts.prod." in said
    assert "hunter2" not in said
    assert "22446688" not in said


@pytest.mark.parametrize("name", ["", "1ST", "MY-TOKEN", "A B", "$TOKEN", "TOKEN\\n"])
def test_a_variable_has_a_name(name: str) -> None:
    """What no shell could set is refused when it is read."""
    said = mistake(f'plane = {{url = "http://h", token = {{env = "{name}"}}}}')
    assert "plane.token.env: must be the name of an environment variable" in said


def test_a_harmless_value_is_repeated() -> None:
    """What is wrong is easier to find with it."""
    assert "(it is 'yes')" in mistake('production = "yes"')


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a = 1\nx = " + "[" * 5000, 2, "nested too deep"),
        ("\n\nx = " + "{a=" * 5000, 3, "nested too deep"),
        ("\n[" + "a." * 5000 + "a]", 2, "over 32 levels deep"),
        ("\n" + ' "a" . ' * 100 + "a = 1", 2, "over 32 levels deep"),
        ("a = 1\nb = " + "1" * 5000, 2, "a number is too long"),
    ],
)
def test_what_no_parser_takes_is_said(text: str, line: int, says: str) -> None:
    """Nesting without end and numbers of thousands of digits have a place too."""
    with pytest.raises(FileError) as caught:
        checked_toml(text, "f.toml", Settings)
    assert str(caught.value).startswith(f"f.toml:{line}: ")
    assert says in str(caught.value)


def test_a_number_that_cannot_be_written_out() -> None:
    """Thousands of digits in base 16 are read, and refused."""
    assert "f.toml:2: contexts.prod.tiers" in mistake("tiers = [0x" + "f" * 5000 + "]")
    assert "f.toml:2: contexts.prod.objectives" in mistake("objectives = {pro = 0x" + "f" * 5000 + "}")


def test_a_long_line_is_read_to_its_end() -> None:
    """Brackets and spaces in a text of several lines, and names without end: what goes back would hang."""
    for line in ("[" + " " * 200_000, "a" * 200_000, "a " * 100_000, '"' * 9 + "'" * 100_000, "[{ " * 90):
        mistake(f"promtheus = '''\n{line}\n'''" if "'" not in line else f"promtheus = 1\n# {line}")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("pipe", "no regular file"),
        ("device", "no regular file"),
        ("folder", "Is a directory"),
        ("long", "longer than 1 MB"),
        ("nul", "NUL"),
    ],
)
def test_what_is_no_file_is_not_waited_for(kind: str, says: str, tmp_path: Path) -> None:
    """A pipe that nobody writes to, a device without end, a file that is no configuration."""
    path = tmp_path / "config.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "long":
        path.write_bytes(b"#" * 1_000_001)
    path = {"device": Path("/dev/zero"), "nul": Path("a\0b")}.get(kind, path)
    caught: list[str] = []

    def read() -> None:
        try:
            read_toml(path, Settings)
        except FileError as error:
            caught.append(str(error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(60)
    assert len(caught) == 1
    assert "cannot be read: " in caught[0]
    assert says in caught[0]


def test_a_filter_that_is_none_has_a_place() -> None:
    """In either way to write a server; a wrong expression in a filter too."""
    said = mistake('prometheus = {url = "http://h", select = ["namespace=serving"]}')
    assert said.startswith("f.toml:2: contexts.prod.prometheus.0.select.0: is no filter")
    said = mistake('[[contexts.prod.prometheus]]\nurl = "http://h"\nselect = [\'a="b"\', \'pod=~"("\']')
    assert said.startswith("f.toml:4: contexts.prod.prometheus.0.select.1: '(' is no regular expression")


@pytest.mark.parametrize("key", ["ca_file", "cert_file", "key_file"])
def test_a_certificate_is_a_regular_file(key: str, tmp_path: Path) -> None:
    """One that is a pipe or device would be waited for; one that is not there yet may come."""
    pipe = tmp_path / "pipe"
    server = {"url": "http://h", "cert_file": str(tmp_path / "none")}
    os.mkfifo(pipe)
    Context.model_validate({"prometheus": {**server, key: str(tmp_path / "none")}})
    for path in (pipe, tmp_path, Path("/dev/zero")):
        pairs = ", ".join(f'{k} = "{v}"' for k, v in {**server, key: path}.items())
        assert f"prometheus.0.{key}: is no regular file" in mistake(f"prometheus = {{{pairs}}}")


def test_a_home_that_is_not_known() -> None:
    """`~nobody-here/x` is a mistake with a place."""
    assert "presets.0: is in a home directory" in mistake('presets = ["~no-such-user-here/x.toml"]')
