# SPDX-License-Identifier: MIT
"""hear.py URL USER EVENT: subscribes, says so, and prints frames until one with this event."""

import asyncio
import json
import sys

import websockets


async def main(url, user, event):
    async with websockets.connect(url) as socket:
        await socket.send(json.dumps({"type": "subscribe", "user_id": int(user)}))
        async for text in socket:
            frame = json.loads(text)
            print("subscribed" if frame["type"] == "subscribe" else text, flush=True)
            if frame.get("event") == event:
                return


asyncio.run(main(*sys.argv[1:]))
