"""Threads that do parts of one native call: a pool of their own, in machine code.

`share(function, context, parts)` calls `function(context, number)` for each number of a part, in the calling thread and
in as many others as are free, up to `config.threads` together; each takes the next number that is left. A part returns
a status; the first that is not 0 ends the work, and is returned. The others compute with the caller's floating-point
state, and the flags that they raise are raised in the caller.

They are no threads of Python, and need neither its lock nor that it is running: `PyThread_start_new_thread` starts them
when they are first wanted, and they wait at `PyThread`'s locks. A process that is forked has none of them, and starts
its own. As in `executor.threads`, whoever wakes a thread keeps it off the processor that it runs on itself, where the
system can: Linux often puts it there, and then it begins after 250 µs instead of 50.
"""

from __future__ import annotations

import ctypes
import os
import re
from _thread import allocate_lock
from collections.abc import Callable, Sequence

import numpy as np

from funcgrad.config import after, config
from funcgrad.native.code import SHARE, SHARE_BLAS
from funcgrad.native.entry_state import floating_state
from funcgrad.native.entry_words import FLAGS, words
from funcgrad.native.llvm import Library, Options
from funcgrad.native.symbols import address
from funcgrad.scratch import aligned

__all__ = ["share_addresses"]

_MOST = 64
"""Threads, at most."""

_POOL = words("threads acquire release start getcpu getaffinity setaffinity getblas setblas workers")
"""Words of the pool: how many threads are to work, the caller among them; functions outside; the first worker.

    acquire, release, start: Python's functions for locks and threads.
    getcpu, getaffinity, setaffinity: the system's, for processors; 0 where there are none.
    getblas, setblas: OpenBLAS's, for its number of threads, which is one of the process; 0 where there are none. It is
        1 during work that calls BLAS, however many threads share that: what BLAS gives depends on it.
"""

_WORKER = words("job started wake done thread avoided")
"""Words of a thread: what it works for, whether it was started, two locks, its name, the processor it does not run on.

It belongs to whoever puts a job there in place of null. `wake` opens when there is one, `done` when it is done. A
thread that begins puts its own block in the job's place; until then the job can be taken back, so that nobody waits for
a thread that comes too late. (It may then find none, or the next one.)
"""

_JOB = words("function context parts next status flags state")
"""Words of a job, which lies on the caller's stack."""

_STRIDE = 16
"""Words from one worker to the next: no two lie in one line of a cache."""

# In the text, [job: a b] stands for the addresses %job.a and %job.b of words behind %job.


_TAKE = """
define internal void @take(ptr %job) noinline {
entry:
  [job: function context parts next status]
  %function = load ptr, ptr %job.function
  %context = load ptr, ptr %job.context
  %parts = load i64, ptr %job.parts
  br label %next
next:
  %k = atomicrmw add ptr %job.next, i64 1 monotonic
  %more = icmp slt i64 %k, %parts
  br i1 %more, label %do, label %done
do:
  %status = call i32 %function(ptr %context, i64 %k)
  %fine = icmp eq i32 %status, 0
  br i1 %fine, label %next, label %failed
failed:
  store atomic i32 %status, ptr %job.status monotonic, align 8
  store atomic i64 %parts, ptr %job.next monotonic, align 8
  br label %next
done:
  ret void
}
"""

