"""An archive on this machine, as kind or unkind as a test wants it."""

from __future__ import annotations

import json
import threading
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from orrery.archives.http import Http


class Archive:
    """Files by path, answers by path, and what was asked.

    Attributes:
        files: path -> content, served with ETag and ranges.
        answers: path -> function of the handler that answers itself, looked at first.
        asked: (path, query, Range header) of every request.
    """

    def __init__(self):
        self.files, self.answers, self.asked = {}, {}, []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def _handler(self):
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                return

            def do_GET(self):
                parts = urlsplit(self.path)
                query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
                archive.asked.append((parts.path, query, self.headers.get("Range")))
                if parts.path in archive.answers:
                    archive.answers[parts.path](self, query)
                elif parts.path in archive.files:
                    self.give(archive.files[parts.path])
                else:
                    self.reply(404, b"no such file")

            def reply(self, status, body=b"", promised=None, **headers):
                """Answer with a body, of which the header may promise another length."""
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body) if promised is None else promised))
                self.end_headers()
                self.wfile.write(body)
                if promised is not None:
                    self.close_connection = True

            def give(self, content, tag='"1"', stop=None, ranges=True):
                """A file, from where the range begins, broken off at byte `stop`."""
                start = 0
                if ranges and self.headers.get("Range") and self.headers.get("If-Range") in (None, tag):
                    start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
                    if start >= len(content):
                        return self.reply(416)
                body = content[start:stop]
                headers = {"ETag": tag}
                if start:
                    headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                promised = len(content) - start if stop is not None else None
                return self.reply(206 if start else 200, body, promised, **headers)

        return Handler


@pytest.fixture
def archive():
    server = Archive()
    yield server
    server.close()


@pytest.fixture
def http():
    """No waits: what is tested is what is done, not how long it takes."""
    return Http(interval_s=0, retries=3, backoff_s=0, timeout_s=(2, 2))


def ode_entry(identifier, instrument, product_type, box, start, files=()):
    """As ODE writes one: numbers as text, a lone file bare."""
    south, north, west, east = box
    listed = [
        {
            "FileName": name,
            "Type": "Product",
            "KBytes": str(size_kb),
            "URL": url,
            "Description": "PRODUCT DATA FILE",
        }
        for name, url, size_kb in files
    ]
    listed.append({"FileName": f"{identifier}.png", "Type": "Browse", "KBytes": "9", "URL": "http://x/b.png"})
    return {
        "pdsid": identifier, "ihid": "MRO", "iid": instrument, "pt": product_type, "Target_name": "MARS",
        "Minimum_latitude": str(south), "Maximum_latitude": str(north), "Westernmost_longitude": str(west % 360),
        "Easternmost_longitude": str(east % 360), "UTC_start_time": start, "Incidence_angle": "53.1",
        "Product_files": {"Product_file": listed if len(listed) > 1 else listed[0]},
    }  # fmt: skip


def serve_ode(archive, entries, path="/live2/"):
    """ODE on the archive: filters by instrument, type, id and box, pages, and answers in its own odd ways."""

    def touches(entry, query):
        if "minlat" not in query:
            return True
        west, east = float(entry["Westernmost_longitude"]), float(entry["Easternmost_longitude"])
        rows = float(entry["Minimum_latitude"]) <= float(query["maxlat"])
        rows &= float(query["minlat"]) <= float(entry["Maximum_latitude"])
        return rows and west <= float(query["easternlon"]) and float(query["westernlon"]) <= east

    def answer(handler, query):
        wanted = query.get("productid", "*")
        fitting = [
            entry
            for entry in entries
            if (entry["iid"], entry["pt"]) == (query["iid"], query["pt"])
            and fnmatch(entry["pdsid"].upper(), wanted)
            and touches(entry, query)
        ]
        first = int(query["offset"])
        page = fitting[first : first + int(query["limit"])]
        products = {"Product": page[0] if len(page) == 1 else page} if page else "No Products Found"
        content = {"ODEResults": {"Status": "Success", "Count": str(len(fitting)), "Products": products}}
        handler.reply(200, json.dumps(content).encode(), Content_Type="application/json")

    archive.answers[path] = answer
    return archive.url + path
