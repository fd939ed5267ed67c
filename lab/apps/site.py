"""The lab's WSGI application, served by gunicorn: ordinary pages, and paths that fail."""
import ctypes
import hashlib
import logging
import os
import random
import time

log = logging.getLogger("gunicorn.error")


class Invoice:
    def __init__(self, number):
        self.lines = {"net": number}

    def total(self):
        return self.lines["net"] * self.rate()

    def rate(self):
        return self.lines["vat_rate"]


def page(environ):
    path = environ["PATH_INFO"]
    if path.startswith("/invoice/"):
        time.sleep(random.uniform(0.002, 0.02))
        return "200 OK", str(Invoice(7).total())
    if path.startswith("/reports/build"):
        time.sleep(30)
    if path.startswith("/reports/make"):
        time.sleep(1.7)
    if path.startswith("/media/frame"):
        time.sleep(random.uniform(0.002, 0.05))
        ctypes.string_at(0)
    if path.startswith("/import/"):
        rows = []
        for n in range(500):
            rows.append(bytes([65 + n % 26]) * (1 << 20))
            time.sleep(0.002)
        return "200 OK", str(len(rows))
    if path.startswith("/rates/"):
        time.sleep(2.1)
    if path.startswith("/partner/"):
        return "520 Origin Error", "<h1>520</h1>"
    if path.startswith("/media/convert"):
        time.sleep(random.uniform(0.002, 0.05))
        os._exit(3)
    if path.startswith("/widget/"):
        log.warning("price service answered without currency: %s", path)
        return "500 Internal Server Error", "<h1>Something went wrong</h1>"
    api = path.startswith("/api/")
    time.sleep(random.uniform(0.0015, 0.012 if api else 0.045))
    digest = hashlib.md5(path.encode()).hexdigest()
    return "200 OK", '{"ok":true,"id":"%s"}' % digest if api else "<p>%s</p>\n" % digest * (60 + int(digest[:2], 16))


def app(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length:
        environ["wsgi.input"].read(length)
    try:
        status, body = page(environ)
    except Exception:
        log.exception("Exception on %s [%s]", environ["PATH_INFO"], environ["REQUEST_METHOD"])
        status, body = "500 Internal Server Error", "<h1>Server Error (500)</h1>"
    body = body.encode()
    start_response(status, [("Content-Type", "text/html"), ("Content-Length", str(len(body)))])
    return [body]