_WORK = """
define void @work(ptr %worker) {
entry:
  [worker: wake done job]
  %pool = load ptr, ptr @pool
  [pool: acquire release]
  %acquire = load ptr, ptr %pool.acquire
  %release = load ptr, ptr %pool.release
  %wake = load ptr, ptr %worker.wake
  %done = load ptr, ptr %worker.done
  br label %wait
wait:
  %got = call i32 %acquire(ptr %wake, i32 1)
  %job = load atomic ptr, ptr %worker.job acquire, align 8
  %none = icmp eq ptr %job, null
  %last = icmp eq ptr %job, %worker
  %nothing = or i1 %none, %last
  br i1 %nothing, label %wait, label %take
take:
  %pair = cmpxchg ptr %worker.job, ptr %job, ptr %worker acq_rel monotonic
  %ours = extractvalue { ptr, i1 } %pair, 1
  br i1 %ours, label %begin, label %wait
begin:
  [job: state flags]
  %state = load i32, ptr %job.state
  call void @write(i32 %state)
  call void @take(ptr %job)
  %now = call i32 @read()
  %raised = and i32 %now, $FLAGS
  %old = atomicrmw or ptr %job.flags, i32 %raised acq_rel
  call void %release(ptr %done)
  br label %wait
}
"""

_KEEP_OFF = """
define internal void @keep_off(ptr %worker, ptr %pool) noinline {
entry:
  %mask = alloca [16 x i64], align 64
  [pool: getcpu getaffinity setaffinity]
  [worker: avoided thread]
  %getcpu = load ptr, ptr %pool.getcpu
  %none = icmp eq ptr %getcpu, null
  br i1 %none, label %leave, label %look
look:
  %here = call i32 %getcpu()
  %avoided = load i32, ptr %worker.avoided
  %same = icmp eq i32 %here, %avoided
  %known = icmp ult i32 %here, 1024
  %unknown = xor i1 %known, true
  %stay = or i1 %same, %unknown
  br i1 %stay, label %leave, label %ask
ask:
  store i32 %here, ptr %worker.avoided
  call void @llvm.memset.p0.i64(ptr %mask, i8 0, i64 128, i1 false)
  %get = load ptr, ptr %pool.getaffinity
  %got = call i32 %get(i32 0, i64 128, ptr %mask)
  %bad = icmp slt i32 %got, 0
  br i1 %bad, label %leave, label %remove
remove:
  %at = lshr i32 %here, 6
  %bit = and i32 %here, 63
  %bit.64 = zext i32 %bit to i64
  %one = shl i64 1, %bit.64
  %others = xor i64 %one, -1
  %word = getelementptr i64, ptr %mask, i32 %at
  %all = load i64, ptr %word
  %left = and i64 %all, %others
  store i64 %left, ptr %word
  %whole = load <16 x i64>, ptr %mask
  %any = call i64 @llvm.vector.reduce.or.v16i64(<16 x i64> %whole)
  %empty = icmp eq i64 %any, 0
  br i1 %empty, label %leave, label %put
put:
  %set = load ptr, ptr %pool.setaffinity
  %thread = load i64, ptr %worker.thread
  %status = call i32 %set(i64 %thread, i64 128, ptr %mask)
  br label %leave
leave:
  ret void
}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @llvm.vector.reduce.or.v16i64(<16 x i64>)
"""

# Whether a worker has a job for the caller: claimed, started if it never was, kept off this processor, and woken.
_CLAIM = """
define internal i1 @claim(ptr %worker, ptr %pool, ptr %job) noinline {
entry:
  [pool: start release]
  [worker: job started thread wake]
  %pair = cmpxchg ptr %worker.job, ptr null, ptr %job acq_rel monotonic
  %ours = extractvalue { ptr, i1 } %pair, 1
  br i1 %ours, label %claimed, label %no
claimed:
  %started = load i64, ptr %worker.started
  %is = icmp ne i64 %started, 0
  br i1 %is, label %wake, label %start
start:
  %start.function = load ptr, ptr %pool.start
  %thread = call i64 %start.function(ptr @work, ptr %worker)
  %thread.32 = trunc i64 %thread to i32
  %failed = icmp eq i32 %thread.32, -1
  br i1 %failed, label %drop, label %begun
begun:
  store i64 %thread, ptr %worker.thread
  store i64 1, ptr %worker.started
  br label %wake
wake:
  call void @keep_off(ptr %worker, ptr %pool)
  %release = load ptr, ptr %pool.release
  %lock = load ptr, ptr %worker.wake
  call void %release(ptr %lock)
  ret i1 true
drop:
  store atomic ptr null, ptr %worker.job release, align 8
  br label %no
no:
  ret i1 false
}
"""

