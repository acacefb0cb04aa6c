# SPDX-License-Identifier: MIT
"""Tokens of every kind, good and bad, for a stack that asks for them."""

import base64
import hashlib
import hmac
import json
import subprocess
import time
from pathlib import Path

AUDIENCE = "carillon-test"


def make_rsa(folder):
    """private.pem and public.pem of a new RSA key."""
    private, public = folder / "private.pem", folder / "public.pem"
    subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)


def encode(data):
    if isinstance(data, dict):
        data = json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    def __init__(self, secret_file, keys):
        self.secret = Path(secret_file).read_bytes().strip()
        self._private = keys / "private.pem"
        self.public_pem = (keys / "public.pem").read_bytes()

    def hs(self, claims, header=None, secret=None, digest=hashlib.sha256):
        head = f"{encode(header or {'alg': 'HS256', 'typ': 'JWT'})}.{encode(claims)}"
        return f"{head}.{encode(hmac.new(secret or self.secret, head.encode(), digest).digest())}"

    def rs(self, claims, header=None):
        head = f"{encode(header or {'alg': 'RS256', 'kid': 'rsa'})}.{encode(claims)}"
        command = ["openssl", "dgst", "-sha256", "-sign", self._private]
        return f"{head}.{encode(subprocess.run(command, input=head.encode(), stdout=subprocess.PIPE, check=True).stdout)}"

    @staticmethod
    def claims(user, ttl=600, **more):
        return {"sub": str(user), "exp": int(time.time()) + ttl, "aud": AUDIENCE, **more}

    def token(self, user, ttl=600, **more):
        return self.hs(self.claims(user, ttl, **more))

    def admin(self, user=2147483647, **more):
        return self.token(user, scope="openid tasks:admin", **more)

    def bad_ones(self, user):
        """{what is wrong: token}, each of them good but for that."""
        good = self.claims(user)
        whole = self.hs(good)
        without = lambda name: {key: value for key, value in good.items() if key != name}
        return {
            "garbage": "garbage",
            "truncated": whole[:-5],
            "without signature": whole[: whole.rindex(".") + 1],
            "another's signature": whole[: whole.rindex(".")] + self.token(user, ttl=601)[whole.rindex(".") :],
            "expired": self.token(user, ttl=-1),
            "not yet valid": self.token(user, ttl=7200, nbf=int(time.time()) + 3600),  # longer than a test may take
            "wrong key": self.hs(good, secret=b"another secret of thirty-two byte"),
            "alg none": f"{encode({'alg': 'none'})}.{encode(good)}.",
            "HS512": self.hs(good, {"alg": "HS512"}, digest=hashlib.sha512),
            "HS/RS confusion": self.hs(good, {"alg": "HS256", "kid": "rsa"}, secret=self.public_pem),
            "RS as HS": self.hs(good, {"alg": "RS256", "kid": "rsa"}, secret=self.public_pem),
            "RS for the secret": self.rs(good, {"alg": "RS256"}),
            "other audience": self.hs({**good, "aud": "another"}),
            "no audience": self.hs(without("aud")),
            "no exp": self.hs(without("exp")),
            "exp as text": self.hs({**good, "exp": str(good["exp"])}),
            "no sub": self.hs(without("sub")),
            "sub as number": self.hs({**good, "sub": user}),
            "too long": self.hs({**good, "x": "x" * 5000}),
        }
