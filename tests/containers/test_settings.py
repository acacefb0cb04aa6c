# SPDX-License-Identifier: MIT
"""compose.yml, .env.example and common/config.h say the same. Needs no container."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "compose.yml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]
OVERLAY = (ROOT / "compose.tls.yml").read_text()
INSIDE = (ROOT / "compose.inside-tls.yml").read_text()
MONITORING = (ROOT / "compose.monitoring.yml").read_text()
KEYS = (ROOT / "compose.keys.yml").read_text()
ALL = COMPOSE + OVERLAY + INSIDE + MONITORING + KEYS
EXAMPLE = (ROOT / ".env.example").read_text()
DOCKERFILES = [*ROOT.glob("*/Dockerfile"), *ROOT.glob("scripts/parts/*/Dockerfile"), *ROOT.glob("ops/*/Dockerfile")]

# Settings that compose.yml alone gives a container, whatever .env says: addresses in its networks, and its account.
ACCOUNTS = {"AMQP_USER", "AMQP_PASSWORD", "DB_USER", "DB_PASSWORD"}
WIRING = ACCOUNTS | {"AMQP_HOST", "AMQP_PORT", "DB_HOST", "DB_PORT", "DB_SOCKET", "WS_HOST", "WS_PORT", "WS_TRUST_PROXY", "API_STATS_FILE"}
REFERENCE = re.compile(r"\$\{([A-Z_0-9]+)(?::([-?])([^}]*))?\}")


def declared(table):
    """{NAME: default} of one table of common/config.h; None where the setting is required."""
    text = (ROOT / "common/config.h").read_text()
    body = re.search(rf"#define {table}\(X\)((?:.*\\\n)*.*)", text).group(1).replace("\\\n", " ")
    rows = re.findall(r'X\((\w+), \w+, (\w+),\s*(NULL|"[^"]*")', body)
    assert len(rows) == len(re.findall(r"\bX\(", body)), f"{table}: a row has a form this test does not know"
    return {
        name: None if default == "NULL" else default.strip('"').split("|")[0] if kind == "CHOICE" else default.strip('"')
        for kind, name, default in rows
    }


COMMON, API, NOTIFIER = (declared(table) for table in ("CONFIG_COMMON", "CONFIG_API", "CONFIG_NOTIFIER"))
SET = dict(re.findall(r"^([A-Z_0-9]+)=(.*)$", EXAMPLE, re.M))
SHOWN = dict(re.findall(r"^#([A-Z_0-9]+)=(.*)$", EXAMPLE, re.M))


def test_every_setting_is_documented():
    missing = [name for name in (COMMON | API | NOTIFIER) if name not in SET | SHOWN]
    assert not missing, f".env.example does not name {missing}"


def test_nothing_else_is_documented():
    known = set(COMMON | API | NOTIFIER) | {name for name, *_ in REFERENCE.findall(ALL)} | {"COMPOSE_PROJECT_NAME"}
    unknown = set(SET | SHOWN) - known
    assert not unknown, f"no program reads {unknown}"


def test_defaults_shown_are_the_defaults():
    for name, default in (COMMON | API | NOTIFIER).items():
        if name in SHOWN:
            assert SHOWN[name] == (default or ""), name


@pytest.mark.parametrize("service, own", [("fcgi-api", API), ("ws-notifier", NOTIFIER)])
def test_a_program_gets_every_setting_and_its_default(service, own):
    environment = SERVICES[service]["environment"]
    for name, default in (COMMON | own).items():
        if name in WIRING:
            continue
        assert name in environment, f"{service} does not get {name}"
        reference = REFERENCE.fullmatch(environment[name])
        assert reference and reference[1] == name, f"{service}: {name} is {environment[name]}"
        assert default is not None, f"{name} has no default and must be asked for"
        if default == "":
            assert reference[2] is None and SET[name] == "", f"{service}: {name} is {environment[name]}"
        else:
            assert (reference[2], reference[3]) == ("-", default), f"{service}: {name} is {environment[name]}"
    strangers = set(environment) - set(COMMON | own) - {"API_WORKERS", "FCGI_BACKLOG"}
    assert not strangers, f"{service} does not know {strangers}"


def test_a_password_is_known_to_its_server_and_its_user_only():
    holders = {}
    for name, service in SERVICES.items():
        for value in service.get("environment", {}).values():
            for password in re.findall(r"\$\{(\w+_PASSWORD)\b", value):
                holders.setdefault(password, set()).add(name)
    assert holders == {
        "DB_ROOT_PASSWORD": {"mariadb"},
        "DB_MIGRATE_PASSWORD": {"mariadb", "migrate"},
        "DB_API_PASSWORD": {"mariadb", "fcgi-api"},
        "DB_ADMINER_PASSWORD": {"mariadb"},
        "DB_EMIT_PASSWORD": {"mariadb"},
        "AMQP_ADMIN_PASSWORD": {"rabbitmq"},
        "AMQP_API_PASSWORD": {"rabbitmq", "fcgi-api"},
        "AMQP_NOTIFIER_PASSWORD": {"rabbitmq", "ws-notifier"},
    }


def test_one_name_has_one_default():
    defaults = {}
    for name, kind, default in REFERENCE.findall(ALL):
        assert defaults.setdefault(name, (kind, default)) == (kind, default), name
        if kind == "-" and name in SET | SHOWN:
            assert (SET | SHOWN)[name] == default, name


def test_everything_compose_asks_for_is_documented():
    missing = {name for name, *_ in REFERENCE.findall(ALL)} - set(SET | SHOWN)
    assert not missing, f".env.example does not name {missing}"


def test_passwords_come_from_env_only():
    secrets = [found for found in REFERENCE.findall(COMPOSE + MONITORING) if "PASSWORD" in found[0]]
    assert secrets and all(kind == "?" for _, kind, _ in secrets), secrets
    for name, *_ in secrets:
        assert SET.get(name), f".env.example must have a value for {name} to work when copied"
    for line in COMPOSE.splitlines():
        assert not re.search(r"PASS(WORD)?: +[^$]", line), f"a password in compose.yml: {line.strip()}"


def test_only_loopback_is_published():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 6 and all(port.startswith("127.0.0.1:${") for port in ports), ports


def test_with_https_only_https_and_the_way_to_it_are_public():
    overlay = yaml.safe_load(OVERLAY)["services"]
    assert list(overlay) == ["nginx"]
    assert [port.rpartition(":")[2] for port in overlay["nginx"]["ports"]] == ["8080", "8443"]


def test_nginx_gets_every_variable_of_its_templates():
    """One that is missing would stay in the file as it is written."""
    templates = [path.read_text() for path in (ROOT / "nginx/templates").rglob("*.template")]
    wanted = {name for text in templates for name in re.findall(r"\$\{([A-Z_]+)\}", re.sub(r"#.*", "", text))}
    given = set(SERVICES["nginx"]["environment"]) | set(yaml.safe_load(OVERLAY)["services"]["nginx"]["environment"])
    assert wanted <= given, wanted - given


def test_every_service_is_confined():
    for name, service in (SERVICES | yaml.safe_load(MONITORING)["services"]).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"] and not service.get("cap_add"), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == ("on-failure" if name == "migrate" else "unless-stopped"), name
        assert service["logging"]["options"]["max-size"], name


def test_monitoring_is_a_profile_that_reads_both_programs():
    services = yaml.safe_load(MONITORING)["services"]
    assert set(services) == {"prometheus", "grafana"}
    for service in services.values():
        assert service["profiles"] == ["monitoring"]
        assert all(port.startswith("127.0.0.1:${") for port in service["ports"])
    targets = re.findall(r'targets: \["([^"]+):(\d+)"\]', (ROOT / "ops/prometheus/prometheus.compose.yml").read_text())
    assert targets == [("nginx", SERVICES["nginx"]["environment"]["HTTP_LISTEN"].split()[0]), ("ws-notifier", SERVICES["ws-notifier"]["environment"]["WS_PORT"])]


def compose_client():
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    pytest.skip("neither docker compose nor docker-compose is installed")


def test_bounds_are_above_what_the_settings_allow():
    """Every service has one, also of an overlay; the notifier twice its own bound, RabbitMQ more than its watermark, and files
    for all sockets (nginx two each)."""
    units = {"m": 2**20, "g": 2**30}
    memory = {name: int(row["mem_limit"][:-1]) * units[row["mem_limit"][-1]] for name, row in SERVICES.items()}
    for text in (KEYS, MONITORING):
        added = {name: row for name, row in yaml.safe_load(text)["services"].items() if name not in SERVICES}
        assert added and all("mem_limit" in row for row in added.values())
    assert memory["ws-notifier"] >= 2 * int(NOTIFIER["NOTIFIER_MEMORY_BYTES"])
    configuration = (ROOT / "scripts/parts/rabbitmq/container.conf").read_text()
    watermark = int(re.search(r"^vm_memory_high_watermark\.absolute = (\d+)MB$", configuration, re.M)[1]) * 10**6
    assert memory["rabbitmq"] / 2 < watermark < memory["rabbitmq"] * 0.7
    with_files = {name for name, row in SERVICES.items() if "ulimits" in row}
    assert with_files == {"nginx", "ws-notifier", "rabbitmq"}
    for name in with_files:
        soft, hard = (REFERENCE.fullmatch(SERVICES[name]["ulimits"]["nofile"][kind]) for kind in ("soft", "hard"))
        assert soft.groups() == hard.groups() and int(soft[3]) > 2 * int(NOTIFIER["WS_MAX_CLIENTS"])


def test_no_file_of_the_checkout_is_mounted():
    """Its mode depends on a umask, and the servers run as other users: their images have copies with modes of their own."""
    for text in (COMPOSE, OVERLAY, INSIDE, KEYS, MONITORING):
        for name, service in yaml.safe_load(text)["services"].items():
            for volume in service.get("volumes", []):
                source = volume.partition(":")[0]
                assert not source.startswith((".", "/")), f"{name}: {volume}"
    for path in DOCKERFILES:
        for stage in re.split("^FROM ", path.read_text(), flags=re.M)[1:]:
            lines = [] if " AS build\n" in stage else re.findall("^(?:COPY|ADD) (?!--from=).*", stage, re.M)
            assert all(line.startswith("COPY --chmod=0755 ") for line in lines), f"{path}: {lines}"


def test_what_images_are_made_of_is_sent_to_the_engine():
    """.dockerignore names what is; an image that only an overlay asks for is built by no other test."""
    sent = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.M)
    for path in DOCKERFILES:
        for words in re.findall(r"^COPY (?!--from)(.+)$", path.read_text().replace("\\\n", ""), re.M):
            for source in (word for word in words.split()[:-1] if not word.startswith("--")):
                assert (ROOT / source).exists(), f"{path}: {source}"
                assert any(f"{source}/".startswith(f"{name}/") for name in sent), f"{path}: {source}"


def test_docker_compose_reads_it(tmp_path):
    """Its own client agrees, and finds all it needs in a copied .env.example. Needs no engine."""
    client = compose_client()
    (tmp_path / "compose.yml").write_text(COMPOSE)
    command = [*client, "-f", str(tmp_path / "compose.yml"), "config"]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    without = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert without.returncode != 0 and "cp .env.example .env" in without.stderr, without
    (tmp_path / ".env").write_text(EXAMPLE)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert len(services) == 7
    assert "change-me-database" in json.dumps(services["fcgi-api"]["environment"])
    assert services["nginx"]["depends_on"]["fcgi-api"]["condition"] == "service_healthy"
    for name, text in (("compose.tls.yml", OVERLAY), ("compose.inside-tls.yml", INSIDE)):
        (tmp_path / name).write_text(text)
        command[-1:-1] = ["-f", str(tmp_path / name)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"]["fcgi-api"]["environment"]["AMQP_PORT"] == "5671"
    (tmp_path / "compose.monitoring.yml").write_text(MONITORING)
    command[-1:-1] = ["-f", str(tmp_path / "compose.monitoring.yml"), "--profile", "monitoring"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(yaml.safe_load(done.stdout)["services"]) == 9
