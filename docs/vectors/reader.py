#!/usr/bin/env python3
"""A second reader of Plumbline's wire format, after docs/wire-format.md, with the standard library only.

    python3 reader.py vectors blocks.json
        decodes, verifies and recomputes every vector; exit 1 if one is not as stated
    python3 reader.py block FILE [--key ed25519:...]
        prints one block as JSON
    python3 reader.py log DIRECTORY [--keys FILE]
        reads the blocks of a collector's log (log-*.db) and prints one JSON line per reading:
        site, agent, epoch, sequence, tag, time, status, words. With --keys (lines of "site agent ed25519:...")
        every signature is verified too. Restatements are left out.

It shares no line with the Rust code, so that an error in one of them shows.
"""

import base64
import hashlib
import json
import pathlib
import sqlite3
import sys
import zlib

BLOCK_MAX, HEADER_MAX, INFLATED_MAX, RATIO_MAX, VALUES_MAX = 1 << 20, 64 << 10, 8 << 20, 500, 1 << 20
BLOCK_TYPE = "application/vnd.plumbline.block.v1"


class Bad(Exception):
    """What is refused: a code that all readers share, and words."""

    def __init__(self, code, why=""):
        super().__init__(f"{code}: {why}")
        self.code = code


# ---- Ed25519, strict: RFC 8032 with the rule of docs/wire-format.md ------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
IDENTITY = (0, 1, 1, 0)


