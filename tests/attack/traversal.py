# SPDX-License-Identifier: MIT
"""Paths out of the page's folder. Each answer of 200 must be one of its files, byte for byte."""

from lib.stack import ROOT

from .wire import Wire

UP = [
    b"..", b"%2e%2e", b"%2E.", b".%2e", b"%252e%252e", b"..%00", b"%c0%ae%c0%ae", b"%c0%2e%c0%2e", b"%e0%80%ae%e0%80%ae", b"..;",
    b"..\\", b"..%5c", b"..%255c", b"....", b"...", b". .", b"%u002e%u002e", b"..%2f..", b"..%252f..", b".", b"..%ef%bc%8f..",
]  # fmt: skip
SLASH = [b"/", b"//", b"%2f", b"%2F", b"\\", b"%5c", b"/./", b"%252f", b"/%2f", b"///"]
START = [
    b"/", b"/js", b"/js/", b"/js/..", b"//", b"/index.html/", b"/tasks/", b"/js/main.js/", b"/client/feed.js/", b"/client/..",
    b"/client/feed.js/..", b"/%2e", b"/.", b"/?/", b"/\\", b"/..;/js",
]  # fmt: skip
WANTED = [
    b"etc/passwd", b"nginx.conf.template", b"nginx/nginx.conf.template", b"package.json", b"README.md", b".git/config", b".env",
    b"secrets/jwt_secret", b"etc/nginx/nginx.conf", b"proc/self/environ", b"templates/include/server.inc.template", b"Makefile",
]  # fmt: skip
PLAIN = [
    b"/.git/config", b"/.env", b"/.htaccess", b"/nginx.conf", b"/package.json", b"/js", b"/js/", b"/js/main.js~", b"/index.html~",
    b"/client/", b"/client/feed.js~", b"/client/package.json",
    b"/index.html.bak", b"/index.html%00.js", b"/index.html%20", b"/INDEX.HTML", b"/.problem", b"/.problem-502", b"/.problem-431", b"/.page-431", b"/.missing", b"/.events-later", b"/problems", b"/problems/", b"/problems/validation",
    b"/@plain-404",
    b"/404.html", b"/conf.d/include/api.inc", b"/etc/passwd", b"//etc/passwd", b"/file:///etc/passwd", b"file:///etc/passwd",
    b"/js/../index.html", b"/~root/", b"/server-status", b"/nginx_status", b"/cgi-bin/", b"/adminer", b"/index.php", b"/sql/001.sql",
]  # fmt: skip


def ways(chance, count):
    """PLAIN, then random ones."""
    yield from PLAIN
    for _ in range(count):
        slash, up = chance.choice(SLASH), chance.choice(UP)
        path = chance.choice(START) + slash.join([up] * chance.randrange(1, 9)) + chance.choice(SLASH) + chance.choice(WANTED)
        yield path if chance.random() < 0.9 else path + chance.choice((b"%00", b"%00.js", b"/", b".html", b"?x=1", b"%20", b"#"))


def run(ground, judge):
    files = {path.read_bytes() for path in (ROOT / "nginx" / "client").rglob("*") if path.is_file()}
    files |= {path.read_bytes() for path in (ROOT / "client").glob("*.js")}
    ports = [ground.port, ground.stack.port("CLIENT_PORT"), ground.stack.port("WS_PORT")]
    wires = [Wire(ground.host, port) for port in ports]
    for number, path in enumerate(ways(ground.chance, ground.count)):
        method = b"HEAD" if number % 10 == 9 else b"GET"
        request = method + b" " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        for wire in wires if number % 5 == 0 else wires[:1]:
            answer = wire.ask(request, method)
            judge.answer(request, answer)
            if answer and answer.status == 200 and method == b"GET" and "json" not in answer.header("content-type"):
                judge.check(answer.body in files, f"{path!r} answers with a file that is not the page's: {answer.body[:200]!r}")
            location = answer.header("location") if answer else ""
            judge.check(location.startswith(("/", "http://x/", "http://x:")) or not location, f"{path!r} redirects to {location!r}")
    for wire in wires:
        wire.close()
