"""The lab's WSGI application behind a third-party middleware that fails on some paths."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "venv/lib/python3.11/site-packages"))

import site_app  # noqa: E402
from geo_pricing.middleware import GeoPricingMiddleware  # noqa: E402

inner = site_app.app


def app(environ, start_response):
    wrapped = GeoPricingMiddleware(inner)
    try:
        return wrapped(environ, start_response)
    except Exception:
        site_app.log.exception("Internal Server Error: %s", environ["PATH_INFO"])
        start_response("500 Internal Server Error", [("Content-Type", "text/html"), ("Content-Length", "4")])
        return [b"oops"]
