"""Become COMMAND, unless a process that did so with the same LOCK is still alive: then say so and exit with 75.

    python tools/only_once.py LOCK COMMAND...

The operating system lets the lock go when the process ends, however it ends: nothing to clean up after `kill -9`.
"""
import fcntl, os, sys
from pathlib import Path

BUSY = 75  # EX_TEMPFAIL of sysexits.h

def main(lock, *command):
    path = Path(lock)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR|os.O_CREAT)
    try: fcntl.flock(file, fcntl.LOCK_EX|fcntl.LOCK_NB)
    except BlockingIOError:
        print(f'Another run of this is under way, process {path.read_text()}: wait for its end or stop it.', file=sys.stderr)
        sys.exit(BUSY)
    path.write_text(str(os.getpid()))
    os.set_inheritable(file, True)  # held by COMMAND, under the same process id
    os.execvp(command[0], command)

if __name__=='__main__': main(*sys.argv[1:])
