"""A Modbus TCP server that Plumbline did not write: pymodbus, driven over standard input.

Prints `port N` once it listens. Then one JSON command a line, each answered with `ok`:
  {"words": {"100": 1, ...}}                            holding registers as they are
  {"typed": [[address, "INT32", "CDAB", value], ...]}   encoded by pymodbus itself; bytes swapped for BADC, DCBA
  {"writes": true}                                      answers `writes N`: attempts to write that were seen
"""

import asyncio
import json
import sys

from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

SIZE = 1000
STATE = [0] * SIZE
WRITES = 0


async def serve_state(_code, start, _address, _count, registers, set_values):
    global WRITES
    if set_values is not None:
        WRITES += 1
    for position in range(len(registers)):
        if 0 <= start + position < SIZE:
            registers[position] = STATE[start + position]


def swap(word):
    return (word >> 8) | ((word & 0xFF) << 8)


def encode(kind, order, value):
    data_type = ModbusClientMixin.DATATYPE[kind]
    word_order = "big" if order in ("ABCD", "BADC") else "little"
    words = ModbusClientMixin.convert_to_registers(value, data_type, word_order=word_order)
    return [swap(w) for w in words] if order in ("BADC", "DCBA") else words


def obey(command):
    for address, word in command.get("words", {}).items():
        STATE[int(address)] = word
    for address, kind, order, value in command.get("typed", []):
        for offset, word in enumerate(encode(kind, order, value)):
            STATE[address + offset] = word
    return f"writes {WRITES}" if "writes" in command else "ok"


async def main():
    device = SimDevice(1, simdata=[SimData(0, values=[0] * SIZE, datatype=DataType.REGISTERS)], action=serve_state)
    server = ModbusTcpServer([device], address=("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve_forever())
    while server.transport is None:
        await asyncio.sleep(0.01)
    print("port", server.transport.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(obey(json.loads(line)), flush=True)
    serving.cancel()


asyncio.run(main())
