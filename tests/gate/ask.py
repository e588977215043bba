"""Asks a neighbour by hand, since tools differ from machine to machine.

ask.py arp ADDRESS [SENDER]   who-has, as a broadcast; SENDER 0.0.0.0 is a probe (RFC 5227)
ask.py ns ADDRESS             neighbour solicitation to the solicited-node group
ask.py icmp ADDRESS           one echo request through the kernel
ask.py say ADDRESS TO         UDP and gratuitous ARP from ADDRESS
ask.py na ADDRESS SOURCE      unsolicited neighbour advertisement for ADDRESS, from another one
ask.py advert ADDRESS PRIORITY   VRRPv3 advert of that address
ask.py hear ADDRESS FENCE     says "frame" for each frame that carries ADDRESS, "fence" for FENCE

The others print "answered" or "silent".
"""
import ipaddress
import select
import socket
import struct
import sys
import time

WAIT = 0.4


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data + b"\0" * (len(data) % 2)))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def eth0():
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    packet.bind(("eth0", 0))
    return packet, packet.getsockname()[4]


def own(prefix):
    import subprocess
    lines = subprocess.run(["ip", "-o", "addr", "show", "dev", "eth0"], capture_output=True, text=True).stdout
    for word in lines.split():
        if word.startswith(prefix) and "/" in word:
            return word.split("/")[0]
    return None


def await_frame(packet, wanted):
    until = time.monotonic() + WAIT
    while (left := until - time.monotonic()) > 0:
        if select.select([packet], [], [], left)[0]:
            frame, where = packet.recvfrom(2048)
            if where[2] != socket.PACKET_OUTGOING and wanted(frame):
                return "answered"
    return "silent"


def arp(address, sender=None):
    packet, mac = eth0()
    target = socket.inet_aton(address)
    source = socket.inet_aton(sender or own("10.77."))
    body = struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + mac + source + bytes(6) + target
    packet.send(b"\xff" * 6 + mac + b"\x08\x06" + body)
    return await_frame(packet, lambda f: f[12:14] == b"\x08\x06" and f[20:22] == b"\0\2" and f[28:32] == target)


def ns(address):
    packet, mac = eth0()
    target = ipaddress.ip_address(address).packed
    source = ipaddress.ip_address(own("fe80:")).packed
    group = ipaddress.ip_address("ff02::1:ff00:0").packed[:13] + target[13:]
    body = struct.pack("!BBHI", 135, 0, 0, 0) + target + b"\x01\x01" + mac
    pseudo = source + group + struct.pack("!IBBBB", len(body), 0, 0, 0, 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + group
    packet.send(b"\x33\x33\xff" + target[13:] + mac + b"\x86\xdd" + header + body)
    return await_frame(packet, lambda f: f[12:14] == b"\x86\xdd" and f[54:55] == b"\x88" and f[62:78] == target)


def icmp(address):
    echo = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    echo.connect((address, 0))
    body = struct.pack("!BBHHH", 8, 0, 0, 0x464C, 1)
    echo.send(body[:2] + struct.pack("!H", checksum(body)) + body[4:])
    until = time.monotonic() + WAIT
    while (left := until - time.monotonic()) > 0:
        if select.select([echo], [], [], left)[0] and echo.recv(2048)[20:21] == b"\0":
            return "answered"
    return "silent"


def say(address, to):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, 0))
    packet, mac = eth0()
    ours = socket.inet_aton(address)
    body = struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + mac + ours + b"\xff" * 6 + ours
    for _ in range(5):
        for host in to.split(","):
            try:
                udp.sendto(b"x", (host, 9))
            except OSError:
                pass
        try:
            packet.send(b"\xff" * 6 + mac + b"\x08\x06" + body)
        except OSError:
            pass
        time.sleep(0.05)
    return "said"


def na(address, source):
    packet, mac = eth0()
    target, source = (ipaddress.ip_address(a).packed for a in (address, source))
    group = ipaddress.ip_address("ff02::1").packed
    body = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + target + b"\x02\x01" + mac
    pseudo = source + group + struct.pack("!IBBBB", len(body), 0, 0, 0, 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + group
    try:
        packet.send(b"\x33\x33\0\0\0\1" + mac + b"\x86\xdd" + header + body)
    except OSError:
        pass
    return "said"


def advert(address, priority):
    packet, mac = eth0()
    claimed = ipaddress.ip_address(address).packed
    body = struct.pack("!BBBBHH", 0x31, 51, int(priority), 1, 100, 0) + claimed
    if len(claimed) == 4:
        source, group = (socket.inet_aton(a) for a in (own("10.77."), "224.0.0.18"))
        header = struct.pack("!BBHHHBBH", 0x45, 0xc0, 20 + len(body), 1, 0, 255, 112, 0) + source + group
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        frame = b"\x01\0\x5e\0\0\x12" + mac + b"\x08\0" + header + body
    else:
        source, group = (ipaddress.ip_address(a).packed for a in ("fe80::7", "ff02::12"))
        header = struct.pack("!IHBB", 6 << 28, len(body), 112, 255) + source + group
        frame = b"\x33\x33\0\0\0\x12" + mac + b"\x86\xdd" + header + body
    try:
        packet.send(frame)
    except OSError:
        pass
    return "said"


def hear(address, fence):
    packet, _ = eth0()
    needle, fence = (ipaddress.ip_address(a).packed for a in (address, fence))
    print("listening", flush=True)
    while True:
        frame, where = packet.recvfrom(2048)
        if where[2] != socket.PACKET_OUTGOING:
            for name, sought in ("frame", needle), ("fence", fence):
                if sought in frame[14:]:
                    print(name, flush=True)



print({"arp": arp, "ns": ns, "icmp": icmp, "say": say, "na": na, "advert": advert, "hear": hear}[sys.argv[1]](*sys.argv[2:]))
