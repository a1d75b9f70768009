"""seccomp: the system calls that a script may make. It computes, and reads and writes files; all else is refused.

What is not in the list: sockets of every family, new processes, threads and programs, signals to others, links and
devices, owners and modes of files, shared and anonymous memory files, and whatever a later kernel adds.
"""

import ctypes
import errno
import platform
import struct

from .linux import PR_SET_SECCOMP, call

# Each as `name x86-64 arm64`; "-" where the architecture has none.
_ALLOWED = """
read 0 63, write 1 64, open 2 -, close 3 57, stat 4 -, fstat 5 80, lstat 6 -, poll 7 -, lseek 8 62, mmap 9 222,
mprotect 10 226, munmap 11 215, brk 12 214, rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139,
pread64 17 67, pwrite64 18 68, readv 19 65, writev 20 66, access 21 -, pipe 22 -, select 23 -, sched_yield 24 124,
mremap 25 216, msync 26 227, madvise 28 233, dup 32 23, dup2 33 -, pause 34 -, nanosleep 35 101,
getitimer 36 102, alarm 37 -, setitimer 38 103, getpid 39 172, sendfile 40 71, exit 60 93, uname 63 160,
fsync 74 82, fdatasync 75 83, truncate 76 45, ftruncate 77 46, getdents 78 -, getcwd 79 17, chdir 80 49, fchdir 81 50,
rename 82 -, mkdir 83 -, rmdir 84 -, creat 85 -, unlink 87 -, readlink 89 -, umask 95 166, gettimeofday 96 169,
getrusage 98 165, sysinfo 99 179, times 100 153, getuid 102 174, getgid 104 176, geteuid 107 175, getegid 108 177,
getppid 110 173, getpgrp 111 -, getgroups 115 158, getresuid 118 148, getresgid 120 150, rt_sigpending 127 136,
rt_sigtimedwait 128 137, rt_sigsuspend 130 133, sigaltstack 131 132, statfs 137 43, fstatfs 138 44, gettid 186 178,
time 201 -, futex 202 98, sched_getaffinity 204 123, getdents64 217 61, restart_syscall 219 128, fadvise64 221 223,
clock_gettime 228 113, clock_getres 229 114, clock_nanosleep 230 115, exit_group 231 94, openat 257 56, mkdirat 258 34,
newfstatat 262 79, unlinkat 263 35, renameat 264 38, readlinkat 267 78, faccessat 269 48, pselect6 270 72, ppoll 271 73,
dup3 292 24, pipe2 293 59, preadv 295 69, pwritev 296 70, getcpu 309 168, renameat2 316 276, getrandom 318 278,
membarrier 324 283, copy_file_range 326 285, statx 332 291, rseq 334 293, faccessat2 439 439
"""
# Of these, by their second argument: what is this terminal, keep or close at exec; copy, flags and locks of a file.
_IN_PART = {
    "ioctl 16 29": (0x5401, 0x5413, 0x802C542A, 0x5450, 0x5451),
    "fcntl 72 25": (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030),
}
_COLUMN, _ARCHITECTURE = {"x86_64": (1, 0xC000003E), "aarch64": (2, 0xC00000B7)}.get(platform.machine(), (0, 0))
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
# Numbers from here on are of calls that a C library tries first, and goes on without.
_RECENT = 424
_SECOND_ARGUMENT = 24


def restrict() -> str:
    """Refuse this process all system calls but those above, for ever; says how many they are.

    Raises OSError where the kernel has no seccomp, or the machine is of a kind that has no column above.
    """
    if not _COLUMN:
        raise OSError(f"there is no list of system calls for {platform.machine()}")
    allowed = _numbers(_ALLOWED.split(","))
    program = [_step(_LOAD, 4), _step(_EQUAL, _ARCHITECTURE, 1, 0), _step(_RETURN, _KILL), _step(_LOAD, 0)]
    for number in allowed:
        program += _if_equal(number)
    for names, values in _IN_PART.items():
        (number,) = _numbers([names])
        program += [_step(_EQUAL, number, 0, 2 * len(values) + 2), _step(_LOAD, _SECOND_ARGUMENT)]
        program += [step for value in values for step in _if_equal(value)]
        program.append(_step(_RETURN, _REFUSE | errno.EPERM))
    program += [_step(_AT_LEAST, _RECENT, 0, 1), _step(_RETURN, _REFUSE | errno.ENOSYS),
                _step(_RETURN, _REFUSE | errno.EPERM)]
    code = ctypes.create_string_buffer(b"".join(program))
    call("prctl", PR_SET_SECCOMP, 2, struct.pack("@HP", len(program), ctypes.addressof(code)), 0, 0)
    return f"{len(allowed)} system calls, {len(_IN_PART)} more in part"


def _numbers(entries: list[str]) -> list[int]:
    columns = [entry.split() for entry in entries]
    return [int(each[_COLUMN]) for each in columns if each[_COLUMN] != "-"]


def _if_equal(value: int) -> list[bytes]:
    return [_step(_EQUAL, value, 0, 1), _step(_RETURN, _ALLOW)]


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
