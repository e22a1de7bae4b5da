"""relay.yaml: what is wrong is said with its line, all at once, and never with a secret."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from relay.cli import main
from relay.config import ConfigError, RelayConfig, load
from relay.config.settings import duration, size
from tests.relay.outputs.samples import SECRET

ROOT = Path(__file__).parents[3]


def problems(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> list[str]:
    """`line: text` of each."""
    file = tmp_path / "relay.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, environment or {})
    for problem in caught.value.problems:
        assert problem.file == file
        assert SECRET not in str(problem)
    return [f"{problem.line}: {problem.text}" for problem in caught.value.problems]


def good(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> RelayConfig:
    file = tmp_path / "relay.yaml"
    file.write_text(text)
    return load(file, environment or {})


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("listen: here", 1, "is not an address to listen on"),
        ("listen: 127.0.0.1:99999", 1, "is not an address"),
        ("lisen: 127.0.0.1:1", 1, "lisen is not a setting; did you mean listen?"),
        ("a: 1\nlisten: 127.0.0.1:1", 1, "a is not a setting"),
        ("data_dir: x\ndedup_window: 10\n", 2, "is not a duration; write it like 500ms, 90s"),
        (
            "outputs:\n  x: {type: slak, webhook_url: https://x/y}",
            2,
            "type 'slak' is not known; did you mean slack?",
        ),
        ("outputs:\n  x:\n    url: http://x", 2, "has no `type:`"),
        ("outputs:\n  x:\n    type: webhook", 2, "url is missing"),
        ("outputs:\n  x:\n    type: webhook\n    url: ftp://x/y", 4, "expected https://host/path"),
        ("outputs:\n  x:\n    type: webhook\n    url: http://x\n    macth: a = b", 5, "did you mean match?"),
        ("outputs:\n  x:\n    type: webhook\n    url: http://x\n    match: rul = x", 5, "rul"),
        ("outputs:\n  x:\n    type: webhook\n    url: http://x\n    match: priority >=", 5, "column"),
        (
            "outputs:\n  x:\n    type: webhook\n    url: http://x\n    minimum_priority: loud",
            5,
            "expected one of",
        ),
        ("outputs:\n  'a b':\n    type: webhook\n    url: http://x", 2, "cannot be an output's name"),
        (
            "outputs:\n  x:\n    type: webhook\n    url: http://x\n    headers:\n      Host: y",
            5,
            "set by the relay",
        ),
        (
            "outputs:\n  x:\n    type: webhook\n    url_file: /nowhere/at/all",
            2,
            "/nowhere/at/all cannot be read",
        ),
        (
            "outputs:\n  x:\n    type: webhook\n    url: http://x\n    tls: {ca_file: /nowhere}",
            5,
            "/nowhere cannot be",
        ),
        ("outputs:\n  x:\n    type: webhook\n    url: ${NOT_THERE}", 4, "the variable NOT_THERE is not set"),
        ("outputs:\n  x:\n    type: webhook\n    url: ${NOT THERE}", 4, "write ${NAME}, or $$ for a dollar"),
        (
            "outputs:\n  x:\n    type: webhook\n    url: http://x\n    start_from: then",
            5,
            "'then' is not a start",
        ),
        (
            (
                "outputs:\n  x: {type: webhook, url: http://x}\n  y:\n    type: webhook\n    url: http://y\n"
                "    renamed_from: x"
            ),
            6,
            "y: renamed_from: x is still an output here",
        ),
        (
            (
                "outputs:\n  x: {type: webhook, url: http://x, renamed_from: z}\n  y:\n    type: webhook\n"
                "    url: http://y\n    renamed_from: z"
            ),
            6,
            "y: renamed_from: z has become x already",
        ),
        ("outputs: [1]", 1, "expected a name and settings for each output"),
        ("outputs: {x: 1}", 1, "expected settings"),
        ("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2", 2, "listen is given twice"),
        ("- 1\n- 2", 1, "expected keys and values"),
        ("a: [1\n", 2, ""),
        ("a: !!python/object/apply:os.system [id]", 1, ""),
        ("a: &a [*a]", 1, ""),
    ],
)
def test_what_is_wrong_and_where(tmp_path: Path, text: str, line: int, says: str) -> None:
    found = problems(tmp_path, text)
    assert any(one.startswith(f"{line}: ") and says in one for one in found), found


def test_everything_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    outputs = "outputs:\n  a: {type: webhook}\n  b: {type: nothing}\n  c:\n    type: slack\n    x: 1\n"
    text = "listen: x\nbogus: 1\n" + outputs
    found = problems(tmp_path, text)
    assert [int(one.split(":")[0]) for one in found] == sorted(int(one.split(":")[0]) for one in found)
    assert len(found) >= 6


def test_aliases_of_aliases_do_not_fill_the_memory(tmp_path: Path) -> None:
    """A thousand million values in nine lines."""
    lines = ["a0: &a0 x"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (said,) = problems(tmp_path, "\n".join(lines))
    assert "more than 50000 values" in said


def test_a_secret_is_never_said(tmp_path: Path) -> None:
    text = (
        f"outputs:\n  a:\n    type: webhook\n    url: {SECRET}\n"
        f"  b:\n    type: webhook\n    url: http://x\n    proxy: [{SECRET}]\n"
        f"  c:\n    type: webhook\n    url: http://x/{SECRET}\n"
        f'    headers: {{Authorization: "{SECRET}\\n"}}\n'
    )
    assert len(problems(tmp_path, text)) >= 3


def test_variables_and_dollars(tmp_path: Path) -> None:
    text = "custom_fields:\n  cluster: a ${X} $$ ${Y}\noutputs:\n  h: {type: webhook, url: '${URL}'}\n"
    environment = {"X": "x: [1", "Y": "${X}", "URL": f"https://example.com/{SECRET}"}
    config = good(tmp_path, text, environment)
    assert config.general.custom_fields == {"cluster": "a x: [1 $ ${X}"}, "expanded once, and never as YAML"
    assert SECRET not in repr(config)
    assert config.outputs["h"].url.get_secret_value() == environment["URL"]  # type: ignore[attr-defined]


def test_a_secret_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "hook"
    secret.write_text(f"https://example.com/{SECRET}\n")
    config = good(tmp_path, f"outputs:\n  h: {{type: slack, webhook_url_file: {secret}}}\n")
    assert config.outputs["h"].webhook_url.get_secret_value().endswith(SECRET)  # type: ignore[attr-defined]
    secret.write_text("\n")
    assert any("is empty" in one for one in problems(tmp_path, (tmp_path / "relay.yaml").read_text()))
    both = f"outputs:\n  h: {{type: slack, webhook_url_file: {secret}, webhook_url: https://x/y}}\n"
    assert any("both given" in one for one in problems(tmp_path, both))


def test_a_secret_that_cannot_be_read(tmp_path: Path) -> None:
    text = f"outputs:\n  h: {{type: slack, webhook_url_file: {tmp_path}}}\n"
    assert any(f"{tmp_path} cannot be read: Is a directory" in one for one in problems(tmp_path, text))


def test_what_is_shipped_is_good() -> None:
    for name in ("config/relay.yaml", "config/compose/relay.yaml"):
        assert load(ROOT / name, {}).outputs == {}


def test_the_commented_outputs_are_good_too(tmp_path: Path) -> None:
    """Someone takes the `#` away and it works."""
    text = (ROOT / "config/relay.yaml").read_text()
    head, _, rest = text.partition("outputs: {}\n")
    shown = head + "outputs:\n" + "".join(line.removeprefix("#") + "\n" for line in rest.splitlines())
    config = good(tmp_path, shown, {"SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/x"})
    assert set(config.outputs) >= {"oncall", "alertmanager", "anything"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("90s", 90), ("1h30m", 5400), ("30d", 2592000), ("1.5m", 90), (0, 0)],
)
def test_durations(text: object, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["10", 10, "h", "1 week", "-1s", "1h 30", "", None, True])
def test_no_durations(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("512KiB", 524288), ("10GiB", 10 * 2**30), ("1MB", 10**6), (1000, 1000), ("1.5k", 1536)],
)
def test_sizes(text: object, count: int) -> None:
    assert size(text) == count


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(ConfigError):
        load(file, {})


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, args)
    return result.exit_code, result.output


def test_check_says_what_is_wrong_and_what_there_is(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("outputs:\n  h: {type: webhook, url: http://127.0.0.1:1/x, match: 'rule = \"a\"'}\n")
    code, said = run("check", "-c", str(file))
    assert code == 0
    assert "h" in said
    assert "webhook" in said
    assert 'rule = "a"' in said
    file.write_text("outputs:\n  h: {type: webhook, url: x}\n  i: {typ: webhook}\n")
    code, said = run("check", "-c", str(file))
    assert code == 2
    assert f"{file}:2: " in said
    assert f"{file}:3: " in said
    code, said = run("check", "-c", str(tmp_path / "none.yaml"))
    assert code == 2
    assert "cannot be read" in said


def test_outputs_lists_types_and_settings() -> None:
    code, said = run("outputs")
    assert code == 0
    for name in ("alertmanager", "slack", "webhook"):
        assert name in said
    code, said = run("outputs", "slack")
    assert code == 0
    assert "webhook_url" in said
    assert "required" in said
    assert run("outputs", "nothing")[0] == 2


def test_test_says_what_the_destination_answered(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text(f"outputs:\n  h: {{type: webhook, url: 'http://127.0.0.1:1/{SECRET}'}}\n")
    code, said = run("test", "-c", str(file), "h")
    assert code == 1
    assert "refused" in said
    assert SECRET not in said
    code, said = run("test", "-c", str(file), "other")
    assert code == 2
    assert "the configuration has h" in said
