"""A real Slurm cluster of one node, with accounting, in a temporary folder and on ports of its own."""

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ["mariadbd", "mariadb-install-db", "munged", "slurmdbd", "slurmctld", "slurmd", "sbatch", "setpriv"]
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"

DATABASE = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdPort={dbd}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={mariadb}
StorageUser=slurm
StorageLoc=slurm_acct_db
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""
CLUSTER = """\
ClusterName=actdim_test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
AccountingStoreFlags=job_comment
AccountingStorageTRES=gres/gpu
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2
SlurmdParameters=config_overrides
ReturnToService=0
KillWait=3
MinJobAge=300
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000000 Gres=gpu:1 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class ClusterError(Exception):
    """A cluster cannot be started, or one of its commands failed; the text says why."""


@contextmanager
def cluster(cpus=8):
    """Start a cluster whose node claims `cpus` processors; yield the environment for its commands; stop it.

    Its jobs may run in the accounts `root`, the default, and `science`. Nothing but what it started is stopped; where
    this process is killed, its daemons die too. Raises ClusterError.
    """
    missing = [program for program in PROGRAMS if not shutil.which(program, path=PATH)]
    if missing:
        raise ClusterError(f"there is no {', '.join(missing)} (Debian's slurm-wlm, slurmdbd, munge, mariadb-server)")
    folder = Path(tempfile.mkdtemp(prefix="actdim-slurm-"))  # a short path: it holds sockets
    environment = os.environ | {"PATH": f"{folder}/bin:{PATH}", "SLURM_CONF": f"{folder}/slurm.conf"}
    try:
        with ExitStack() as daemons:
            start(folder, environment, cpus, daemons)
            daemons.callback(cancel, environment)
            yield environment
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(folder, environment, cpus, daemons):
    """Configure and start all daemons, each after the previous one answers.

    daemons: an ExitStack that is to stop them.
    """
    ports = dict(zip(["mariadb", "dbd", "ctld", "slurmd"], free_ports(4), strict=True))
    names = {"folder": folder, "user": getpass.getuser(), "host": socket.gethostname().split(".")[0], "cpus": cpus}
    write(folder / "slurm.conf", CLUSTER.format(**names, **ports))
    write(folder / "slurmdbd.conf", DATABASE.format(**names, **ports))
    write(folder / "gres.conf", "Name=gpu File=/dev/null\n")  # a GPU to ask for
    write(folder / "munge.key", secrets.token_hex(64))
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    # The executor's jobs drop SLURM_CONF before they call srun.
    srun = folder / "bin/srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o700)

    def run(*command):
        with open(folder / f"{command[0]}.out", "w") as log:
            process = subprocess.Popen(  # ends with this process, even if it is killed
                ["setpriv", "--pdeathsig", "KILL", *command],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
            )
        daemons.callback(stop, process)
        return process

    def wait(daemon, *command):
        def answered():
            if daemon.poll() is not None:
                raise ClusterError(f"{daemon.args[3]} ended:\n{tail(folder)}")
            with open(folder / "answer.log", "w") as answer:
                return not subprocess.run(command, env=environment, stdout=answer, stderr=answer).returncode

        wait_for(answered, f"{daemon.args[3]} to answer", folder)

    database = [f"--datadir={folder}/db", f"--user={names['user']}"]
    query(environment, "mariadb-install-db", "--no-defaults", *database, "--skip-test-db")
    mariadb = run(
        "mariadbd", "--no-defaults", *database, "--skip-grant-tables", "--bind-address=127.0.0.1",
        f"--port={ports['mariadb']}", f"--socket={folder}/mariadb.socket", "--skip-networking=0",
    )  # fmt: skip
    wait(mariadb, "mariadb-admin", "--no-defaults", f"--socket={folder}/mariadb.socket", "ping")
    munge = run(
        "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={folder}/munge.key",
        f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
    )  # fmt: skip
    wait(munge, "munge", f"--socket={folder}/munge.socket", "--no-input")
    slurmdbd = run("slurmdbd", "-D")
    wait(slurmdbd, "sacctmgr", "--noheader", "list", "cluster")
    query(environment, "sacctmgr", "--immediate", "add", "cluster", "actdim_test")
    query(environment, "sacctmgr", "--immediate", "add", "account", "science")
    query(environment, "sacctmgr", "--immediate", "add", "user", names["user"], "account=science")
    slurmctld = run("slurmctld", "-D")
    wait(slurmctld, "scontrol", "ping")
    slurmd = run("slurmd", "-D")
    wait(slurmd, "sh", "-c", "sinfo --noheader --states=idle | grep --quiet idle")


def write(path, text):
    path.write_text(text)
    path.chmod(0o600)


def free_ports(count):
    """Return free ports."""
    with ExitStack() as sockets:
        found = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


def query(environment, *command):
    """Return what a command prints; ClusterError if it fails."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def wait_for(condition, what, folder=None, seconds=60):
    """Wait until a condition holds; ClusterError with the last lines of the logs after too long."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise ClusterError(f"waited {seconds} s for {what}\n{tail(folder) if folder else ''}")
        time.sleep(0.1)


def tail(folder):
    """Return the last lines of every log in a folder."""
    logs = [*folder.glob("*.log"), *folder.glob("*.out")]
    return "\n".join(
        f"{log.name}: {line}" for log in logs for line in log.read_text(errors="replace").splitlines()[-5:]
    )


def cancel(environment):
    """End all jobs of a cluster."""
    query(environment, "scancel", "--user", getpass.getuser())
    wait_for(lambda: not query(environment, "squeue", "--noheader"), "the jobs to end")


def stop(process):
    """End a daemon that was started here."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":  # python tests/slurm/cluster.py COMMAND...: with a cluster of its own
    with cluster() as inside:
        sys.exit(subprocess.run(sys.argv[1:], env=inside).returncode)
