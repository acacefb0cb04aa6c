# SPDX-License-Identifier: MIT
"""hear.py URL USER EVENT [TOKEN]: subscribes, says so, and prints frames until one with this event. SSL_CERT_FILE names what is
trusted."""

import asyncio
import json
import sys

import websockets


async def main(url, user, event, token=None):
    subscribe = {"type": "subscribe", "user_id": int(user)}
    async with websockets.connect(url) as socket:
        await socket.send(json.dumps(subscribe | ({"token": token} if token else {})))
        async for text in socket:
            frame = json.loads(text)
            print("subscribed" if frame["type"] == "subscribe" else text, flush=True)
            if frame.get("event") == event:
                return


asyncio.run(main(*sys.argv[1:]))
