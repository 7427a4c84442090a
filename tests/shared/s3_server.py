"""An S3 server of this machine, moto's, for tests: buckets, their objects, the requests made."""

import functools
import itertools
import threading

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class S3:
    """A server in a thread of this process.

    Attributes:
      endpoint: its address.
      requests: method and path of every request so far.
    """

    def __init__(self):
        from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
        from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

        class Handler(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"

            def log(self, type, message, *args):
                pass

        application = DomainDispatcherApplication(create_backend_app)
        self.requests = []

        def recorded(environ, start):
            self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            return application(environ, start)

        self._server = make_server("127.0.0.1", 0, recorded, threaded=True, request_handler=Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._names = (f"bucket-{number}" for number in itertools.count())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def environment(self):
        """Variables as people set them for such a server."""
        return {"AWS_ENDPOINT_URL": self.endpoint, **CREDENTIALS}

    @functools.cached_property
    def client(self):
        """Of this server; kept, because it takes longer to make than a job whose objects are watched."""
        import boto3  # noqa: PLC0415

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=CREDENTIALS["AWS_REGION"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def bucket(self):
        """URL of a new bucket."""
        name = next(self._names)
        self.client.create_bucket(Bucket=name)
        return f"s3://{name}"

    def keys(self, url):
        """Keys of all objects below a URL, relative to it."""
        name, _, prefix = url.removeprefix("s3://").partition("/")
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=f"{prefix}/")
        return [each["Key"][len(prefix) + 1 :] for page in pages for each in page.get("Contents", ())]

    def objects(self, url):
        """Bytes of all objects below a URL, by relative key."""
        name, _, prefix = url.removeprefix("s3://").partition("/")
        client = self.client
        return {
            key: client.get_object(Bucket=name, Key=f"{prefix}/{key}")["Body"].read()
            for key in self.keys(url)
        }

    def groups(self, place):
        """Those of stores and grids, but for the claims that the creation of a group leaves in a bucket."""
        return {key: held for key, held in self.objects(str(place)).items() if not key.endswith(".claim")}

    def chunks(self, url):
        """Number of shards and score matrices below a URL."""
        return sum("/c." in key for key in self.keys(url))

    def upload(self, folder, url):
        """Copy a folder, as `aws s3 sync` does."""
        name, _, prefix = url.removeprefix("s3://").partition("/")
        client = self.client
        for file in folder.rglob("*"):
            if file.is_file():
                key = f"{prefix}/{file.relative_to(folder)}"
                client.put_object(Bucket=name, Key=key, Body=file.read_bytes())

    def close(self):
        if "client" in vars(self):
            self.client.close()
        self._server.shutdown()
        self._server.server_close()
