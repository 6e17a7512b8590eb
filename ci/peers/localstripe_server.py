"""Runs localstripe on 127.0.0.1 only, on a free port that it writes into the file `port`.

Its own start listens on all addresses and keeps its data in one file for all who run it.
"""

import os
import socket

from aiohttp import web
from localstripe.resources import Store
from localstripe.server import app

Store.dump_to_disk = lambda self: None

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
with open("port.new", "w") as file:
    file.write(str(listener.getsockname()[1]))
os.rename("port.new", "port")
web.run_app(app, sock=listener, access_log=None)
