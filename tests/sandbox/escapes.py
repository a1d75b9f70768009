"""Attempts to get out of the sandbox: this file runs inside it, whole, and tells which of them did.

Each function tries one way out. It returns what it got, or raises what kept it in. `world.json` in the workspace
tells it where the things outside are; `there.secret` is a file of its own.
"""

import ctypes
import fcntl
import json
import os
import platform
import socket
import stat
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

There = SimpleNamespace
libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"


def call(name: str, *arguments: Any) -> int:
    done = getattr(libc, name)(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if done < 0:
        raise OSError(ctypes.get_errno(), name)
    return done + 1


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(200) or b"empty"


def write(path: str, mode: str = "w") -> str:
    with open(path, mode) as file:
        file.write("changed")
    return path


# Files outside


def read_a_file(there: There) -> Any:
    return read(there.secret)


def read_by_going_up(there: There) -> Any:
    return read("../" * 30 + there.secret[1:])


def read_after_a_change_of_folder(there: There) -> Any:
    os.chdir(os.path.dirname(there.secret))
    return read("secret.txt")


def read_through_a_folder_held_open(there: There) -> Any:
    folder = os.open(os.path.dirname(there.secret), os.O_PATH)
    with open("secret.txt", opener=lambda name, flags: os.open(name, flags, dir_fd=folder)) as file:
        return file.read()


def read_through_a_link_that_was_there(there: There) -> Any:
    return read(f"door/{os.path.basename(os.path.dirname(there.secret))}/secret.txt")


def read_through_a_new_link(there: There) -> Any:
    os.symlink(there.secret, "link")
    return read("link")


def read_through_a_hard_link(there: There) -> Any:
    os.link(there.secret, "hard")
    return read("hard")


def read_the_users_accounts(there: There) -> Any:
    return read("/etc/passwd")


def list_a_folder(there: There) -> Any:
    return os.listdir(os.path.dirname(there.secret))


def write_a_file(there: There) -> Any:
    return write(there.secret)


def append_to_a_file(there: There) -> Any:
    return write(there.secret, "a")


def write_through_a_link_that_was_there(there: There) -> Any:
    return write(f"door/{os.path.basename(os.path.dirname(there.secret))}/secret.txt")


def make_a_file(there: There) -> Any:
    return write(f"{there.secret}.new")


def make_a_folder(there: There) -> Any:
    os.mkdir(f"{there.secret}.folder")
    return "made"


def truncate_a_file(there: There) -> Any:
    os.truncate(there.secret, 0)
    return "truncated"


def remove_a_file(there: There) -> Any:
    os.unlink(there.secret)
    return "removed"


def move_a_file_in(there: There) -> Any:
    os.rename(there.secret, "moved")
    return read("moved")


def move_a_file_out(there: There) -> Any:
    write("own")
    os.rename("own", there.secret)
    return "moved"


def change_the_mode_of_a_file(there: There) -> Any:
    os.chmod(there.secret, 0o777)
    return "changed"


def change_the_time_of_a_file(there: There) -> Any:
    os.utime(there.secret, (0, 0))
    return "changed"


def change_attributes_of_a_file(there: There) -> Any:
    os.setxattr(there.secret, "user.changed", b"yes")
    return "changed"


def write_into_the_packages(there: There) -> Any:
    import pptx

    return write(os.path.join(os.path.dirname(pptx.__file__), "escaped.py"))


def write_into_the_launcher(there: There) -> Any:
    return write(there.launcher, "a")


def write_to_the_memory_of_the_system(there: There) -> Any:
    return write("/dev/shm/escaped")


# What the process has, and /proc


def read_a_descriptor_of_the_parent(there: There) -> Any:
    for number in range(3, 4096):
        try:
            return os.pread(number, 100, 0)
        except OSError:
            continue
    raise OSError("there is none")


def write_to_a_descriptor_of_the_parent(there: There) -> Any:
    for number in range(3, 4096):
        try:
            return os.write(number, b"x")
        except OSError:
            continue
    raise OSError("there is none")


def read_the_environment_of_the_parent(there: There) -> Any:
    return os.environ["AUTORL_TEST_SECRET"]


def read_the_environment_in_proc(there: There) -> Any:
    return read(f"/proc/{there.parent}/environ")


def read_the_environment_of_process_one(there: There) -> Any:
    return read("/proc/1/environ")


def read_through_the_root_of_proc(there: There) -> Any:
    return read(f"/proc/self/root{there.secret}")


def read_through_the_root_of_the_parent(there: There) -> Any:
    return read(f"/proc/{there.parent}/root{there.secret}")


def read_through_the_folder_of_the_parent(there: There) -> Any:
    return os.listdir(f"/proc/{there.parent}/cwd")


def read_the_memory_of_the_parent(there: There) -> Any:
    return os.open(f"/proc/{there.parent}/mem", os.O_RDWR)


def list_the_processes(there: There) -> Any:
    return os.listdir("/proc")


# Network


def connect_by_tcp(there: There) -> Any:
    return socket.create_connection(("127.0.0.1", there.tcp), timeout=5)


def connect_by_tcp_6(there: There) -> Any:
    return socket.socket(socket.AF_INET6, socket.SOCK_STREAM)


def send_by_udp(there: There) -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"escaped", ("127.0.0.1", there.udp))


