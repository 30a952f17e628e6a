"""The public client of Massive against our simulator: prints the price of each futures trade that it gets.

Usage: massive_client.py HOST:PORT KEY
"""

import sys
import threading

from massive import WebSocketClient
from massive.websocket.models import FuturesTrade, Market

EXPECTED = 20

host, key = sys.argv[1:]
prices = []
enough = threading.Event()


def take(messages):
    for message in messages:
        assert isinstance(message, FuturesTrade), message
        assert message.symbol == "RTYZ4" and message.size == 3 and message.timestamp, message
        prices.append(message.price)
    if len(prices) >= EXPECTED:
        enough.set()


client = WebSocketClient(
    api_key=key,
    feed=host,
    market=Market.Futures,
    secure=False,
    subscriptions=["T.RTYZ4", "Q.RTYZ4"],
    max_reconnects=0,
)
threading.Thread(target=client.run, args=(take,), daemon=True).start()
if not enough.wait(30):
    sys.exit(f"only {len(prices)} of {EXPECTED} trades came")
for price in prices:
    print(price)
