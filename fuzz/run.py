"""Builds the fuzz targets and runs each for a while: `make fuzz`, `make test-fuzz`.

The flags are those of `cargo fuzz --sanitizer none --no-cfg-fuzzing`, so stable Rust and a C++ compiler are enough:
nothing is installed. With `--cfg fuzzing` crates leave out checks that the laws rely on. A finding is kept in fuzz/artifacts and told with the command that repeats it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLAGS = (
    "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
    " -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
    " -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0"
)
LIMITS = ["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"]
# Inputs as long as these bring more than the default, which is that of the longest seed.
MAX_LENGTH = {"flow": 400, "status_list": 8192, "answer": 4096, "audit": 8192}


def main():
    arguments = read_arguments()
    folder = build(arguments.targets)
    print(f"{'target':<16}{'executions':>12}{'a second':>10}{'corpus':>8}{'findings':>10}", flush=True)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(run, folder / name, arguments) for name in arguments.targets]
        rows = [told(one.result()) for one in runs]
    findings = [finding for row in rows for finding in row["findings"]]
    total = sum(row["executions"] for row in rows)
    print(f"{'all':<16}{total:>12}{'':>10}{sum(row['corpus'] for row in rows):>8}{len(findings):>10}")
    for finding in findings:
        report(folder, *finding)
    failed = [row["name"] for row in rows if row["failed"]]
    if failed:
        sys.exit(f"fuzz: a law is broken in {', '.join(failed)}")


def read_arguments():
    known = sorted(path.stem for path in (HERE / "fuzz_targets").glob("*.rs"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="for each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time")
    parser.add_argument("--short", action="store_true", help="from the seeds, keeping nothing")
    parser.add_argument("targets", nargs="*", default=known, metavar="TARGET", help="otherwise all")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(known)
    if unknown:
        parser.error(f"unknown target {', '.join(unknown)}: there are {', '.join(known)}")
    return arguments


def build(targets):
    """The folder with the programs."""
    if not any(shutil.which(name) for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++")):
        sys.exit("fuzz: a C++ compiler is missing: install one (Debian: apt install g++)")
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    host = re.search(r"^host: (.*)$", version, re.M)[1]
    chosen = [part for name in targets for part in ("--bin", name)]
    started = time.monotonic()
    command = ["cargo", "build", "--locked", "--quiet", "--release", "--target", host, *chosen]
    # With a target named, what runs while building is not instrumented.
    environment = {**os.environ, "RUSTFLAGS": FLAGS}
    if subprocess.run(command, cwd=HERE, env=environment).returncode != 0:
        sys.exit(
            "fuzz: the targets can't be built; if it is the lock file: cargo update --workspace"
            " --manifest-path fuzz/Cargo.toml"
        )
    print(f"fuzz: built in {time.monotonic() - started:.0f} s", flush=True)
    return HERE / "target" / host / "release"


def run(program, arguments):
    """One target: what it came to."""
    name = program.name
    corpus = HERE / ("target/short" if arguments.short else "corpus") / name
    artifacts = HERE / "artifacts" / name
    if arguments.short:
        shutil.rmtree(corpus, ignore_errors=True)
    for folder in (corpus, artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(artifacts.iterdir())
    command = [program, corpus, HERE / "seeds" / name, *LIMITS, f"-max_total_time={arguments.seconds}"]
    command += [f"-artifact_prefix={artifacts}/", f"-max_len={MAX_LENGTH.get(name, 2048)}"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, errors="replace")
    return {
        "name": name,
        "executions": number(done.stderr, r"stat::number_of_executed_units: (\d+)"),
        "rate": number(done.stderr, r"stat::average_exec_per_sec: +(\d+)"),
        "corpus": number(done.stderr, r"corp: (\d+)/"),
        "findings": [(file, file.stat().st_size) for file in sorted(set(artifacts.iterdir()) - before)],
        "failed": done.returncode != 0,
        "log": done.stderr,
    }


def number(text, pattern):
    """The last number that is told like this; 0 where none is."""
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def told(row):
    print(
        f"{row['name']:<16}{row['executions']:>12}{row['rate']:>10}{row['corpus']:>8}{len(row['findings']):>10}",
        flush=True,
    )
    if row["failed"]:
        print(complaint(row["log"]), file=sys.stderr, flush=True)
    return row


def complaint(log):
    """What the target said when it broke off: from the panic on."""
    lines = log.splitlines()
    starts = [at for at, line in enumerate(lines) if "panicked at" in line or "ERROR:" in line]
    return "\n".join(lines[starts[0] :][:12] if starts else lines[-12:])


def report(folder, finding, size):
    name = finding.parent.name
    program = (folder / name).relative_to(HERE.parent)
    print(f"finding: {finding.relative_to(HERE.parent)} ({size} bytes)")
    print(f"  repeat: {program} {finding.relative_to(HERE.parent)}")
    print(f"  shrink: {program} -minimize_crash=1 -max_total_time=60 {finding.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
