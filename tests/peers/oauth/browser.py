#!/usr/bin/env python3
"""A user at a browser: follows an authorization URL, logs in, consents, and shows where the client is sent back to.

`browser.py URL USER` prints that address. Nothing is fetched there.
"""

import html
import http.cookiejar
import re
import sys
import urllib.error
import urllib.parse
import urllib.request


class Stay(urllib.request.HTTPRedirectHandler):
    """Redirects are followed by hand: the last one leads to the client."""

    def redirect_request(self, *_):
        return None


def main() -> None:
    url, user = sys.argv[1:3]
    opener = urllib.request.build_opener(Stay, urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    site, body = urllib.parse.urlsplit(url).netloc, None
    for _ in range(20):
        try:
            with opener.open(urllib.request.Request(url, data=body), timeout=20) as answer:
                page = answer.read().decode()
        except urllib.error.HTTPError as answer:
            if answer.code not in (302, 303):
                sys.exit(f"{url}: {answer.code} {answer.read().decode(errors='replace')[:600]}")
            url, body = urllib.parse.urljoin(url, answer.headers["Location"]), None
            if urllib.parse.urlsplit(url).netloc != site:
                print(url)
                return
            continue
        form = re.search(r'<form[^>]*action="([^"]+)"', page)
        if not form:
            sys.exit(f"{url}: no form in {page[:600]}")
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
        if "login" in page and 'name="login"' in page:
            hidden |= {"login": user, "password": "any"}
        url, body = urllib.parse.urljoin(url, html.unescape(form[1])), urllib.parse.urlencode(hidden).encode()
    sys.exit("the browser goes round in circles")


main()
