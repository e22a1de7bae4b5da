"""sensor.yaml: everything wrong is said at once, with file, line and the nearest right name."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.config.yaml_lines import ConfigError
from sensor.config import SensorConfig, load

REPOSITORY = Path(__file__).parents[2]


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "rules.yaml").write_text("[]")
    file = tmp_path / "sensor.yaml"
    file.write_text(text)
    return file


def problems(file: Path, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(file, environment)
    return [f"{one.line}: {one.text}" for one in raised.value.problems]


def test_the_shortest(tmp_path: Path) -> None:
    config = load(write(tmp_path, "rules_files: [rules.yaml]"))
    assert config.rules_files == [tmp_path / "rules.yaml"]
    assert config.stdout_output.enabled
    assert not config.http_output.enabled
    assert config.buf_size == 8 << 20
    assert config.priority == "debug"


def test_all_problems_at_once(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "rules_files: [rules.yaml, gone.yaml]\n"
        "json_ouput: true\n"
        "priority: urgent\n"
        "http_output:\n  enabled: true\n  urll: x\n"
        "buf_size: 3MiB\n"
        "scope: {pid: 0}\n",
    )
    found = "\n".join(problems(file))
    for text in (
        "2: json_ouput is not a setting; did you mean json_output?",
        "3: priority: is not a priority; expected one of emergency,",
        "6: http_output.urll is not a setting; did you mean url?",
        "7: buf_size: must be a power of two",
        "8: scope.pid:",
    ):
        assert text in found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a", "1: expected keys and values"),
        ("{}", "1: rules_files is missing"),
        ("rules_files:\n  - gone.yaml", "2: rules_files: "),
        ("rules_files: [rules.yaml]\nscope: {pid: 1, cgroup: /x}", "2: scope: give cgroup or pid, not both"),
        ("rules_files: [rules.yaml]\nhttp_output: {enabled: true}", "2: http_output: url is missing"),
        ("rules_files: [rules.yaml]\nhttp_output: {url: 'ftp://x'}", "2: http_output.url: is not a URL"),
        ("rules_files: [rules.yaml]\nhttp_output: {mtls: true}", "2: http_output: mtls needs client_cert"),
        ("rules_files: [rules.yaml]\nhttp_output: {client_key: rules.yaml}", "used only with mtls"),
        ("rules_files: [rules.yaml]\nhttp_output: {ca_cert: gone.pem}", "2: http_output.ca_cert: "),
        ("rules_files: [rules.yaml]\nhttp_output: {url: '${NOT_SET}'}", "2: the variable NOT_SET is not set"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, problem: str) -> None:
    assert any(problem in one for one in problems(write(tmp_path, text)))


def test_a_secret_in_the_url_is_not_shown(tmp_path: Path) -> None:
    text = "rules_files: [rules.yaml]\nhttp_output: {enabled: true, url: '${URL}', ca_cert: gone.pem}"
    file = write(tmp_path, text)
    assert "t0ken" not in "".join(problems(file, URL="http://user:t0ken@relay/"))
    (tmp_path / "gone.pem").touch()
    assert "t0ken" not in repr(load(file, {"URL": "http://user:t0ken@relay/"}))


def settings(model: type, prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        inside = field.annotation
        if isinstance(inside, type) and hasattr(inside, "model_fields"):
            found += [prefix + name, *settings(inside, "  ")]
        else:
            found.append(prefix + name)
    return found


def test_the_shipped_file_is_right_and_has_every_setting() -> None:
    file = REPOSITORY / "config" / "sensor.yaml"
    config = load(file, {})
    assert config.http_output.url.get_secret_value() == "http://127.0.0.1:2801/"
    lines = [line.removeprefix("#") for line in file.read_text().splitlines()]
    for name in settings(SensorConfig):
        assert any(line.startswith((name + ":", " " + name + ":")) for line in lines), name
