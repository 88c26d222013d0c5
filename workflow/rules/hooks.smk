"""What happens once when a run starts, and once when it ends; never while this file is read."""

import atexit
import hashlib
import shlex

RISK = "nothing keeps two runs from working here at the same time; start one only"
LOGS_OF_FAILED_JOBS = []


def before_the_first_job():
    """Checks that nobody else works on these results, and that no job is known to fail."""
    collect_logs_of_failed_jobs(LOGS_OF_FAILED_JOBS)
    check_program()
    stop_unless_alone()
    cancel_jobs_of_a_killed_run()
    check.run(CONFIG, JOBS.digests)
    check.run_applied(CONFIG, VERSIONS)
    files = " ".join(map(str, config_files_of_the_command_line() or ["config.yaml"]))
    started_by = {"command": shlex.join(sys.argv), "config": files}
    if IS_SHARED:
        started_by["kept_config"] = keep_config(CONFIG, dict(config), files)
        stop_on_user_errors(JOBS.facts.write, FACTS)
        records.keep(Path(RESULTS), results_to_keep(), only_copies_too=True)
        write_commands_of_groups()
    environ[circumstances.STARTED_BY] = json.dumps(started_by)


def stop_unless_alone():
    """Stops this run if another one makes the same results, from this or another folder."""
    # Where no file system is shared, only the runs that start in this folder can be known.
    name = hashlib.sha256(RESULTS.encode()).hexdigest()[:12]
    lock = Path(RESULTS, ".lock") if IS_SHARED else Path(".snakemake", f"results-{name}.lock")
    try:
        os.makedirs(lock.parent, exist_ok=True)
        is_alone = locks.hold(lock, RISK)
    except OSError as error:
        raise PipelineError(
            f"results: {lock.parent}: cannot be written ({error.strerror}); name another folder"
        ) from error
    if not is_alone:
        raise PipelineError(
            f"results: {RESULTS}: another run is at work there; wait for its end, or name "
            "another folder"
        )


def cancel_jobs_of_a_killed_run():
    """Cancels what a killed run left in Slurm, unless another run is alive in this folder."""
    if prefix := slurm_job_prefix():
        share = locks.join(Path(".snakemake/alive.lock"), RISK)
        with locks.alone(share) as is_alone:
            if is_alone:
                slurm.cancel_orphans(prefix, folder_of_the_command())


def forget_what_was_kept():
    """Removes the second names of results that might have turned out to be the same."""
    if IS_SHARED:
        records.keep(Path(RESULTS), [])


def after_a_failure():
    """Repeats why a job failed as the last line, below the text of Snakemake."""
    # Snakemake has removed all results of the jobs that failed, those of finished runs too.
    records.put_back(Path(RESULTS), itertools.chain(*map(results_of_group, GROUPS.values())))
    records.keep(Path(RESULTS), [], only_copies_too=True)
    if line := logs.why_it_failed(map(Path, LOGS_OF_FAILED_JOBS)):
        atexit.register(print, line, file=sys.stderr, flush=True)
