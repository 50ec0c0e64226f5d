"""Google Drive: direct links, and the page that asks to confirm the download of a large file."""

from collections.abc import Mapping
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit, urlunsplit

from keras_ssd.zoo.errors import DownloadError

HOSTS = ("drive.google.com", "drive.usercontent.google.com", "docs.google.com")
# Phrases of Drive's own pages, in lower case.
QUOTA = ("too many users have viewed or downloaded", "quota exceeded")
SIGN_IN = ("accounts.google.com", "request access", "you need access")


def is_drive(url: str) -> bool:
    """Whether a url is one of Google Drive's."""
    return urlsplit(url).hostname in HOSTS


def direct_url(url: str) -> str:
    """The download link of a published Drive link (`open?id=...`); any other url comes back as it is."""
    parts = urlsplit(url)
    if not is_drive(url) or parts.path != "/open":
        return url
    return urlunsplit((parts.scheme, parts.netloc, "/uc", f"export=download&{parts.query}", ""))


class _Page(HTMLParser):
    """Collects the forms (action and hidden fields) and the links of a page."""

    def __init__(self):
        super().__init__()
        self.forms = []
        self.links = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.forms.append((attrs.get("action") or "", {}))
        elif tag == "input" and self.forms and attrs.get("name"):
            self.forms[-1][1][attrs["name"]] = attrs.get("value") or ""
        elif tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])


def confirmed_url(page: str, url: str, cookies: Mapping[str, str] | None = None) -> str:
    """The url of the file behind Drive's "cannot scan this file for viruses" page, always on a Drive host.

    Three forms of that page are known: a form with hidden fields (`confirm`, `uuid`), a link with `confirm=` in it, and
    a cookie `download_warning...` with the token.

    Raises:
        DownloadError: the quota is used up, the file is not public, or the page is unknown.
    """
    folded = page.casefold()
    if any(phrase in folded for phrase in QUOTA):
        raise DownloadError(
            "Google Drive refuses: too many people downloaded this file recently. It usually works again "
            "within 24 hours; in a browser, signed in, a copy in your own Drive can be downloaded at once"
        )
    candidate = _candidate(page, url, cookies or {})
    if candidate is None or not is_drive(candidate):
        if any(phrase in folded for phrase in SIGN_IN):
            raise DownloadError("Google Drive asks to sign in: the file is no longer public")
        raise DownloadError("Google Drive sent a page without a download in it; the file may be gone")
    return candidate


def _candidate(page, url, cookies):
    parsed = _Page()
    parsed.feed(page)
    for action, fields in parsed.forms:
        if "confirm" in fields or "uuid" in fields:
            target = urlsplit(urljoin(url, action))
            query = {key: values[0] for key, values in parse_qs(target.query).items()} | fields
            return urlunsplit((target.scheme, target.netloc, target.path, urlencode(query), ""))
    for link in parsed.links:
        if "confirm" in parse_qs(urlsplit(link).query):
            return urljoin(url, link)
    for name, token in cookies.items():
        if name.startswith("download_warning"):
            return f"{url}&{urlencode({'confirm': token})}"
    return None
