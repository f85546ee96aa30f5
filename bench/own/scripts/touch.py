"""A script like any other: touch so many megabytes, burn so many CPU seconds, sleep, end.

``touch.py MEGABYTES BURN SLEEP [FOLDER COUNT]``: with the last two it waits in between until COUNT processes have
touched theirs. What is touched is kept to the end. Megabytes of 10^6 bytes. Python 3.7, standard library.
"""

import mmap
import os
import sys
import time

PAGE = 4096


def touched(megabytes):
    """So much anonymous memory, each page written once."""
    size = megabytes * 1_000_000
    if not size:
        return None
    block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ones = b"\1" * (1 << 16)  # small: it counts too
    for start in range(0, size, len(ones)):
        block[start : start + len(ones)] = ones[: size - start]
    return block


def burn(seconds):
    """Use so much CPU."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def wait_for(folder, count):
    """Until so many processes are here."""
    open(os.path.join(folder, str(os.getpid())), "w").close()
    while len(os.listdir(folder)) < count:
        time.sleep(0.02)


def main():
    """Do it."""
    megabytes, burnt, asleep = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    block = touched(megabytes)
    if len(sys.argv) > 4:
        wait_for(sys.argv[4], int(sys.argv[5]))
    time.sleep(0.25)
    burn(burnt)
    time.sleep(asleep)
    del block


if __name__ == "__main__":
    main()
