"""A small client of PostgreSQL's protocol: it sends exactly the bytes that a test wants and reads message by message.

Replies come as short tuples that can be compared between targets:
    ('T', (name, type oid), ...)  ('D', b'value' | None, ...)  ('C', 'SELECT 1')  ('Z', 'I')
    ('E', sqlstate, message)  ('N', sqlstate, message)  ('1',) ('2',) ('3',) ('n',) ('s',) ('t', oid, ...)
    ('G', format, columns) ('H', ...) ('d', bytes) ('c',) ('A', channel, payload) ('V', value)
"""
import base64
import hashlib
import hmac
import os
import socket
import struct

V30 = 0x30000
V32 = 0x30002
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102


def cstr(text):
    return (text.encode() if isinstance(text, str) else text) + b"\0"


def message(tag, body=b""):
    return tag.encode() + struct.pack("!I", len(body) + 4) + body


def startup(version=V30, **parameters):
    body = b"".join(cstr(k) + cstr(v) for k, v in parameters.items()) + b"\0"
    return struct.pack("!II", len(body) + 8, version) + body


def query(sql):
    return message("Q", cstr(sql))


def parse(name, sql, *types):
    return message("P", cstr(name) + cstr(sql) + struct.pack("!H", len(types)) + struct.pack(f"!{len(types)}I", *types))


def bind(portal, name, *values, result_formats=(), formats=()):
    body = cstr(portal) + cstr(name) + struct.pack("!H", len(formats)) + struct.pack(f"!{len(formats)}H", *formats)
    body += struct.pack("!H", len(values))
    for value in values:
        if value is None:
            body += struct.pack("!i", -1)
        else:
            raw = value if isinstance(value, bytes) else str(value).encode()
            body += struct.pack("!i", len(raw)) + raw
    body += struct.pack("!H", len(result_formats)) + struct.pack(f"!{len(result_formats)}H", *result_formats)
    return message("B", body)


def describe(kind, name):
    return message("D", kind.encode() + cstr(name))


def execute(portal="", rows=0):
    return message("E", cstr(portal) + struct.pack("!I", rows))


def close(kind, name):
    return message("C", kind.encode() + cstr(name))


def function_call(oid, *arguments):
    """All in text format."""
    body = struct.pack("!IHH", oid, 0, len(arguments))
    for argument in arguments:
        raw = str(argument).encode()
        body += struct.pack("!i", len(raw)) + raw
    return message("F", body + struct.pack("!H", 0))


SYNC = message("S")
FLUSH = message("H")
TERMINATE = message("X")
COPY_DONE = message("c")


def copy_data(data):
    return message("d", data)


def copy_fail(reason):
    return message("f", cstr(reason))


def run(name, *values):
    """Bind and Execute of a statement, without Sync."""
    return bind("", name, *values) + execute()


class Closed(Exception):
    """The other side closed the connection."""


class ServerError(Exception):
    def __init__(self, fields):
        super().__init__(f"{fields.get('C')}: {fields.get('M')}")
        self.fields = fields
        self.sqlstate = fields.get("C")


def fields_of(body):
    return {part[:1].decode(): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}


def simplify(tag, body):
    if tag in "EN":
        fields = fields_of(body)
        return tag, fields.get("C"), fields.get("M")
    if tag == "Z":
        return tag, body.decode()
    if tag == "C":
        return tag, body[:-1].decode()
    if tag == "D":
        values, at = [], 2
        for _ in range(struct.unpack_from("!H", body)[0]):
            (length,) = struct.unpack_from("!i", body, at)
            at += 4
            values.append(None if length < 0 else body[at:at + length])
            at += max(length, 0)
        return tag, *values
    if tag == "T":
        columns, at = [], 2
        for _ in range(struct.unpack_from("!H", body)[0]):
            end = body.index(b"\0", at)
            columns.append((body[at:end].decode(), struct.unpack_from("!I", body, end + 7)[0]))
            at = end + 19
        return tag, *columns
    if tag == "t":
        (count,) = struct.unpack_from("!H", body)
        return tag, *struct.unpack_from(f"!{count}I", body, 2)
    if tag == "S":
        name, value = body[:-1].split(b"\0")
        return tag, name.decode(), value.decode()
    if tag in "GHW":
        form, columns = struct.unpack_from("!bH", body)
        return tag, form, columns
    if tag == "A":
        channel, payload = body[4:-1].split(b"\0")
        return tag, channel.decode(), payload.decode()
    if tag == "d":
        return tag, body
    if tag == "V":
        (length,) = struct.unpack_from("!i", body)
        return tag, None if length < 0 else body[4:4 + length]
    return (tag, body) if body else (tag,)


