"""An OPC UA server that Plumbline did not write: asyncua, driven over standard input.

Prints `endpoint URL` once it listens. Then one JSON command a line, each answered with `ok`:
  {"add": [[name, type, value], ...]}                          variables `ns=2;s=name`
  {"set": [[name, type, value, source_time_us, status], ...]}  one DataValue each, in this order
Types are asyncua's variant names (Boolean, Int32, UInt32, UInt64, Float, Double, String). A value of null
with a bad status is a value that the server does not have.
"""

import asyncio
import json
import logging
import sys
from datetime import datetime, timedelta, timezone

from asyncua import Server, ua

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
URI = "urn:plumbline:peer"


async def obey(server, index, nodes, command):
    for name, kind, value in command.get("add", []):
        variant = ua.Variant(value, ua.VariantType[kind])
        nodes[name] = await server.nodes.objects.add_variable(ua.NodeId(name, index), name, variant)
    for name, kind, value, source_us, status in command.get("set", []):
        time = EPOCH + timedelta(microseconds=source_us)
        variant = None if value is None else ua.Variant(value, ua.VariantType[kind])
        data = ua.DataValue(Value=variant, StatusCode=ua.StatusCode(status), SourceTimestamp=time, ServerTimestamp=time)
        await nodes[name].write_value(data)
    return "ok"


async def main():
    logging.disable(logging.CRITICAL)
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace(URI)
    await server.start()
    port = server.bserver._server.sockets[0].getsockname()[1]
    print(f"endpoint opc.tcp://127.0.0.1:{port}", flush=True)
    nodes = {}
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(await obey(server, index, nodes, json.loads(line)), flush=True)
    await server.stop()


asyncio.run(main())
