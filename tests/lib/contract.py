# SPDX-License-Identifier: MIT
"""Judges what travels by nginx/client/openapi.yaml, and frames by asyncapi.yaml beside it: an answer's status, header or
member that these lack is a failure, and so is a request that they do not allow and that was accepted. `unmet()` lists what
they have and no test met: answers, their headers, parameters, and members of each schema that has a name."""

import functools
import gzip
import json
import re
import urllib.parse
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
        self.met = set()

    def resolved(self, node):
        while "$ref" in node:
            node = self.resolver.resolve(node["$ref"])[1]
        return node

    def _validator(self, schema):
        return jsonschema.Draft202012Validator(schema, resolver=self.resolver)

    def assert_valid(self, value, schema, what):
        errors = sorted(self._validator(schema).iter_errors(value), key=str)
        assert not errors, f"{self.name}: {what}: {jsonschema.exceptions.best_match(errors).message}\n{value!r}"
        self._note(value, schema)

    def _note(self, value, schema, name=""):
        """Remembers the members of a valid value, by the name of their schema."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
        schema = self.resolved(schema)
        for kind in schema.get("oneOf", ()):
            if self._validator(kind).is_valid(value):
                self._note(value, kind, name)
        if isinstance(value, list):
            for each in value:
                self._note(each, schema.get("items", {}), name)
        elif isinstance(value, dict):
            properties = schema.get("properties", {})
            for member in value.keys() & properties.keys():
                self.met.add(f"{name}.{member}")
                self._note(value[member], properties[member], f"{name}.{member}")

    def members(self):
        """What _note() can have met."""
        for name, schema in self.root["components"]["schemas"].items():
            for kind in (schema, *schema.get("oneOf", ())):
                yield from (f"{name}.{member}" for member, its in kind.get("properties", {}).items() if its is not False)

    def unmet(self):
        return sorted({*self.members(), *self.others()} - self.met)


class Calls(Document):
    """The calls."""

    def __init__(self):
        super().__init__("openapi.yaml")
        self.paths = [(re.compile(re.sub(r"\{([^}]+)\}", r"(?P<\1>[^/%]+)", path)), path) for path in self.root["paths"]]

    def operations(self):
        """(operation, its parameters), of all."""
        for item in self.root["paths"].values():
            for method in item.keys() & {"get", "post", "patch", "delete"}:
                yield item[method], [*item.get("parameters", ()), *item[method].get("parameters", ())]

    def judge(self, method, address, response, headers=None, body=None):
        """`headers` and `body` are the request's. An address that the document lacks, or that nginx rewrites first (%2e%2e),
        is for other tests."""
        address, _, query = address.partition("?")
        found = next(((match, path) for known, path in self.paths if (match := known.fullmatch(address))), None)
        if not found or method == "OPTIONS":
            return
        match, path = found
        item = self.root["paths"][path]
        operation = item.get("get" if method == "HEAD" else method.lower())
        what = f"{method} {path} {response.status}"
        if operation is None:
            assert response.status >= 400, f"{what}: the document has no such call"
            return
        status = str(response.status)
        assert status in operation["responses"], f"{self.name}: {what} is not an answer it knows"
        if response.status < 400:
            given = {("path", name): value for name, value in match.groupdict().items()}
            given |= {("query", name): value for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True)}
            given |= {("header", name.lower()): value for name, value in (headers or {}).items()}
            self._judge_parameters(operation, item.get("parameters", []), given, what)
            self._judge_content(operation, body, what)
        if method != "HEAD":
            name = self._name(operation["responses"][status], operation, status)
            documented = self.resolved(operation["responses"][status])
            self.met |= {name, operation["operationId"]}
            self._judge_headers(documented.get("headers", {}), response, name, what)
            self._judge_body(documented.get("content", {}), response, what)

    @staticmethod
    def _name(node, operation, own):
        """What calls share has a name of its own; it is met when one of them met it."""
        return node["$ref"].rpartition("/")[2] if "$ref" in node else f"{operation['operationId']} {own}"

    def _judge_parameters(self, operation, shared, given, what):
        missing = []
        for node in [*shared, *operation.get("parameters", [])]:
            parameter = self.resolved(node)
            name, schema = parameter["name"], parameter["schema"]
            value = given.pop((parameter["in"], name.lower() if parameter["in"] == "header" else name), None)
            if value is not None:
                number = value.isascii() and value.isdigit() and self.resolved(schema).get("type") != "string"
                self.assert_valid(int(value) if number else value, schema, f"{what}: {name}")
                self.met.add(self._name(node, operation, name))
            elif parameter.get("required"):
                missing.append(name)
        unknown = [name for place, name in given if place != "header"]
        assert not missing and not unknown, f"{self.name}: {what} was accepted without {missing} and with {unknown}"

    def _judge_content(self, operation, body, what):
        if content := operation.get("requestBody", {}).get("content"):
            self.assert_valid(json.loads(body or "null"), content["application/json"]["schema"], f"{what}: the request")

    def _judge_headers(self, documented, response, answer, what):
        given = {name.lower(): value for name, value in response.headers.items()}
        for name, node in documented.items():
            header = self.resolved(node)
            if name.lower() in given:
                self.assert_valid(given.pop(name.lower()), header["schema"], f"{what}: {name}")
                self.met.add(f"{answer} {name}")
            else:
                assert not header.get("required"), f"{self.name}: {what} lacks {name}"
        unknown = [name for name in given if name not in GENERAL and not name.startswith(GENERAL_PREFIX)]
        assert not unknown, f"{self.name}: {what} has no header {unknown}"

    def _judge_body(self, documented, response, what):
        kind = response.header("Content-Type", "").partition(";")[0]
        if not response.body and not documented:
            return
        assert kind in documented, f"{self.name}: {what} is no {kind!r}"
        if kind.endswith("json"):
            packed = response.header("Content-Encoding") == "gzip"
            text = gzip.decompress(response.body) if packed else response.body
            self.assert_valid(json.loads(text), documented[kind]["schema"], what)

    def others(self):
        for operation, parameters in self.operations():
            yield from (self._name(node, operation, node.get("name")) for node in parameters)
            for status, answer in operation["responses"].items():
                name = self._name(answer, operation, status)
                yield from (name, *(f"{name} {header}" for header in self.resolved(answer).get("headers", {})))

    def unasked(self):
        """The calls that gave no answer."""
        return sorted({operation["operationId"] for operation, _ in self.operations()} - self.met)


class Frames(Document):
    SENT = ("subscribe", "unsubscribe", "ping")

    def __init__(self):
        super().__init__("asyncapi.yaml")
        feed = self.root["channels"]["feed"]["messages"]
        self.payloads = {name: self.resolved(message)["payload"] for name, message in feed.items()}

    def judge(self, text):
        """A frame of the service."""
        frame = json.loads(text)
        self._judge({"subscribe": "subscribed", "unsubscribe": "unsubscribed"}.get(frame["type"], frame["type"]), frame)

    def judge_sent(self, text):
        """A client's frame that was accepted."""
        frame = json.loads(text)
        assert frame["type"] in self.SENT, f"{self.name} knows no {frame}"
        self._judge(frame["type"], frame)

    def _judge(self, name, frame):
        assert name in self.payloads, f"{self.name} knows no {frame}"
        self.met.add(name)
        self.assert_valid(frame, self.payloads[name], name)

    def judge_streamed(self, block):
        """An event of /events: what stands between two empty lines."""
        fields = [line.partition(": ")[::2] for line in block.split("\n")]
        text = "\n".join(value for name, value in fields if name == "data")
        if text:
            self.judge(text)
            frame, fields = json.loads(text), dict(fields)
            assert fields.get("event", "notification") == frame["type"], f"{self.name}: {block}"
            assert fields.get("id") == frame.get("cursor"), f"{self.name}: {block}"

    def judge_event(self, headers, body):
        event = self.resolved(self.root["channels"]["tasks"]["messages"]["event"])
        self.met.add("event")
        self.assert_valid(headers, event["headers"], "headers of an event")
        self.assert_valid(json.loads(body), event["payload"], "an event")

    def others(self):
        return {*self.payloads, "event"}


@functools.cache
def calls():
    return Calls()


@functools.cache
def frames():
    return Frames()
