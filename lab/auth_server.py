"""A real authorization server (oidc-provider), and the browser's part of logging in to it without a
browser: authorization code with PKCE, as a SMART standalone launch does it."""

import hashlib
import http.client
import json
import re
import secrets
import time
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from lab import tokens
from lab.processes import ROOT, LabError, Process, answers, free_port

PATIENT_APP, CLINICIAN_APP, BACKEND = "growth-chart", "ward-round", "lab-feed"
OPAQUE_APP, GATEWAY = "opaque-chart", "gateway"
REDIRECT = "http://127.0.0.1/callback"


class AuthServer:
    """Issues access tokens (`at+jwt`) for `audience`."""

    def __init__(self, folder, audience, port=None, algorithm="RS256"):
        self.port = port or free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.jwks_url = f"{self.issuer}/jwks"
        self.introspection_url = f"{self.issuer}/token/introspection"
        self.gateway_secret = secrets.token_urlsafe(32)
        tokens.secrets.append(self.gateway_secret)
        self.audience = audience
        self._client_key = tokens.Key("ES384", "lab-feed-1")
        if not (ROOT / "lab" / "node_modules").is_dir():
            raise LabError("oidc-provider is not installed: run lab/setup")
        self._process = Process(
            "authorization server", ["node", ROOT / "lab" / "authserver.mjs"],
            f"{folder}/authserver.log",
            {"PORT": str(self.port), "AUDIENCE": audience, "ALG": algorithm,
             "CLIENT_JWK": json.dumps(self._client_key.jwk()), "GATEWAY_SECRET": self.gateway_secret})

    def wait(self):
        self._process.wait_until(lambda: answers(self.jwks_url))

    def code(self, authorize_url, person):
        """A person logs in and agrees where an app sent them; returns the code that the app gets."""
        return _Browser(self.issuer).code(authorize_url, person)

    def log_in(self, person, scope, app=PATIENT_APP, audience=None, lifetime=300):
        """A person logs in to an app in their browser; returns the app's access token."""
        verifier = secrets.token_urlsafe(32)
        asked = {
            "client_id": app, "response_type": "code", "redirect_uri": REDIRECT,
            "scope": f"openid {scope}", "state": secrets.token_urlsafe(8),
            "aud": audience or self.audience, "resource": audience or self.audience,
            "code_challenge": tokens.b64(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        code = self.code(f"{self.issuer}/auth?{urlencode(asked)}", person)
        return self._token({
            "grant_type": "authorization_code", "client_id": app, "code": code,
            "redirect_uri": REDIRECT, "code_verifier": verifier,
            "resource": audience or self.audience, "lifetime": lifetime,
        })

    def backend_token(self, scope, audience=None, lifetime=300):
        """The backend service proves its key and gets an access token (SMART Backend Services)."""
        now = int(time.time())
        assertion = self._client_key.sign({
            "iss": BACKEND, "sub": BACKEND, "aud": self.issuer, "jti": secrets.token_hex(8),
            "iat": now, "exp": now + 60}, typ="JWT")
        return self._token({
            "grant_type": "client_credentials", "scope": scope, "client_assertion": assertion,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "resource": audience or self.audience, "lifetime": lifetime,
        })

    def revoke(self, token, app=OPAQUE_APP):
        """An app says that it needs its token no more (RFC 7009)."""
        form = {"token": token, "client_id": app}
        status, _, body = _exchange(self.issuer, "POST", "/token/revocation", form)
        if status != 200:
            raise LabError(f"the authorization server did not revoke a token: {body[:300]}")

    def rotate(self, algorithm=None, drop=False, ahead=False):
        """A new signing key; with `drop` the others leave the key set, with `ahead` it joins the set and
        is not used yet. The names of the keys, the one that signs first."""
        asked = {"alg": algorithm, "drop": drop and "1", "ahead": ahead and "1"}
        query = urlencode({name: value for name, value in asked.items() if value})
        return self._change_keys(f"rotate?{query}")

    def use_newest(self):
        """Signs with the key that joined the set last."""
        return self._change_keys("use")

    def retire(self):
        """All keys but the one that signs leave the key set."""
        return self._change_keys("retire")

    def stop(self):
        self._process.stop()

    def _change_keys(self, how):
        status, _, body = _exchange(self.issuer, "POST", f"/lab/{how}")
        if status != 200:
            raise LabError(f"the authorization server did not change its keys: {body[:300]}")
        return json.loads(body)["kids"]

    def _token(self, form):
        status, _, body = _exchange(self.issuer, "POST", "/token", form)
        if status != 200:
            raise LabError(f"the authorization server gave no token: {body[:300]}")
        token = json.loads(body)["access_token"]
        tokens.signed.append(token)
        return token


class _Browser:
    """Follows redirects, keeps cookies, fills in the login and consent forms."""

    def __init__(self, origin):
        self._origin, self._cookies = origin, {}

    def code(self, url, person):
        """The authorization code at the end of the way."""
        form = None
        for _ in range(15):
            location, page = self._go(url, form)
            if location and location.startswith(REDIRECT):
                answer = parse_qs(urlsplit(location).query)
                if "code" not in answer:
                    raise LabError(f"the authorization server refused the login: {location}")
                return answer["code"][0]
            if location:
                url, form = urljoin(self._origin, location), None
            else:
                url, form = self._fill_in(page, person)
        raise LabError("the login did not come to an end")

    def _fill_in(self, page, person):
        action = re.search(r'action="([^"]+)"', page)
        prompt = re.search(r'name="prompt" value="([^"]+)"', page)
        if not action or not prompt:
            raise LabError(f"no login form: {page[:300]}")
        form = {"prompt": prompt[1], "login": person, "password": "any"}
        return urljoin(self._origin, action[1]), form

    def _go(self, url, form):
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        cookie = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        status, headers, page = _exchange(
            self._origin, "POST" if form else "GET", target, form, {"cookie": cookie})
        for line in headers.get_all("set-cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self._cookies[name] = morsel.value
        if status >= 400:
            raise LabError(f"the login failed with {status}: {page[:300]}")
        return headers.get("location"), page


def _exchange(origin, method, target, form=None, headers=None):
    """One request: status, headers and text."""
    connection = http.client.HTTPConnection(urlsplit(origin).netloc, timeout=10)
    body = urlencode(form) if form else None
    fields = dict(headers or {})
    if form:
        fields["content-type"] = "application/x-www-form-urlencoded"
    try:
        connection.request(method, target, body, fields)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()