def connect_to_a_socket_file(there: There) -> Any:
    with socket.socket(socket.AF_UNIX) as sender:
        sender.connect(there.socket)
    return "connected"


def connect_to_an_abstract_socket(there: There) -> Any:
    with socket.socket(socket.AF_UNIX) as sender:
        sender.connect("\0" + there.abstract)
    return "connected"


def listen(there: There) -> Any:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        return server.getsockname()


def ask_the_kernel_by_netlink(there: There) -> Any:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)


def open_a_socket_to_the_host(there: There) -> Any:
    return socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)


def open_a_raw_socket(there: There) -> Any:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)


def open_a_pair_of_sockets(there: There) -> Any:
    return socket.socketpair()


def resolve_a_name(there: There) -> Any:
    return socket.getaddrinfo("localhost", 80)


def use_io_uring(there: There) -> Any:
    return call("syscall", 425, 1, ctypes.create_string_buffer(256))


# Processes


def fork(there: There) -> Any:
    if not (child := os.fork()):
        os._exit(0)
    return child


def fork_by_the_oldest_call(there: There) -> Any:
    child = call("syscall", 57 if X86 else 220, 17, 0, 0, 0, 0)
    if child == 1:
        os._exit(0)
    return child


def fork_by_the_newest_call(there: There) -> Any:
    child = call("syscall", 435, (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17), 88)
    if child == 1:
        os._exit(0)
    return child


def leave_a_daemon(there: There) -> Any:
    if not os.fork():
        os.setsid()
        if not os.fork():
            os.execv(sys.executable, ["python", "-c", "import signal; signal.pause()"])
        os._exit(0)
    return "left"


def start_a_thread(there: There) -> Any:
    thread = threading.Thread(target=print)
    thread.start()
    return thread


def run_a_program(there: There) -> Any:
    return subprocess.run(["/bin/sh", "-c", "echo out"], capture_output=True, check=True)


def become_a_program(there: There) -> Any:
    os.execv("/bin/sh", ["sh", "-c", "echo got out"])


def become_a_program_in_memory(there: There) -> Any:
    return os.memfd_create("program")


def find_another_process(there: There) -> Any:
    os.kill(there.victim, 0)
    return "found"


def kill_another_process(there: There) -> Any:
    os.kill(there.victim, 9)
    return "killed"


def kill_the_parent(there: There) -> Any:
    os.kill(os.getppid(), 9)
    return "killed"


def kill_everything(there: There) -> Any:
    os.kill(-1, 0)
    return "killed"