def add(a, b):
    """Sum of two points in extended coordinates."""
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar, point):
    total = IDENTITY
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def same(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def decompress(octets):
    """The point, or None unless the 32 octets are its canonical encoding."""
    number = int.from_bytes(octets, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
KEYS = {}


def key_point(key):
    """The point of a public key; refused unless canonical, of prime order, not the identity."""
    if key not in KEYS:
        point = decompress(key)
        if point is None or same(point, IDENTITY) or not same(times(L, point), IDENTITY):
            raise Bad("signature", "the public key is not acceptable")
        KEYS[key] = point
    return KEYS[key]


def verify_plain(key, message, signature):
    a, r, s = key_point(key), decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    if r is None or s >= L or same(times(8, r), IDENTITY):
        raise Bad("signature", "malformed")
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    if not same(times(s, BASE), add(r, times(k, a))):
        raise Bad("signature", "does not hold")


def parse_key(text):
    if not text.startswith("ed25519:"):
        raise Bad("signature", "not a key")
    key = base64.urlsafe_b64decode(text[8:] + "=")
    if len(key) != 32 or "ed25519:" + base64.urlsafe_b64encode(key).decode().rstrip("=") != text:
        raise Bad("signature", "not a key")
    return key


def verify(key, payload_type, body, trailer):
    if trailer[:8] != hashlib.sha256(key).digest()[:8]:
        raise Bad("signature", "another key")
    pae = f"DSSEv1 {len(payload_type)} {payload_type} {len(body)} ".encode() + body
    verify_plain(key, pae, trailer[8:])


# ---- Deterministic CBOR --------------------------------------------------------------------------------------------


class Cbor:
    """Reads deterministic CBOR: unsigned, negative, bytes, text, array, map, false, true, null."""

    def __init__(self, octets, code):
        self.octets, self.at, self.code = octets, 0, code

    def bad(self, why):
        return Bad(self.code, f"{why} at byte {self.at}")

    def take(self, length):
        if length > len(self.octets) - self.at:
            raise self.bad("cut off")
        self.at += length
        return self.octets[self.at - length : self.at]

    def item(self, depth=0):
        if depth > 8:
            raise self.bad("nested too deep")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            if info in (20, 21, 22):
                return {20: False, 21: True, 22: None}[info]
            raise self.bad("float or simple value")
        if major == 6 or info > 27:
            raise self.bad("tag or indefinite length")
        value = info
        if info >= 24:
            width = 1 << (info - 24)
            value = int.from_bytes(self.take(width), "big")
            if value < (24 if width == 1 else 1 << (4 * width)):
                raise self.bad("not the shortest form")
        if major == 0:
            return value
        if major == 1:
            return -1 - value
        if major == 2:
            return self.take(value)
        if major == 3:
            try:
                return self.take(value).decode()
            except UnicodeDecodeError:
                raise self.bad("not UTF-8") from None
        if value > len(self.octets) - self.at:
            raise self.bad("cut off")
        if major == 4:
            return [self.item(depth + 1) for _ in range(value)]
        found, last = {}, None
        for _ in range(value):
            start = self.at
            key = self.item(depth + 1)
            spelled = self.octets[start : self.at]
            if last is not None and spelled <= last:
                raise self.bad("keys out of order")
            last = spelled
            found[key] = self.item(depth + 1)
        return found


def cbor(octets, code):
    reader = Cbor(octets, code)
    value = reader.item()
    if reader.at != len(octets):
        raise reader.bad("bytes behind the end")
    return value


def fields(value, code, known, needed):
    """A map with integer keys: those below 64 must be known, the needed ones must be there."""
    if not isinstance(value, dict) or not all(isinstance(key, int) and key >= 0 for key in value):
        raise Bad(code, "not a map with integer keys")
    if any(key < 64 and key not in known for key in value) or any(key not in value for key in needed):
        raise Bad(code, "a key is unknown or missing")
    return value


def check(holds, code, why):
    if not holds:
        raise Bad(code, why)


def is_uint(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64


def is_hash(value):
    return isinstance(value, bytes) and len(value) == 32


# ---- Header --------------------------------------------------------------------------------------------------------

GAP_KINDS = ["evicted", "refused", "corrupted", "agent_down", "restored", "communication_lost", "overflow", "clock_unusable", "disk_refused"]
MARKS = ["demo_key", "insecure_mqtt", "insecure_opcua", "simulated"]


def interval(value):
    check(isinstance(value, list) and len(value) == 2 and is_uint(value[1]), "header", "interval")
    check(isinstance(value[0], int), "header", "interval")
    return [value[0], value[0] + value[1]]


def gap(value, sequence):
    value = fields(value, "header", range(1, 6), [1])
    check(is_uint(value[1]) and 1 <= value[1] <= len(GAP_KINDS), "header", "gap kind")
    check(2 in value or 3 in value, "header", "a gap of nothing")
    if 2 in value:
        check(len(value[2]) == 2 and all(map(is_uint, value[2])), "header", "gap sequences")
        check(0 < value[2][0] <= value[2][1] < sequence, "header", "gap sequences")
    check(4 not in value or (is_hash(value[4]) and 2 in value), "header", "gap hash")
    return {
        "kind": GAP_KINDS[value[1] - 1],
        "sequences": value.get(2),
        "interval": interval(value[3]) if 3 in value else None,
        "last_block_hash": value[4].hex() if 4 in value else None,
        "detail": value.get(5, ""),
    }


def section_entry(value):
    check(isinstance(value, list) and len(value) == 4, "header", "section")
    name, size, inflated, digest = value
    check(isinstance(name, str) and 1 <= len(name) <= 16 and is_hash(digest), "header", "section")
    check(is_uint(size) and is_uint(inflated) and max(size, inflated) < 1 << 32, "header", "section")
    return {"name": name, "bytes": size, "inflated_bytes": inflated, "hash": digest.hex()}


def header(octets):
    try:
        return header_fields(cbor(octets, "header"))
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise Bad("header", f"a field is of another kind: {error}") from None


def header_fields(value):
    needed = [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 20]
    value = fields(value, "header", range(1, 21), needed)
    check(value[1] == 1, "header", "unknown version")
    check(all(is_uint(value[key]) and value[key] > 0 for key in (4, 5, 14)), "header", "counted from 1")
    check(is_hash(value[6]) and is_hash(value[7]), "header", "hashes")
    check((value[5] == 1) == (value[6] == bytes(32)), "header", "zero hash exactly for sequence 1")
    check(sum(value[16]) == value[15], "header", "counts do not add up")
    check(all(value.get(key, True) for key in (17, 18, 19)), "header", "written although empty")
    check(value.get(19, 0) < 16, "header", "marks")
    sections = [section_entry(entry) for entry in value[20]]
    names = [entry["name"] for entry in sections]
    check(len(names) <= 8 and len(set(names)) == len(names), "header", "section names")
    return {
        "format": value[1],
        "site": value[2],
        "agent": value[3],
        "epoch": value[4],
        "sequence": value[5],
        "prev_block_hash": value[6].hex(),
        "config_hash": value[7].hex(),
        "plan_hash": value[8].hex() if 8 in value else None,
        "software": value[9],
        "boot_id": value[10].hex(),
        "window": interval(value[11]),
        "monotonic": interval(value[12]),
        "clock": value[13],
        "first_sample": value[14],
        "sample_count": value[15],
        "quality_counts": value[16],
        "drops": value.get(17, {}),
        "gaps": [gap(entry, value[5]) for entry in value.get(18, [])],
        "marks": [name for bit, name in enumerate(MARKS) if value.get(19, 0) >> bit & 1],
        "sections": sections,
    }


# ---- Sections ------------------------------------------------------------------------------------------------------

UNITS = [1, 100, 1_000, 1_000_000, 1_000_000_000]


def wrap(value):
    """A number modulo 2^64, as a signed one."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def unzigzag(value):
    return value >> 1 if value & 1 == 0 else -(value >> 1) - 1


class Columns:
    """Reads the bytes of an inflated section."""

    def __init__(self, octets):
        self.octets, self.at, self.left = octets, 0, VALUES_MAX

    def bad(self, why):
        return Bad("section", f"{why} at byte {self.at}")

    def take(self, length):
        if length > len(self.octets) - self.at:
            raise self.bad("cut off")
        self.at += length
        return self.octets[self.at - length : self.at]

    def spend(self, count):
        self.left -= count
        if self.left < 0:
            raise self.bad("too many values")

    def varint(self):
        value, shift = 0, 0
        while True:
            octet = self.take(1)[0]
            value |= (octet & 127) << shift
            if octet < 128:
                break
            shift += 7
            if shift > 63:
                raise self.bad("varint too long")
        if value >> 64 or (octet == 0 and shift):
            raise self.bad("varint not in its shortest form")
        return value

    def count(self):
        value = self.varint()
        if value > len(self.octets) - self.at:
            raise self.bad("count beyond the end")
        return value

    def status(self):
        return int.from_bytes(self.take(4), "big")

    def times(self, count):
        if count == 0:
            return []
        self.spend(count)
        code = self.take(1)[0]
        if code & 15 >= len(UNITS) or code >> 4 > 2:
            raise self.bad("unknown time column")
        unit, mode, first = UNITS[code & 15], code >> 4, unzigzag(self.varint())
        if mode == 0:
            found = [first]
            for _ in range(count - 1):
                found.append(wrap(found[-1] + unzigzag(self.varint())))
        elif mode == 1:
            step = unzigzag(self.varint())
            found = [first] + [wrap(first + row * step + unzigzag(self.varint())) for row in range(1, count)]
        else:
            found = [wrap(first + self.varint()) for _ in range(count)]
        if any(not -(1 << 63) <= time * unit < 1 << 63 for time in found):
            raise self.bad("time out of range")
        return [time * unit for time in found]

    def presence(self, count):
        code = self.take(1)[0]
        if code > 2:
            raise self.bad("unknown presence")
        if code < 2:
            return [code == 1] * count
        bits = self.take((count + 7) // 8)
        return [bits[row // 8] >> (row % 8) & 1 == 1 for row in range(count)]

    def tags(self, count):
        found, least = [], 0
        for _ in range(count):
            found.append(least + self.varint())
            least = found[-1] + 1
            if found[-1] > 0xFFFF:
                raise self.bad("tag out of range")
        return found

    def values(self, counts):
        codes = list(self.take(len(counts)))
        if any(code not in (0, 1, 2, 4, 8, 15) for code in codes):
            raise self.bad("unknown value column")
        firsts = []
        for code, count in zip(codes, counts):
            firsts.append(None if code == 15 or count == 0 else self.varint())
            if code in (1, 2, 4) and firsts[-1] is not None and firsts[-1] >> (8 * code):
                raise self.bad("first value out of range")
        columns = []
        for code, count, first in zip(codes, counts, firsts):
            if code == 15:
                texts = []
                for _ in range(self.count()):
                    try:
                        texts.append(self.take(self.count()).decode())
                    except UnicodeDecodeError:
                        raise self.bad("not UTF-8") from None
                places = [self.varint() for _ in range(count)]
                if any(place >= len(texts) for place in places):
                    raise self.bad("text out of range")
                columns.append([texts[place] for place in places])
            elif code == 0 or count == 0:
                columns.append([first] * count)
            else:
                values = [first]
                for _ in range(count - 1):
                    values.append((values[-1] + unzigzag(self.varint())) % (1 << (8 * code)))
                columns.append(values)
        return columns

    def exceptions(self, rows):
        found, least = [], 0
        for _ in range(self.count()):
            start = least + self.varint()
            least = start + self.varint() + 1
            if least > rows:
                raise self.bad("exception out of range")
            status = self.status()
            found += [[row, status] for row in range(start, least)]
        return found

    def scan(self):
        group, rows = self.varint(), self.count()
        request = self.times(rows)
        response = [wrap(time + after) for time, after in zip(request, self.times(rows))]
        count = self.count()
        self.spend(rows * count)
        tags = self.tags(count)
        exceptions = [self.exceptions(rows) for _ in tags]
        columns = []
        for tag, listed, values in zip(tags, exceptions, self.values([rows] * count)):
            for row, status in listed:
                if status >> 31:
                    values[row] = "" if isinstance(values[row], str) else 0
            columns.append({"tag": tag, "values": values, "exceptions": listed})
        return {"kind": "scan", "group": group, "request": request, "response": response, "columns": columns}

    def observed(self, life, total):
        places = [self.varint() for _ in range(total)]
        if any(place > len(life) for place in places):
            raise self.bad("life sign out of range")
        apart = iter(self.times(places.count(0)))
        return [life[place - 1] if place else next(apart) for place in places]

    def before(self, reference):
        present = self.presence(len(reference))
        times = iter(self.times(sum(present)))
        return [wrap(time - next(times)) if there else None for there, time in zip(present, reference)]

    def event(self):
        group = self.varint()
        life = self.times(self.count())
        if life != sorted(life):
            raise self.bad("life signs fall")
        tags = self.tags(self.count())
        counts = [self.count() for _ in tags]
        total = sum(counts)
        self.spend(total)
        observed = self.observed(life, total)
        server = self.before(observed)
        source = self.before([time if at is None else at for at, time in zip(server, observed)])
        statuses = []
        while len(statuses) < total:
            length = self.varint() + 1
            if length > total - len(statuses):
                raise self.bad("run of statuses out of range")
            statuses += [self.status()] * length
        present = self.presence(total)
        ends = [sum(counts[: place + 1]) for place in range(len(counts))]
        ranges = [range(end - count, end) for end, count in zip(ends, counts)]
        columns = []
        for tag, rows, values in zip(tags, ranges, self.values([sum(present[row] for row in rows) for rows in ranges])):
            values = iter(values)
            rows = [[source[r], server[r], observed[r], statuses[r], next(values) if present[r] else None] for r in rows]
            columns.append({"tag": tag, "rows": rows})
        return {"kind": "event", "group": group, "life": life, "columns": columns}

    def groups(self):
        found = []
        for _ in range(self.count()):
            kind = self.take(1)[0]
            if kind > 1:
                raise self.bad("unknown kind of group")
            found.append(self.scan() if kind == 0 else self.event())
            if found[-1]["group"] > 0xFFFF:
                raise self.bad("group out of range")
        if self.at != len(self.octets):
            raise self.bad("bytes behind the last group")
        return found


def inflate(body, declared):
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(body, declared + 1)
    except zlib.error as error:
        raise Bad("section", str(error)) from None
    if len(plain) != declared or not inflater.eof or inflater.unused_data:
        raise Bad("section", "another length than declared")
    return plain


# ---- Blocks and control messages -----------------------------------------------------------------------------------


def open_block(octets):
    """Header, hash, signed bytes, section bodies and trailer; everything checked but the signature."""
    check(len(octets) <= BLOCK_MAX, "too_big", "block")
    check(b"PLB1".startswith(octets[:4]), "magic", "does not begin with PLB1")
    check(len(octets) >= 8, "short", "preamble")
    length = int.from_bytes(octets[4:8], "big")
    check(length <= HEADER_MAX, "too_big", "header")
    check(len(octets) >= 8 + length, "short", "header")
    head, at, bodies = header(octets[8 : 8 + length]), 8 + length, []
    for entry in head["sections"]:
        most = min(INFLATED_MAX, max(64 << 10, RATIO_MAX * entry["bytes"]))
        check(entry["inflated_bytes"] <= most, "section", "declares too much")
        check(len(octets) >= at + entry["bytes"], "short", "section")
        bodies.append(octets[at : at + entry["bytes"]])
        check(hashlib.sha256(bodies[-1]).hexdigest() == entry["hash"], "section_hash", entry["name"])
        at += entry["bytes"]
    check(len(octets) >= at + 72, "short", "trailer")
    check(len(octets) == at + 72, "trailing", "bytes behind the trailer")
    signed = octets[: 8 + length]
    return head, hashlib.sha256(signed).hexdigest(), signed, bodies, octets[at:]


def count(counts, group, start):
    place = lambda status: min(status >> 30, 2)
    for column in group["columns"]:
        if group["kind"] == "scan":
            counts[0] += len(column["values"]) - len(column["exceptions"])
            for _, status in column["exceptions"]:
                counts[place(status)] += 1
        else:
            for row in column["rows"]:
                if row[2] >= start:
                    counts[place(row[3])] += 1


def read_block(octets, key=None):
    """Header, hash and groups of a block; its signature verified if a key is given."""
    head, digest, signed, bodies, trailer = open_block(octets)
    if key is not None:
        verify(key, BLOCK_TYPE, signed, trailer)
    groups, counts = [], [0, 0, 0]
    for entry, body in zip(head["sections"], bodies):
        for group in Columns(inflate(body, entry["inflated_bytes"])).groups():
            count(counts, group, head["window"][0])
            groups.append({"section": entry["name"], **group})
    check(counts == head["quality_counts"], "counts", f"{counts}")
    return head, digest, groups


CONTROL = {
    "birth": {1: "site", 2: "agent", 3: "sent_at", 4: "epoch", 5: "software", 6: "register_map"},
    "status": {1: "site", 2: "agent", 3: "sent_at", 4: "epoch", 5: "online"},
    "ack": {1: "site", 2: "agent", 3: "sent_at", 4: "epoch", 5: "contiguous", 6: "beyond", 7: "refused", 8: "log_index", 9: "log_origin"},
    "down": {1: "site", 2: "agent", 3: "sent_at", 4: "request", 5: "epoch", 6: "ranges"},
}


def read_control(octets, kind, key):
    check(80 <= len(octets) <= 1 << 20 and octets[:4] == b"PLC1", "form", "not a control message")
    signed, trailer = octets[:-72], octets[-72:]
    check(int.from_bytes(signed[4:8], "big") == len(signed) - 8, "form", "another length than it says")
    verify(key, f"application/vnd.plumbline.{kind}.v1", signed, trailer)
    names = CONTROL[kind]
    needed = names if kind != "down" else [1, 2, 3, 4]
    body = fields(cbor(signed[8:], "body"), "body", names, needed)
    found = {names[number]: value for number, value in body.items() if number in names}
    for name in ("beyond", "ranges"):
        least = 1
        for first, last in found.get(name, []):
            check(least <= first <= last, "body", "ranges out of order")
            least = last + 1
    if "register_map" in found:
        found["register_map"] = found["register_map"].hex()
    return found


def register_map(octets):
    """Name, group and number of Modbus words (or None) of each tag."""
    value = fields(cbor(octets, "body"), "body", range(1, 7), range(1, 7))
    check(value[1] == 1, "body", "unknown version")
    tags = [fields(tag, "body", range(1, 12), [1, 2, 3, 6]) for tag in value[6]]
    return [[tag[1], tag[2], tag[4][3] if 4 in tag else None] for tag in tags]


# ---- Commands ------------------------------------------------------------------------------------------------------


def refused(code, read):
    try:
        read()
    except Bad as error:
        return None if error.code == code else f"refused as {error}, not as {code}"
    return f"accepted, not refused as {code}"


def vectors(path):
    file = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    keys = {name: parse_key(key["public"]) for name, key in file["keys"][0].items()}
    octets = lambda case: bytes(case["zeros"]) if "zeros" in case else bytes.fromhex(case["hex"])
    wrong = []
    previous = bytes(32).hex()
    for case in file["blocks"]:
        head, digest, groups = read_block(octets(case), keys["agent"])
        stated = (case["header"], case["hash"], case["groups"], previous)
        if (head, digest, groups, head["prev_block_hash"]) != stated:
            wrong.append(f"block {case['name']!r} is not as stated")
        previous = digest
    for case in file["bad_blocks"]:
        answer = refused(case["error"], lambda: read_block(octets(case), keys["agent"]))
        wrong += [f"bad block {case['name']!r}: {answer}"] if answer else []
    for case in file["controls"]:
        if read_control(octets(case), case["kind"], keys[case["by"]]) != case["fields"]:
            wrong.append(f"control message {case['kind']!r} is not as stated")
    for case in file["bad_controls"]:
        answer = refused(case["error"], lambda: read_control(octets(case), case["kind"], keys[case["by"]]))
        wrong += [f"bad control message {case['name']!r}: {answer}"] if answer else []
    for case in file["register_maps"]:
        if [hashlib.sha256(octets(case)).hexdigest(), register_map(octets(case))] != [case["hash"], case["tags"]]:
            wrong.append("a register map is not as stated")
    print("\n".join(wrong), file=sys.stderr)
    numbers = [len(file[name]) for name in ("blocks", "bad_blocks", "controls", "bad_controls", "register_maps")]
    summary = "{} blocks, {} bad blocks, {} control messages, {} bad control messages, {} register map"
    print(summary.format(*numbers) + (": all as stated" if not wrong else f": {len(wrong)} not as stated"))
    return 1 if wrong else 0


def words(value, width):
    """Modbus words in the order read; other values as they are."""
    if width is None or not isinstance(value, int) or width > 4:
        return value
    return [value >> (16 * place) & 0xFFFF for place in reversed(range(width))]


def readings(head, groups, tags):
    """One (tag, time, status, words) for every reading of a block that is no restatement."""
    name = lambda tag: tags[tag] if tags and tag < len(tags) else [f"#{tag}", None, None]
    for group in groups:
        for column in group["columns"]:
            tag, _, width = name(column["tag"])
            if group["kind"] == "scan":
                listed = dict(map(tuple, column["exceptions"]))
                for row, (time, value) in enumerate(zip(group["request"], column["values"])):
                    status = listed.get(row, 0)
                    yield tag, time, status, None if status >> 31 else words(value, width), group["response"][row]
            else:
                for source, server, observed, status, value in column["rows"]:
                    if observed >= head["window"][0]:
                        yield tag, observed, status, value, [source, server]


def log(directory, keys):
    maps, blocks = {}, []
    for path in sorted(pathlib.Path(directory).glob("log-*.db")):
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        for digest, octets in database.execute("SELECT hash, bytes FROM document WHERE kind = 'register_map'"):
            check(hashlib.sha256(octets).digest() == digest, "document", f"{digest.hex()} in {path}")
            maps[digest.hex()] = register_map(octets)
        blocks.append(database)
    for database in blocks:
        for index, digest, octets in database.execute("SELECT log_index, hash, bytes FROM block ORDER BY log_index"):
            head, found, signed, _, trailer = open_block(octets)
            check(found == digest.hex(), "hash", f"log index {index}")
            who = (head["site"], head["agent"])
            if keys is not None:
                check(who in keys, "signature", f"no key of {who}")
            _, _, groups = read_block(octets, keys[who] if keys is not None else None)
            tags = maps.get(head["config_hash"])
            for tag, time, status, value, more in readings(head, groups, tags):
                line = {"site": who[0], "agent": who[1], "epoch": head["epoch"], "sequence": head["sequence"]}
                line |= {"tag": tag, "time": time, "status": status, "words": value}
                line |= {"response": more} if isinstance(more, int) else {"source": more[0], "server": more[1]}
                print(json.dumps(line, ensure_ascii=False))
    return 0


def main(arguments):
    match arguments:
        case ["vectors", path]:
            return vectors(path)
        case ["block", path, *rest]:
            key = parse_key(rest[1]) if rest[:1] == ["--key"] else None
            head, digest, groups = read_block(pathlib.Path(path).read_bytes(), key)
            print(json.dumps({"hash": digest, "header": head, "groups": groups}, ensure_ascii=False, indent=1))
            return 0
        case ["log", directory]:
            return log(directory, None)
        case ["log", directory, "--keys", path]:
            lines = [line.split() for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
            return log(directory, {(site, agent): parse_key(key) for site, agent, key in lines})
        case _:
            print(__doc__, file=sys.stderr)
            return 64


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Bad as error:
        print(f"refused: {error}", file=sys.stderr)
        sys.exit(1)
