"""Errors in files name file, line, key and what is allowed."""

from pathlib import Path

import pytest

from collectors.config import ConfigError, Settings, read_settings
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
