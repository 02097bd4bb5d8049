"""A Slurm of two nodes on this machine: Debian's packages and root are enough."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmctldPort={port}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
ReturnToService=2
MpiDefault=none
SlurmdParameters=config_overrides
SlurmctldTimeout=30
SlurmdTimeout=20
KillWait=2
MaxArraySize=2001
GresTypes=gpu
NodeName=DEFAULT CPUs=2 RealMemory=4000 Gres=gpu:2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second}
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
"""

GPUS = """\
Name=gpu File=/dev/null
Name=gpu File=/dev/zero
"""


def why_not() -> str | None:
    """Why such a cluster cannot be started here."""
    missing = [name for name in NEEDED if _program(name) is None]
    if missing:
        packages = "slurmctld slurmd slurm-client munge"
        return f"Slurm is not installed, as {missing[0]} is missing: apt-get install {packages}"
    return None if os.geteuid() == 0 else "slurmd starts jobs only as root"


class SlurmCluster:
    """Nodes n1 and n2, each of two cores and two devices that pass for GPUs.

    Partition urgent takes them from partition debug.

    Args:
        folder: for everything it writes.
        port: the first of three in a row that are free.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.variables = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/usr/bin",
        }
        for name in ("state", "spool/n1", "spool/n2"):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o755)
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        text = CONFIGURATION.format(
            host=os.uname().nodename, folder=folder, port=port, first=port + 1, second=port + 2
        )
        (folder / "slurm.conf").write_text(text)
        (folder / "gres.conf").write_text(GPUS)

    def start(self) -> None:
        """Start everything and return when both nodes take jobs."""
        folder = self._folder
        self._start(
            *("munged", "--foreground", "--force", f"--key-file={folder}/munge.key"),
            *(f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid"),
            *(f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"),
        )
        while not (folder / "munge.socket").exists():
            self._check()
        self._start("slurmctld", "-D", "-i")
        for node in ("n1", "n2"):
            self.start_node(node)
        while self.command("sinfo", "--noheader", "--format=%t", "--Node").split() != ["idle"] * 4:
            self._check()

    def start_node(self, node: str) -> None:
        self._start("slurmd", "-D", "-N", node)

    def kill_node(self, node: str) -> None:
        """End a node and all that runs on it at once, as if its power had failed."""
        daemon = self._processes[f"slurmd {node}"]
        _kill([daemon.pid, *self._on(node)])
        daemon.wait()
        self.command("scontrol", "update", f"nodename={node}", "state=down", "reason=killed")

    def command(self, *command: str) -> str:
        """Run one of Slurm's commands and return what it says."""
        return subprocess.run(
            command, env={**os.environ, **self.variables}, capture_output=True, text=True
        ).stdout

    def stop(self) -> None:
        """End all jobs and daemons."""
        _kill(self._on("n1") + self._on("n2"))
        for process in reversed(self._processes.values()):
            process.kill()
            process.wait()

    def _start(self, program: str, *arguments: str) -> None:
        name = f"{program} {arguments[-1]}" if program == "slurmd" else program
        path = _program(program)
        assert path is not None
        with (self._folder / f"{name}.out").open("wb") as output:
            self._processes[name] = subprocess.Popen(
                [path, *arguments],
                env={**os.environ, **self.variables},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _check(self) -> None:
        time.sleep(0.1)
        for name, process in self._processes.items():
            if process.poll() is not None:
                said = (self._folder / f"{name}.out").read_text()[-500:]
                raise RuntimeError(f"{name} ended with {process.returncode}: {said}")

    def _on(self, node: str) -> list[int]:
        """The processes of a node's jobs, and those that watch over them and keep its log open."""
        marks = {f"SLURMD_NODENAME={node}", f"SLURM_CONF={self.variables['SLURM_CONF']}"}
        log = str(self._folder / f"slurmd.{node}.log")
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                variables = set((place / "environ").read_text(errors="replace").split("\0"))
                watches = b"slurmstepd" in (place / "cmdline").read_bytes() and log in {
                    os.readlink(handle) for handle in (place / "fd").iterdir()
                }
            except OSError:  # it has ended meanwhile
                continue
            if marks <= variables or watches:
                found.append(int(place.name))
        return found


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/bin:/sbin")


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