_SHARE = """
@pool = internal global ptr null
define void @use(ptr %pool) {
  store ptr %pool, ptr @pool
  ret void
}
define i32 @share(ptr %function, ptr %context, i64 %parts) {
entry:
  %job = alloca [8 x i64], align 64
  %pool = load ptr, ptr @pool
  [job: function context parts next status flags state]
  [pool: threads workers acquire]
  store ptr %function, ptr %job.function
  store ptr %context, ptr %job.context
  store i64 %parts, ptr %job.parts
  store i64 0, ptr %job.next
  store i64 0, ptr %job.status
  store i64 0, ptr %job.flags
  %state = call i32 @read()
  %clear = and i32 %state, $CLEARED
  store i32 %clear, ptr %job.state
  %threads = load atomic i64, ptr %pool.threads monotonic, align 8
  %others = sub i64 %threads, 1
  %useful = sub i64 %parts, 1
  br label %claim
claim:
  %k = phi i64 [ 0, %entry ], [ %k.1, %claim.next ]
  %helpers = phi i64 [ 0, %entry ], [ %helpers.1, %claim.next ]
  %mine = phi i64 [ 0, %entry ], [ %mine.1, %claim.next ]
  %there = icmp slt i64 %k, %others
  %wanted = icmp slt i64 %helpers, %useful
  %go = and i1 %there, %wanted
  br i1 %go, label %claim.next, label %run
claim.next:
  %place = mul i64 %k, $WORKER
  %worker = getelementptr i64, ptr %pool.workers, i64 %place
  %ours = call i1 @claim(ptr %worker, ptr %pool, ptr %job)
  %one = zext i1 %ours to i64
  %helpers.1 = add i64 %helpers, %one
  %bit = shl i64 %one, %k
  %mine.1 = or i64 %mine, %bit
  %k.1 = add i64 %k, 1
  br label %claim
run:
  call void @take(ptr %job)
  %acquire = load ptr, ptr %pool.acquire
  br label %end
end:
  %left = phi i64 [ %mine, %run ], [ %left.1, %ended ]
  %free = icmp eq i64 %left, 0
  br i1 %free, label %flags, label %wait
wait:
  %number = call i64 @llvm.cttz.i64(i64 %left, i1 true)
  %theirs = mul i64 %number, $WORKER
  %who = getelementptr i64, ptr %pool.workers, i64 %theirs
  %pair = cmpxchg ptr %who, ptr %job, ptr null acq_rel monotonic
  %late = extractvalue { ptr, i1 } %pair, 1
  br i1 %late, label %ended, label %working
working:
  %done.at = getelementptr i64, ptr %who, i64 $DONE
  %done = load ptr, ptr %done.at
  %got = call i32 %acquire(ptr %done, i32 1)
  store atomic ptr null, ptr %who release, align 8
  br label %ended
ended:
  %below = sub i64 %left, 1
  %left.1 = and i64 %left, %below
  br label %end
flags:
  %raised = load atomic i32, ptr %job.flags acquire, align 8
  %any = icmp ne i32 %raised, 0
  br i1 %any, label %raise, label %leave
raise:
  %now = call i32 @read()
  %with = or i32 %now, %raised
  call void @write(i32 %with)
  br label %leave
leave:
  %result = load atomic i32, ptr %job.status monotonic, align 8
  ret i32 %result
}
declare i64 @llvm.cttz.i64(i64, i1)
"""

