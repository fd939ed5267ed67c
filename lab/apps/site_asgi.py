"""The lab's ASGI application, served by uvicorn: ordinary pages, and documents that fail."""
import asyncio
import hashlib
import random


class Offer:
    def __init__(self, name):
        self.fields = {"name": name, "net": 120}

    def total(self):
        return "%s %s" % (self.fields["net"], self.unit())

    def unit(self):
        return self.fields["currency"]


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    path = scope["path"]
    await asyncio.sleep(random.uniform(0.002, 0.04))
    status = 200
    if path.startswith("/documents/"):
        Offer(path).total()
    if path in ("/ads.txt", "/humans.txt", "/img/missing.png", "/phpinfo.php") or path.startswith(("/.", "/wp-", "/xmlrpc", "/apple")):
        status = 404
    elif path.startswith("/widget/"):
        status = 500
    elif path.startswith("/upkeep/"):
        status = 503
    digest = hashlib.md5(path.encode()).hexdigest()
    body = ("<p>%s</p>\n" % digest * (30 + int(digest[:2], 16))).encode()
    headers = [(b"content-type", b"text/html"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
