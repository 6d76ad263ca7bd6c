#!/usr/bin/env python3
"""The world between the regions: every packet from one region to another passes through here and
takes as long as `distances.txt` says.

The container is the gateway of every region's network. The kernel hands what goes from one region
to another to a TUN device; this program holds each packet back for its link's delay, jitter, queue
and loss, and gives it back. It needs the capability NET_ADMIN and /dev/net/tun, and no module of
the kernel for delays (netem), which many systems don't have.
"""

import fcntl
import heapq
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time

REGIONS = ["seoul", "tokyo", "frankfurt", "ashburn", "saopaulo", "london"]
# Region number n (from 1) has the network 10.90.n.0/24, of which .1 is the gateway: we.
NETWORK = "10.90"
# What may wait for a link, as time on the link; more is dropped, as a router's queue does.
QUEUE_SECONDS = 0.3
# The addresses that the host's ports lead to: (port of ours, protocol, address, its port).
DOORS = [
    (9090, "tcp", f"{NETWORK}.3.90", 9090),
    (9153, "tcp", f"{NETWORK}.3.53", 9153),
    (5300, "tcp", f"{NETWORK}.3.53", 53),
    (5300, "udp", f"{NETWORK}.3.53", 53),
    (8080, "tcp", f"{NETWORK}.3.11", 80),
]

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


class Link:
    """One direction between two regions."""

    def __init__(self, round_trip_ms, jitter_ms, loss_percent, megabits):
        self.delay = round_trip_ms / 2000
        self.jitter = jitter_ms / 2000
        self.loss = loss_percent / 100
        self.bytes_per_second = megabits * 1e6 / 8
        self.idle_from = 0.0
        self.last_arrival = 0.0

    def arrival(self, now, length, chance):
        """When a packet sent now arrives; None when it is lost. Packets keep their order."""
        start = max(now, self.idle_from)
        if start - now > QUEUE_SECONDS or chance.random() < self.loss:
            return None
        self.idle_from = start + length / self.bytes_per_second
        jitter = abs(chance.gauss(0, self.jitter))
        self.last_arrival = max(self.last_arrival, self.idle_from + self.delay + jitter)
        return self.last_arrival


def read_links(path):
    links = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if words:
                one, other = (REGIONS.index(name) + 1 for name in words[:2])
                numbers = [float(word) for word in words[2:]]
                links[one, other] = Link(*numbers)
                links[other, one] = Link(*numbers)
    return links


def command(text):
    subprocess.run(text.split(), check=True)


def open_tun(name):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    command(f"ip link set {name} up txqueuelen 10000")
    return tun


def interfaces():
    """Our interface in each region's network, by the region's number, and the one to the host."""
    regions, outside = {}, None
    listed = subprocess.run("ip -o -4 addr show".split(), capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        name, address = line.split()[1], line.split()[3]
        if address.startswith(NETWORK + "."):
            regions[int(address.split(".")[2])] = name
        elif name != "lo":
            outside = name
    return regions, outside


def route():
    """Between regions through the TUN device; from the host through its doors."""
    regions, outside = interfaces()
    command(f"ip route add {NETWORK}.0.0/16 dev wan0 table 100")
    for number, name in regions.items():
        command(f"ip addr add {NETWORK}.{number}.1/24 dev {name}")
        command(f"ip rule add iif {name} lookup 100")
        # Our own addresses are reached as before.
    if outside:
        for port, protocol, address, its_port in DOORS:
            command(
                f"iptables -t nat -A PREROUTING -i {outside} -p {protocol} --dport {port}"
                f" -j DNAT --to-destination {address}:{its_port}"
            )
        for name in regions.values():
            command(f"iptables -t nat -A POSTROUTING -o {name} -m conntrack --ctstate DNAT -j MASQUERADE")


def carry(tun, path):
    """Holds packets back and lets them go, until the process is ended. SIGHUP: reads the distances
    anew."""
    links = read_links(path)
    changed = []
    signal.signal(signal.SIGHUP, lambda *_: changed.append(True))
    chance = random.Random(1)
    held, count = [], 0
    ready = select.poll()
    ready.register(tun, select.POLLIN)
    while True:
        if changed:
            changed.clear()
            links = read_links(path)
            print("other distances", flush=True)
        now = time.monotonic()
        while held and held[0][0] <= now:
            try:
                os.write(tun, heapq.heappop(held)[2])
            except OSError:
                pass  # A region that is cut off.
        wait = max(0.0, held[0][0] - time.monotonic()) * 1000 if held else None
        if not ready.poll(wait):
            continue
        for _ in range(64):
            try:
                packet = os.read(tun, 65535)
            except BlockingIOError:
                break
            if packet[0] >> 4 != 4:
                continue
            link = links.get((packet[14], packet[18]))
            arrival = link.arrival(time.monotonic(), len(packet), chance) if link else None
            if arrival is not None:
                count += 1
                heapq.heappush(held, (arrival, count, packet))


def main():
    try:
        # What waits for us waits on top of its distance.
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except PermissionError:
        pass
    tun = open_tun("wan0")
    route()
    carry(tun, sys.argv[1] if len(sys.argv) > 1 else "/lab/distances.txt")


if __name__ == "__main__":
    main()