def open_socket(address, timeout=20):
    """address: (host, port) or the path of a Unix socket."""
    if isinstance(address, str):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(address)
        return s
    s = socket.create_connection(address, timeout=timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


class Wire:
    def __init__(self, address, user="postgres", database="postgres", password=None, version=V30, timeout=20,
                 login=True, **parameters):
        self.address = address
        self.sock = open_socket(address, timeout)
        self.buffer = bytearray()
        self.parameters = {}
        self.pid = self.secret = None
        self.negotiated = None
        self.auth_methods = []
        self.password = password
        self.user = user
        if login:
            try:
                self.send(startup(version, user=user, database=database, **parameters))
                self.log_in()
            except BaseException:
                self.sock.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def close(self, terminate=True):
        if terminate:
            try:
                self.sock.sendall(TERMINATE)
            except OSError:
                pass
        self.sock.close()

    def reset(self):
        """Closes with RST, as a killed machine's peer would see it."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, *messages):
        self.sock.sendall(b"".join(messages))

    def _fill(self, n):
        while len(self.buffer) < n:
            try:
                got = self.sock.recv(262144)
            except ConnectionResetError:
                got = b""
            if not got:
                raise Closed(bytes(self.buffer[:64]))
            self.buffer += got

    def _raw(self):
        self._fill(5)
        tag = chr(self.buffer[0])
        (length,) = struct.unpack_from("!I", self.buffer, 1)
        self._fill(length + 1)
        body = bytes(self.buffer[5:length + 1])
        del self.buffer[:length + 1]
        return tag, body

    def receive(self):
        """The next message; ParameterStatus is only noted in `parameters`."""
        while True:
            tag, body = self._raw()
            reply = simplify(tag, body)
            if tag != "S":
                return reply
            self.parameters[reply[1]] = reply[2]

    def until(self, *tags):
        replies = []
        while True:
            replies.append(self.receive())
            if replies[-1][0] in tags:
                return replies

    def until_ready(self, times=1):
        return [reply for _ in range(times) for reply in self.until("Z")]

    def ask(self, *messages, syncs=1):
        self.send(*messages)
        return self.until_ready(syncs)

    def query(self, sql):
        return self.ask(query(sql))

    def value(self, sql):
        """The first value of the first row, as text."""
        for reply in self.query(sql):
            if reply[0] == "D":
                return reply[1].decode() if reply[1] is not None else None
            if reply[0] == "E":
                raise AssertionError(reply)
        return None

    def at_end(self, seconds=10):
        """True when the other side closes within this time; what it said before is dropped."""
        self.sock.settimeout(seconds)
        try:
            while self.sock.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def rest(self):
        """All messages until the other side closes."""
        replies = []
        try:
            while True:
                replies.append(self.receive())
        except Closed:
            return replies

    # -- login ------------------------------------------------------------------------------------------------------
    def log_in(self):
        while True:
            tag, body = self._raw()
            if tag == "E":
                raise ServerError(fields_of(body))
            if tag == "R":
                self._authenticate(struct.unpack_from("!I", body)[0], body[4:])
            elif tag == "S":
                reply = simplify(tag, body)
                self.parameters[reply[1]] = reply[2]
            elif tag == "K":
                self.pid, self.secret = struct.unpack_from("!I", body)[0], body[4:]
            elif tag == "v":
                self.negotiated = struct.unpack_from("!II", body)
            elif tag == "Z":
                assert body == b"I", body
                return

    def _authenticate(self, kind, data):
        self.auth_methods.append(kind)
        if kind == 3:
            self.send(message("p", cstr(self.password)))
        elif kind == 5:
            inner = hashlib.md5((self.password + self.user).encode()).hexdigest()
            self.send(message("p", cstr("md5" + hashlib.md5(inner.encode() + data[:4]).hexdigest())))
        elif kind == 10:
            assert b"SCRAM-SHA-256" in data.split(b"\0"), data
            self._scram()

    def _scram(self):
        nonce = base64.b64encode(os.urandom(18)).decode()
        first_bare = f"n=,r={nonce}"
        first = ("n,," + first_bare).encode()
        self.send(message("p", cstr("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
        server_first = self._sasl(11).decode()
        attributes = dict(part.split("=", 1) for part in server_first.split(","))
        assert attributes["r"].startswith(nonce)
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(attributes["s"]),
                                     int(attributes["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        final = f"c=biws,r={attributes['r']}"
        signed = f"{first_bare},{server_first},{final}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.send(message("p", f"{final},p={base64.b64encode(proof).decode()}".encode()))
        verifier = self._sasl(12).decode()
        expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        assert verifier == "v=" + base64.b64encode(expected).decode(), "the server does not know the password"

    def _sasl(self, wanted):
        tag, body = self._raw()
        if tag == "E":
            raise ServerError(fields_of(body))
        assert tag == "R" and struct.unpack_from("!I", body)[0] == wanted, (tag, body)
        return body[4:]

    # -- cancel -----------------------------------------------------------------------------------------------------
    def cancel(self, wait=True):
        send_cancel(self.address, self.pid, self.secret, wait)


def send_cancel(address, pid, secret, wait=True):
    with open_socket(address) as s:
        s.sendall(struct.pack("!III", 12 + len(secret), CANCEL_REQUEST, pid) + secret)
        if wait:
            assert s.recv(1) == b""


def scram_secret(password, salt=None, iterations=4096):
    """A secret as PostgreSQL stores it."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encode = lambda raw: base64.b64encode(raw).decode()
    return f"SCRAM-SHA-256${iterations}:{encode(salt)}${encode(stored)}:{encode(server)}"


def md5_secret(user, password):
    return "md5" + hashlib.md5((password + user).encode()).hexdigest()