_SHARE_BLAS = """
define i32 @share_blas(ptr %function, ptr %context, i64 %parts) {
entry:
  %pool = load ptr, ptr @pool
  [pool: getblas setblas]
  %get = load ptr, ptr %pool.getblas
  %no = icmp eq ptr %get, null
  br i1 %no, label %plain, label %ask
plain:
  %result = call i32 @share(ptr %function, ptr %context, i64 %parts)
  ret i32 %result
ask:
  %set = load ptr, ptr %pool.setblas
  %before = call i32 %get()
  %one = icmp slt i32 %before, 2
  br i1 %one, label %plain, label %single
single:
  call void %set(i32 1)
  %found = call i32 @share(ptr %function, ptr %context, i64 %parts)
  call void %set(i32 %before)
  ret i32 %found
}
"""


def _text() -> str:
    blocks = {"pool": _POOL, "worker": _WORKER, "job": _JOB}

    def addresses(found: re.Match[str]) -> str:
        base, names = found[1], found[2].split()
        return "\n".join(f"  %{base}.{n} = getelementptr i64, ptr %{base}, i64 {blocks[base][n]}" for n in names)

    text = _SHARE + _SHARE_BLAS + _CLAIM + _KEEP_OFF + _WORK + _TAKE
    text = re.sub(r"^  \[(\w+): ([\w ]+)\]$", addresses, text, flags=re.MULTILINE)
    numbers = {"WORKER": _STRIDE, "DONE": _WORKER["done"], "FLAGS": FLAGS, "CLEARED": ~FLAGS}
    return floating_state() + re.sub(r"\$([A-Z]+)", lambda found: str(numbers[found[1]]), text)


Compile = Callable[[str, Options, Sequence[str]], Library]


class _Pool:
    """The code, and the block of words that it works with."""

    def __init__(self, compile: Compile) -> None:
        self.code = compile(_text(), Options(level=1, code=1), ["share", "share_blas", "use"])
        self.begin()

    def begin(self) -> None:
        """Begin with no threads."""
        self.words = words = aligned(8 * (_POOL["workers"] + _MOST * _STRIDE)).view(np.int64)
        words[:] = 0
        for name, symbol in _FUNCTIONS.items():
            words[_POOL[name]] = address(symbol) or 0
        for first, *others in (("getcpu", "getaffinity", "setaffinity"), ("getblas", "setblas")):
            if not all(words[_POOL[name]] for name in others):
                words[_POOL[first]] = 0
        workers = words[_POOL["workers"] :].reshape(_MOST, _STRIDE)
        for worker in workers:
            worker[_WORKER["wake"]], worker[_WORKER["done"]] = _closed(), _closed()
            worker[_WORKER["avoided"]] = -1
        self.look_at_settings()
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.code["use"])(words.ctypes.data)

    def look_at_settings(self) -> None:
        self.words[_POOL["threads"]] = max(1, min(config.threads, _MOST + 1))


_FUNCTIONS = {
    "acquire": "PyThread_acquire_lock",
    "release": "PyThread_release_lock",
    "start": "PyThread_start_new_thread",
    "getcpu": "sched_getcpu",
    "getaffinity": "sched_getaffinity",
    "setaffinity": "pthread_setaffinity_np",
    "getblas": "openblas_get_num_threads",
    "setblas": "openblas_set_num_threads",
}


def _closed() -> int:
    """The address of a lock that is held."""
    make = ctypes.pythonapi.PyThread_allocate_lock
    make.restype = ctypes.c_void_p
    lock = make()
    ctypes.pythonapi.PyThread_acquire_lock(ctypes.c_void_p(lock), 1)
    return int(lock)


_pool: _Pool | None = None
_lock = allocate_lock()


def share_addresses(compile: Compile) -> dict[str, int]:
    """The addresses of `share` and `share_blas`, by symbol; `compile` makes them if they are not there yet."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = _Pool(compile)
            after["threads"] = _pool.look_at_settings
        return {SHARE: _pool.code["share"], SHARE_BLAS: _pool.code["share_blas"]}


def _after_fork() -> None:
    global _lock
    _lock = allocate_lock()
    if _pool is not None:
        _pool.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
