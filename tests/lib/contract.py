# SPDX-License-Identifier: MIT
"""Judges answers by nginx/client/openapi.yaml, and frames by asyncapi.yaml beside it: a status, a header or a member
that these lack is a failure. `unmet()` lists what they have and no test met."""

import functools
import json
import re
from pathlib import Path

import jsonschema
import yaml

CLIENT = Path(__file__).resolve().parents[2] / "nginx/client"
# Headers that HTTP and nginx add to any answer; docs/security.md explains those that protect.
GENERAL = {
    "server", "date", "content-type", "content-length", "content-encoding", "connection", "keep-alive", "transfer-encoding",
    "cache-control", "vary", "allow", "x-request-id", "x-content-type-options", "strict-transport-security", "x-accel-buffering",
}  # fmt: skip
GENERAL_PREFIX = "access-control-"


class Document:
    def __init__(self, name):
        self.name = name
        self.root = yaml.safe_load((CLIENT / name).read_text())
        self.resolver = jsonschema.RefResolver("", self.root)

    def resolved(self, node):
        while "$ref" in node:
            node = self.resolver.resolve(node["$ref"])[1]
        return node

    def assert_valid(self, value, schema, what):
        errors = sorted(jsonschema.Draft202012Validator(schema, resolver=self.resolver).iter_errors(value), key=str)
        assert not errors, f"{self.name}: {what}: {jsonschema.exceptions.best_match(errors).message}\n{value!r}"


class Calls(Document):
    """The calls, and which of their answers were met."""

    def __init__(self):
        super().__init__("openapi.yaml")
        self.met = set()
        self.paths = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/%]+", path)), path, self.root["paths"][path]) for path in self.root["paths"]
        ]

    def judge(self, method, address, response):
        """An address that the document lacks, or that nginx rewrites first (%2e%2e), is for other tests."""
        found = next(((path, item) for known, path, item in self.paths if known.fullmatch(address.partition("?")[0])), None)
        if not found or method == "OPTIONS":
            return
        path, item = found
        operation = item.get("get" if method == "HEAD" else method.lower())
        what = f"{method} {path} {response.status}"
        if operation is None:
            assert response.status >= 400, f"{what}: the document has no such call"
            return
        status = str(response.status)
        assert status in operation["responses"], f"{self.name}: {what} is not an answer it knows"
        documented = self.resolved(operation["responses"][status])
        if method == "HEAD":
            return
        self.met.add((operation["operationId"], status))
        self._judge_headers(documented.get("headers", {}), response, what)
        self._judge_body(documented.get("content", {}), response, what)

    def _judge_headers(self, documented, response, what):
        documented = {name.lower(): self.resolved(header) for name, header in documented.items()}
        given = {name.lower(): value for name, value in response.headers.items()}
        for name, value in given.items():
            if name in documented:
                self.assert_valid(value, documented[name]["schema"], f"{what}: {name}")
            else:
                assert name in GENERAL or name.startswith(GENERAL_PREFIX), f"{self.name}: {what} has no header {name}"
        missing = [name for name, header in documented.items() if header.get("required") and name not in given]
        assert not missing, f"{self.name}: {what} lacks {missing}"

    def _judge_body(self, documented, response, what):
        kind = response.header("Content-Type", "").partition(";")[0]
        if not response.body and not documented:
            return
        assert kind in documented, f"{self.name}: {what} is no {kind!r}"
        if kind.endswith("json") and not response.header("Content-Encoding"):
            self.assert_valid(response.json(), documented[kind]["schema"], what)

    def unmet(self):
        """The answers of its own that each call can give, and those that calls share: these are met when one call gave them."""
        own, shared = set(), {}
        for item in self.root["paths"].values():
            for operation in (item[method] for method in ("get", "post", "patch", "delete") if method in item):
                for status, answer in operation["responses"].items():
                    pair = (operation["operationId"], status)
                    if "$ref" in answer:
                        shared.setdefault(answer["$ref"].rpartition("/")[2], set()).add(pair)
                    else:
                        own.add(pair)
        return sorted(own - self.met) + sorted(name for name, pairs in shared.items() if not pairs & self.met)


class Frames(Document):
    def __init__(self):
        super().__init__("asyncapi.yaml")
        self.met = set()
        self.heard = {
            name: self.resolved(message)["payload"]
            for name, message in self.root["channels"]["feed"]["messages"].items()
            if name not in ("subscribe", "unsubscribe", "ping")
        }

    def judge(self, text):
        frame = json.loads(text)
        name = {"subscribe": "subscribed", "unsubscribe": "unsubscribed"}.get(frame["type"], frame["type"])
        assert name in self.heard, f"{self.name} knows no {frame}"
        self.met.add(name)
        self.assert_valid(frame, self.heard[name], name)

    def judge_event(self, headers, body):
        event = self.resolved(self.root["channels"]["tasks"]["messages"]["event"])
        self.met.add("event")
        self.assert_valid(headers, event["headers"], "headers of an event")
        self.assert_valid(json.loads(body), event["payload"], "an event")

    def unmet(self):
        return sorted({*self.heard, "event"} - self.met)


@functools.cache
def calls():
    return Calls()


@functools.cache
def frames():
    return Frames()
