# SPDX-License-Identifier: MIT
"""Other projects' WebSocket clients with their defaults: `ws` and `wscat` from npm, websockets of Python."""

import asyncio
import json
import subprocess

import pytest
import websockets

from npm_client import Client, modules
from lib.wait import eventually


def test_ws(stack, http, user):
    """It offers compression, which is declined, and pings three times at once."""
    client = Client("websocket.mjs", stack.ws, str(user))
    try:
        eventually(lambda: len([line for line in client.lines if line["what"] in ("message", "pong")]) == 4, 60)
        http.post("/tasks", {"user_id": user, "content": "for ws"})
        eventually(lambda: client.seen("close"), 60)
    finally:
        client.stop()
    assert client.seen("open") == {"what": "open", "extensions": "", "protocol": ""}
    assert [line["payload"] for line in client.lines if line["what"] == "pong"] == ["one", "two", "three"]
    assert client.seen("message")["frame"]["recovered"] is True
    assert client.contents() == ["for ws"]
    assert client.seen("close")["code"] == 1000 and not client.seen("error")


def wscat(wanted, *arguments):
    """Its output, up to what is wanted. It ends with its input, so that stays open."""
    command = ["node", str(modules() / "wscat" / "bin" / "wscat"), "--no-color", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        said = ""
        for line in process.stdout:
            said += line
            if wanted in said:
                process.kill()
        return said


def test_wscat(stack, user):
    asked = json.dumps({"type": "subscribe", "user_id": user}, separators=(",", ":"))
    assert asked in wscat(asked, "--connect", stack.ws, "--execute", asked, "--wait", "60")


@pytest.mark.parametrize("option, status", [(["--protocol", "8"], 426), (["--subprotocol", "chat"], 400)])
def test_wscat_that_asks_for_something_else(stack, option, status):
    refused = f"Unexpected server response: {status}"
    assert refused in wscat(refused, "--connect", stack.ws, *option, "--execute", "x", "--wait", "60")


def test_websockets_of_python(stack, http, user):
    """With its defaults: compression offered, pings of its own."""

    async def listen():
        heard = []
        async with websockets.connect(stack.ws, ping_interval=0.2, ping_timeout=60) as socket:
            await socket.send(json.dumps({"type": "subscribe", "user_id": user, "since": None}))
            heard.append(json.loads(await asyncio.wait_for(socket.recv(), 60)))
            for number in range(3):
                await asyncio.gather(*[await socket.ping(f"{number}.{place}") for place in range(3)])
                await asyncio.to_thread(http.post, "/tasks", {"user_id": user, "content": f"p{number}"})
                heard.append(json.loads(await asyncio.wait_for(socket.recv(), 60)))
        return heard, socket.close_code

    heard, code = asyncio.run(listen())
    assert heard[0]["recovered"] is True and code == 1000
    assert [frame["task"]["content"] for frame in heard[1:]] == ["p0", "p1", "p2"]


@pytest.mark.disturbs
def test_websockets_of_python_comes_back(stack, http, user):
    """Its own loop connects again; with the cursor nothing is missed."""

    async def listen():
        heard, cursor, killed = [], None, False
        async for socket in websockets.connect(stack.ws):
            try:
                await socket.send(json.dumps({"type": "subscribe", "user_id": user, "since": cursor}))
                async for text in socket:
                    frame = json.loads(text)
                    cursor = frame.get("cursor", cursor)
                    if frame["type"] == "notification":
                        heard.append(frame["task"]["content"])
                    if not killed:
                        killed = True
                        await asyncio.to_thread(stack.notifier().kill)
                        for content in ("a", "b"):
                            await asyncio.to_thread(http.post, "/tasks", {"user_id": user, "content": content})
                    if heard[-1:] == ["b"]:
                        return heard
            except websockets.ConnectionClosed:
                continue

    assert asyncio.run(asyncio.wait_for(listen(), 180)) == ["a", "b"]
