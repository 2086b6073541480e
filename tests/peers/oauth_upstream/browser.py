#!/usr/bin/env python3
"""A user at a browser: reads the gate's page, presses its button, logs in at the provider, agrees, and comes back.

`browser.py URL USER` ends with 0 where the last page says that it is done.
"""

import html
import http.cookiejar
import re
import sys
import urllib.error
import urllib.parse
import urllib.request


class Stay(urllib.request.HTTPRedirectHandler):
    """Redirects are followed by hand: a form is sent once."""

    def redirect_request(self, *_):
        return None


def main() -> None:
    url, user = sys.argv[1:3]
    opener = urllib.request.build_opener(Stay, urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    body = None
    for _ in range(20):
        origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(url))
        request = urllib.request.Request(url, data=body, headers={"Origin": origin} if body is not None else {})
        try:
            with opener.open(request, timeout=20) as answer:
                page = answer.read().decode()
        except urllib.error.HTTPError as answer:
            if answer.code not in (302, 303):
                sys.exit(f"{url}: {answer.code} {answer.read().decode(errors='replace')[:600]}")
            url, body = urllib.parse.urljoin(url, answer.headers["Location"]), None
            continue
        if "<h1>Done</h1>" in page:
            return
        form = re.search(r"<form([^>]*)>", page)
        if not form:
            sys.exit(f"{url}: no form in {page[:600]}")
        action = re.search(r'action="([^"]+)"', form[1])
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
        if 'name="login"' in page:
            fields |= {"login": user, "password": "any"}
        url = urllib.parse.urljoin(url, html.unescape(action[1])) if action else url
        body = urllib.parse.urlencode(fields).encode()
    sys.exit("the browser goes round in circles")


main()