def have_the_kernel_signal_another(there: There) -> Any:
    end, _ = os.pipe()
    return fcntl.fcntl(end, fcntl.F_SETOWN, there.victim) or "owned"


def trace_another(there: There) -> Any:
    return call("ptrace", 16, there.victim, 0, 0)


def read_the_memory_of_another(there: There) -> Any:
    vector = (ctypes.c_uint64 * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
    return call("process_vm_readv", there.victim, vector, 1, vector, 1, 0)


def hold_another(there: There) -> Any:
    return os.pidfd_open(there.victim)


def slow_another_down(there: There) -> Any:
    os.setpriority(os.PRIO_PROCESS, there.victim, 19)
    return "slowed"


def limit_another(there: There) -> Any:
    import resource

    return resource.prlimit(there.victim, resource.RLIMIT_NOFILE, (9, 9))


def raise_its_own_limits(there: There) -> Any:
    import resource

    return resource.setrlimit(resource.RLIMIT_AS, (-1, -1)) or "raised"


def leave_its_group(there: There) -> Any:
    return os.setpgid(0, 0) or "left"


def leave_its_session(there: There) -> Any:
    return os.setsid() or "left"


def outlive_its_parent(there: There) -> Any:
    return call("prctl", 1, 0, 0, 0, 0)


# The kernel


def mount_a_file_system(there: There) -> Any:
    return call("mount", b"proc", b".", b"proc", 0, None)


def make_namespaces(there: There) -> Any:
    return call("unshare", 0x10000000 | 0x00020000)


def enter_namespaces(there: There) -> Any:
    return call("setns", 0, 0)


def change_the_root(there: There) -> Any:
    os.chroot(".")
    return "changed"


def change_the_user(there: There) -> Any:
    os.setresuid(65534, 65534, 65534)
    return "changed"


def make_a_device(there: There) -> Any:
    os.mknod("disk", stat.S_IFBLK | 0o666, os.makedev(8, 0))
    return "made"


def make_a_pipe_file(there: There) -> Any:
    os.mkfifo("pipe")
    return "made"


def make_a_program_of_its_user(there: There) -> Any:
    write("program")
    os.chmod("program", 0o4755)
    return "made"


def share_memory_beyond_its_limit(there: There) -> Any:
    return call("shmget", 0, 4096, 0o600)


def reserve_disk_beyond_its_limit(there: There) -> Any:
    with open("reserved", "w") as file:
        return call("fallocate", file.fileno(), 1, 0, 4096)


def load_a_filter(there: There) -> Any:
    return call("syscall", 321 if X86 else 280, 0, ctypes.create_string_buffer(128), 128)


def handle_page_faults(there: There) -> Any:
    return call("syscall", 323 if X86 else 282, 1)


def keep_a_key(there: There) -> Any:
    return call("syscall", 248 if X86 else 217, b"user", b"name", b"value", 5, -3)


def measure_performance(there: There) -> Any:
    return call("syscall", 298 if X86 else 241, ctypes.create_string_buffer(128), 0, -1, -1, 0)


def call_by_the_32_bit_numbers(there: There) -> Any:
    if not X86:
        raise OSError("only x86-64 has a second set of numbers")
    return call("syscall", 0x40000000 | 41, 2, 1, 0)  # socket


ATTEMPTS = {name: function for name, function in list(globals().items())
            if getattr(function, "__annotations__", {}).get("there") is There}


def main() -> None:
    with open("world.json") as file:
        world = json.load(file)
    home = os.getcwd()
    told = {}
    for name in world["attempts"]:
        os.chdir(home)
        there = There(**world["there"], secret=world["secrets"][name])
        try:
            told[name] = ["out", repr(ATTEMPTS[name](there))]
        except (OSError, RuntimeError, KeyError, ValueError, subprocess.SubprocessError) as error:
            told[name] = ["in", repr(error)]
    print(json.dumps(told))
