"""Encrypted tokens made by hand (RFC 7516), also such as no authorization server would make."""

import base64
import json
import os

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash

from lab.tokens import b64, signed


class EncryptionKey:
    """A key for which tokens are encrypted: RSA-OAEP, ECDH-ES+A128KW or ECDH-ES+A256KW."""

    def __init__(self, algorithm, kid, bits=2048):
        self.algorithm, self.kid = algorithm, kid
        self._private = (rsa.generate_private_key(65537, bits) if algorithm.startswith("RSA")
                         else ec.generate_private_key(ec.SECP256R1()))

    def pem(self):
        """The private key, PKCS#8."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()).decode()

    def packed(self):
        """The private key in base64, for places that take no line ends."""
        return base64.b64encode(self.pem().encode()).decode()

    def encrypt(self, plaintext, content_key=None, **header):
        """A compact JWE of this text; header members given as `None` are left out."""
        content_key = content_key or os.urandom(32)
        wrapped, more = self._wrap(content_key)
        members = {"alg": self.algorithm, "enc": "A256GCM", "cty": "JWT", "kid": self.kid,
                   **more, **header}
        members = {name: value for name, value in members.items() if value is not None}
        head, iv = b64(json.dumps(members).encode()), os.urandom(12)
        sealed = AESGCM(content_key).encrypt(iv, plaintext.encode(), head.encode())
        token = ".".join([head, b64(wrapped), b64(iv), b64(sealed[:-16]), b64(sealed[-16:])])
        signed.append(token)
        return token

    def _wrap(self, content_key):
        if self.algorithm.startswith("RSA"):
            sha1 = hashes.SHA1()
            oaep = padding.OAEP(padding.MGF1(sha1), sha1, None)
            return self._private.public_key().encrypt(content_key, oaep), {}
        ephemeral = ec.generate_private_key(ec.SECP256R1())
        secret = ephemeral.exchange(ec.ECDH(), self._private.public_key())
        length = 16 if self.algorithm.endswith("A128KW") else 32
        name = self.algorithm.encode()
        info = (len(name).to_bytes(4, "big") + name + bytes(8) + (length * 8).to_bytes(4, "big"))
        wrapping = ConcatKDFHash(hashes.SHA256(), length, info).derive(secret)
        numbers = ephemeral.public_key().public_numbers()
        x, y = (b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        epk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        return keywrap.aes_key_wrap(wrapping, content_key), {"epk": epk}
