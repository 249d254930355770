"""The two stores of bytes under a key: a folder of one machine, and a bucket of MinIO or another S3 server.

An object is complete or does not exist. Its SHA-256 is kept with it and compared when it is read.
"""

import base64
import fcntl
import hashlib
import io
import os
import re
import tempfile
from urllib.parse import parse_qs, urlsplit

IDENTITY = "itool-store"  # the object whose content tells a store from every other one
_KEY = re.compile(r"(?!\.{1,2}(/|\Z))[A-Za-z0-9._=-]{1,255}(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._=-]{1,255})*\Z")


class Missing(Exception):
    """The store has no such object."""


class Damaged(Exception):
    """The object's bytes are not those that were stored."""


def check_key(key):
    if len(key) > 512 or not _KEY.match(key):
        raise ValueError(f"store: {key[:80]!r} is no key: names of letters, digits and . _ = - with slashes between")


def open_store(spec):
    """Open disk:PATH or minio://HOST:PORT/BUCKET[/PREFIX]; minios is TLS. It must exist."""
    if spec.startswith("disk:"):
        return Disk(spec.removeprefix("disk:"))
    if spec.startswith(("minio://", "minios://")):
        return Minio(spec)
    raise ValueError(f"store {spec!r} is neither disk:PATH nor minio://HOST:PORT/BUCKET")


class Disk:
    """Objects are files under objects/; behind the content stands one line with its digest and size."""

    TRAILER = re.compile(rb"\nitool-object/1 sha256=([0-9a-f]{64}) size=([0-9]{20})\n\Z")
    TRAILER_BYTES = 114

    def __init__(self, root):
        self.root = os.path.abspath(root)
        with open(os.path.join(self.root, "format"), "rb") as f:
            if f.read() != b"itool storage folder, format 1\n":
                raise ValueError(f"store: {self.root} has a format that this program does not know")

    def path(self, key):
        check_key(key)
        return os.path.join(self.root, "objects", *key.split("/"))

    def get(self, key):
        try:
            with open(self.path(key), "rb") as f:
                data = f.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise Missing(f"{self.root}: no object {key}") from None
        trailer = self.TRAILER.search(data[-self.TRAILER_BYTES:])
        body = data[:-self.TRAILER_BYTES]
        if not trailer or int(trailer[2]) != len(body) or trailer[1].decode() != hashlib.sha256(body).hexdigest():
            raise Damaged(f"{self.root}: object {key} is damaged")
        return body

    def has(self, key):
        return os.path.isfile(self.path(key))

    def put(self, key, data):
        """Store an object, and replace one that exists."""
        self._put(key, data, os.replace)

    def put_if_absent(self, key, data):
        """Store an object unless it exists; True: this call stored it."""
        if self.has(key):
            return False
        try:
            self._put(key, data, os.link)  # a rename that fails if the name exists
        except FileExistsError:
            return False
        return True

    def _put(self, key, data, publish):
        path, folder = self.path(key), os.path.join(self.root, "tmp")
        with tempfile.NamedTemporaryFile(dir=folder, prefix="t-", delete=False) as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX)  # without it, others take the file for one that a killed writer left
                f.write(data)
                f.write(b"\nitool-object/1 sha256=%s size=%020d\n" %
                        (hashlib.sha256(data).hexdigest().encode(), len(data)))
                f.flush()
                os.fsync(f.fileno())
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                publish(f.name, path)
            finally:
                if os.path.exists(f.name):
                    os.unlink(f.name)
        for directory in (os.path.dirname(path), os.path.dirname(os.path.dirname(path))):
            fd = os.open(directory, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)

    def list(self, prefix):
        """The keys that begin with prefix, which ends in a slash."""
        top, keys = self.path(prefix.rstrip("/")), []
        for folder, _, names in os.walk(top):
            keys += [os.path.relpath(os.path.join(folder, n), os.path.join(self.root, "objects")) for n in names]
        return sorted(keys)

    def delete(self, key):
        try:
            os.unlink(self.path(key))
        except FileNotFoundError:
            pass


class Minio:
    """Objects of a bucket. Every one is a single PUT, and its digest is metadata: X-Amz-Meta-Itool-Sha256."""

    def __init__(self, spec):
        import minio  # only who has such a store needs it
        import urllib3

        u = urlsplit(spec)
        bucket, _, prefix = u.path.strip("/").partition("/")
        options = parse_qs(u.query)
        self.client = minio.Minio(
            u.netloc, access_key=os.environ["ITOOL_MINIO_ACCESS_KEY"], secret_key=os.environ["ITOOL_MINIO_SECRET_KEY"],
            session_token=os.environ.get("ITOOL_MINIO_SESSION_TOKEN") or None, secure=u.scheme == "minios",
            region=options.get("region", [None])[0])
        self.error, self.unreachable = minio.error.S3Error, urllib3.exceptions.HTTPError
        self.bucket, self.prefix = bucket, prefix + "/" if prefix else ""
        self.root = spec.partition("?")[0]
        if not self.client.bucket_exists(bucket):
            raise ValueError(f"store: {self.root}: there is no such bucket")

    def _name(self, key):
        check_key(key)
        return self.prefix + key

    def _ask(self, what, key, call, *args, **options):
        """A request. Missing: there is no such object; OSError: the server does not do it now."""
        try:
            return call(self.bucket, *args, **options)
        except self.error as e:
            if e.code in ("NoSuchKey", "NoSuchObject"):
                raise Missing(f"{self.root}: no object {key}") from None
            raise OSError(f"store: {what} {key}: {e.code}") from e
        except self.unreachable as e:
            raise OSError(f"store: {what} {key}: {e!r}") from None

    def get(self, key):
        r = self._ask("get", key, self.client.get_object, self._name(key))
        try:
            data, digest = r.read(), r.headers.get("x-amz-meta-itool-sha256", "")
        except self.unreachable as e:
            raise OSError(f"store: get {key}: {e!r}") from None
        finally:
            r.close()
            r.release_conn()
        if digest != hashlib.sha256(data).hexdigest():
            raise Damaged(f"{self.root}: object {key} is damaged, or another program stored it")
        return data

    def has(self, key):
        try:
            self._ask("stat", key, self.client.stat_object, self._name(key))
        except Missing:
            return False
        return True

    def put(self, key, data):
        sum256 = hashlib.sha256(data)
        self._ask(
            "put", key, self.client.put_object, self._name(key), io.BytesIO(data), len(data),
            part_size=max(5 << 20, len(data) + 1),  # one PUT, never several parts
            content_type="application/octet-stream",
            metadata={"Itool-Sha256": sum256.hexdigest(),
                      "X-Amz-Checksum-Sha256": base64.b64encode(sum256.digest()).decode()})

    def put_if_absent(self, key, data):
        # The keys that a stage stores are digests of the content, but for the identity: a second writer
        # stores the same bytes.
        if self.has(key):
            return False
        self.put(key, data)
        return True

    def list(self, prefix):
        found = self._ask("list", prefix, lambda *a, **o: list(self.client.list_objects(*a, **o)),
                          self.prefix + prefix, recursive=True)
        return sorted(o.object_name.removeprefix(self.prefix) for o in found)

    def delete(self, key):
        self._ask("delete", key, self.client.remove_object, self._name(key))
