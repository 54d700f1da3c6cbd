"""Builds the patched Snakemake from the pinned upstream release and this tree.

The repository holds only the delta. At build time the pinned release lies in the build environment
(`build-system.requires` in pyproject.toml); its files are laid down in a staging folder, this tree's files
over them, and the few edits to upstream's own files are made at anchors that must occur exactly once.
A regular build stages copies in `build/graft`. An editable install stages `build/live`, where everything
of ours is a symbolic link into the tree, so that an edit is live without a rebuild.
"""

import os
import shutil
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).resolve().parent
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PIN = next(r for r in CONFIG["build-system"]["requires"] if r.startswith("snakemake=="))
UPSTREAM = PIN.removeprefix("snakemake==")
VERSION = f"{UPSTREAM}+azbatch.{CONFIG['tool']['azbatch']['revision']}"

# Whole packages of ours; in `snakemake/`, which is upstream's, each entry is linked or copied on its own.
PACKAGES = ["azure_batch_emulator", "snakemake_executor_plugin_az_batch", "snakemake_storage_plugin_azblob"]


@dataclass(frozen=True)
class Edit:
    """A named change to one upstream file: `old` must occur exactly once and gives way to `new`."""

    name: str
    file: str
    old: str
    new: str
    live_only: bool = False


EDITS = [
    Edit("version", "snakemake/__init__.py", f'__version__ = "{UPSTREAM}"', f'__version__ = "{VERSION}"'),
    Edit(
        # The default image is upstream's; a local version label is not a valid image tag.
        "default-container-image",
        "snakemake/common/__init__.py",
        'return f"snakemake/snakemake:v{get_last_stable_version()}"',
        "return f\"snakemake/snakemake:v{get_last_stable_version().partition('+')[0]}\"",
    ),
    Edit(
        "options",
        "snakemake/cli.py",
        "    # Add namespaced arguments to parser for each plugin\n",
        "    from snakemake.azure.cli import add_arguments\n\n    add_arguments(parser)\n\n"
        "    # Add namespaced arguments to parser for each plugin\n",
    ),
    Edit(
        "options-applied",
        "snakemake/cli.py",
        "    # handle legacy executor names\n",
        "    from snakemake.azure.cli import apply_arguments, hide_secrets\n\n"
        "    hide_secrets(parser)\n    apply_arguments(args)\n\n"
        "    # handle legacy executor names\n",
    ),
    Edit(
        # What a job is given must be what the parser reads: TAG::VALUE, and several values of a variable as a list.
        "tagged-settings",
        "snakemake/spawn_jobs.py",
        'return f"{tag}:{value}"\n',
        'return f"{tag}::{value}"\n',
    ),
    Edit(
        # A flag has no tags, it is the same for all of them.
        "untagged-flags",
        "snakemake/spawn_jobs.py",
        "if tag is not None:\n",
        "if tag is not None and not isinstance(value, bool):\n",
    ),
    Edit(
        "one-flag-for-all-tags",
        "snakemake/spawn_jobs.py",
        "assert len(field_settings) == 1\n",
        "assert len(set(field_settings)) == 1\n",
    ),
    Edit(
        "several-settings",
        "snakemake/spawn_jobs.py",
        '" ".join(map(str, field_settings))\n',
        "str(field_settings[0]) if len(field_settings) == 1 else "
        "'[' + ', '.join(f'\"{value}\"' for value in field_settings) + ']'\n",
    ),
    Edit(
        # What a rule should have made is looked at before it is stored, so that only the local file can be asked.
        "ensure-not-empty-before-storing",
        "snakemake/dag.py",
        'if ensure["non_empty"] and (await f.size()) == 0\n',
        'if ensure["non_empty"] and (await f.size_local()) == 0\n',
    ),
    Edit(
        # The same for its checksum, which one algorithm is wanted of.
        "ensure-checksum-before-storing",
        "snakemake/io/__init__.py",
        "        if self.is_storage:\n            if not wrong_algorithm_or_empty:\n",
        "        if self.is_storage and not (\n"
        "            force and algorithm_name is not None and await self.exists_local()\n"
        "        ):\n            if not wrong_algorithm_or_empty:\n",
    ),
    Edit(
        # A storage object knows its checksum without a local copy.
        "checksums-of-storage-objects",
        "snakemake/dag.py",
        "                if not await f.is_checksum_eligible(self.max_checksum_file_size):\n",
        "                if not f.is_storage and not await f.is_checksum_eligible(\n"
        "                    self.max_checksum_file_size\n                ):\n",
    ),
    Edit(
        # A storage object that can refuse changes does so for protected output, and is asked before a run.
        "protect-in-storage",
        "snakemake/io/__init__.py",
        "            await self.storage_object.managed_store()\n",
        "            await self.storage_object.managed_store()\n"
        '            if is_flagged(self, "protected") and hasattr(self.storage_object, "protect"):\n'
        "                self.storage_object.protect()\n",
    ),
    Edit(
        "protected-in-storage",
        "snakemake/io/__init__.py",
        "    async def protected(self):\n",
        "    def protected_in_storage(self):\n"
        '        """Whether storage refuses changes of output that is marked as protected."""\n'
        "        return (\n"
        "            self.is_storage\n"
        '            and is_flagged(self, "protected")\n'
        '            and hasattr(self.storage_object, "is_protected")\n'
        "            and self.storage_object.is_protected()\n"
        "        )\n\n"
        "    async def protected(self):\n",
    ),
    Edit(
        "check-protected-in-storage",
        "snakemake/jobs.py",
        "        protected = [f for f, task in zip(self.output, tasks) if task.result()]\n",
        "        protected = [\n"
        "            f\n"
        "            for f, task in zip(self.output, tasks)\n"
        "            if task.result() or f.protected_in_storage()\n"
        "        ]\n",
    ),
    Edit(
        "keep-protected-in-storage",
        "snakemake/dag.py",
        "                        if await f.protected():\n",
        "                        if await f.protected() or f.protected_in_storage():\n",
    ),
    Edit(
        # Upstream takes a backup of what is to be updated, which only storage may have.
        "retrieve-what-is-updated",
        "snakemake/jobs.py",
        "                    self.rule.workflow.persistence.backup_output(Path(f))\n",
        "                    if f.is_storage:\n"
        "                        f.storage_object.local_copy_is_changed = True\n"
        "                        await f.retrieve_from_storage()\n"
        "                    self.rule.workflow.persistence.backup_output(Path(f))\n",
    ),
    Edit(
        # What an input function looks into has to be there when it looks: a directory that is missing would be an
        # empty one to it, without an error. Single files come when they are opened.
        "checkpoint-directories",
        "snakemake/checkpoints.py",
        '    __slots__ = ["rule", "output"]\n\n'
        '    def __init__(self, rule: "Rule", output):\n'
        "        self.output = output\n"
        "        self.rule = rule\n",
        '    __slots__ = ["rule", "_output"]\n\n'
        '    def __init__(self, rule: "Rule", output):\n'
        "        self._output = output\n"
        "        self.rule = rule\n\n"
        "    @property\n"
        "    def output(self):\n"
        "        for f in self._output:\n"
        "            if f.is_directory and f.is_storage and not f.is_complete_local_directory:\n"
        "                # leads to its retrieval and another call of the input function\n"
        "                raise InputOpenException(f)\n"
        "        return self._output\n",
    ),
    Edit(
        "checkpoint-directories-exception",
        "snakemake/checkpoints.py",
        "from snakemake.exceptions import IncompleteCheckpointException, WorkflowError\n",
        "from snakemake.exceptions import (\n"
        "    IncompleteCheckpointException,\n"
        "    InputOpenException,\n"
        "    WorkflowError,\n"
        ")\n",
    ),
    Edit(
        # Retrieving a file makes the directory that it is in, and a directory that is there counted as retrieved.
        "complete-directories",
        "snakemake/workflow.py",
        "        self._checkpoints = Checkpoints()\n",
        "        self._checkpoints = Checkpoints()\n"
        "        # directories from storage whose local copies are known to be complete\n"
        "        self.complete_local_directories = set()\n"
        "        # local copies that were retrieved for input functions\n"
        "        self.input_function_copies = set()\n",
    ),
    Edit(
        "complete-directories-retrieved",
        "snakemake/io/__init__.py",
        "            async def is_newer_in_storage():\n"
        "                mtime = await self.mtime()\n"
        "                return mtime.local() < mtime.storage()\n",
        "            complete = self.rule.workflow.complete_local_directories\n\n"
        "            def is_copied_directory():\n"
        "                return os.path.isdir(self.file) and not os.path.islink(self.file)\n\n"
        "            async def is_newer_in_storage():\n"
        "                mtime = await self.mtime()\n"
        "                if is_copied_directory() and self not in complete:\n"
        "                    # Retrieving a file creates its directory, which is thereby newer.\n"
        "                    return mtime.local() != mtime.storage()\n"
        "                return mtime.local() < mtime.storage()\n",
    ),
    Edit(
        "complete-directories-noted",
        "snakemake/io/__init__.py",
        '                logger.info("Finished retrieval.")\n',
        "                if is_copied_directory():\n"
        "                    mtime = (await self.mtime()).storage()\n"
        "                    os.utime(self.file, (mtime, mtime))\n"
        '                logger.info("Finished retrieval.")\n'
        "            if os.path.isdir(self.file):\n"
        "                complete.add(self)\n",
    ),
    Edit(
        "complete-directories-stored",
        "snakemake/dag.py",
        "                    f.touch(times=(storage_mtime, storage_mtime))\n",
        "                    f.touch(times=(storage_mtime, storage_mtime))\n"
        "                    if f.is_directory:\n"
        "                        self.workflow.complete_local_directories.add(f)\n",
    ),
    Edit(
        "complete-directories-removed",
        "snakemake/io/__init__.py",
        "    async def remove(self, remove_non_empty_dir=False, only_local=False):\n",
        "    @property\n"
        "    def is_complete_local_directory(self):\n"
        "        if self.should_not_be_retrieved_from_storage:\n"
        "            return True\n"
        "        workflow = self.rule.workflow\n"
        "        # in a subprocess, it is the main process that takes care of local copies\n"
        "        return os.path.isdir(self.file) and (\n"
        "            workflow.subprocess_exec or self in workflow.complete_local_directories\n"
        "        )\n\n"
        "    async def remove(self, remove_non_empty_dir=False, only_local=False):\n"
        "        if self.rule is not None:\n"
        "            self.rule.workflow.complete_local_directories.discard(self)\n",
    ),
    Edit(
        # A file that is opened by other means than its own method `open`, which is known to retrieve it.
        "checkpoint-files",
        "snakemake/rules.py",
        "                elif raw_exceptions:\n                    raise e\n",
        '                elif "input" not in aux_params and (\n'
        "                    missing := self.workflow.checkpoints.missing_local_copy(e)\n"
        "                ):\n"
        "                    raise InputOpenException(missing)\n"
        "                elif raw_exceptions:\n"
        "                    raise e\n",
    ),
    Edit(
        "checkpoint-files-found",
        "snakemake/checkpoints.py",
        "    def spawn_new_namespace(self):\n",
        "    def missing_local_copy(self, exception):\n"
        '        """The output in storage that an input function tried to open."""\n'
        "        if isinstance(exception, FileNotFoundError):\n"
        "            for f in self.created_output:\n"
        "                if f == exception.filename and f.is_storage:\n"
        "                    return f\n"
        "        return None\n\n"
        "    def spawn_new_namespace(self):\n",
    ),
    Edit(
        # Functions of params and resources are called again when the job's input is there.
        "checkpoints-in-params",
        "snakemake/rules.py",
        "            except InputOpenException as e:\n"
        "                e.rule = self\n"
        "                raise e\n",
        "            except InputOpenException as e:\n"
        '                if "input" not in aux_params:\n'
        "                    e.rule = self\n"
        "                    raise e\n"
        '                if not is_file_not_found_error(e, aux_params["input"]):\n'
        "                    raise WorkflowError(\n"
        '                        f"{e.iofile} is in storage only, and not retrieved for a function of "\n'
        '                        "params or resources unless it is an input of the rule. Please add it "\n'
        '                        "to the rule inputs.",\n'
        "                        rule=self,\n"
        "                    )\n"
        "                value = TBDString()\n",
    ),
    Edit(
        "checkpoints-in-resources",
        "snakemake/exceptions.py",
        "    if isinstance(exc, FileNotFoundError) and exc.filename in considered_files:\n"
        "        return True\n",
        "    if isinstance(exc, FileNotFoundError) and exc.filename in considered_files:\n"
        "        return True\n"
        "    elif isinstance(exc, InputOpenException):\n"
        "        return exc.iofile in considered_files\n",
    ),
    Edit(
        # A query that is no storage object would be looked for on the local disk, and nothing be found.
        "queries-in-glob-wildcards",
        "snakemake/io/__init__.py",
        "        pattern = os.path.normpath(pattern)\n",
        '        if files is None and re.match(r"[a-z][a-z0-9+.-]*://", str(pattern)):\n'
        "            raise WorkflowError(\n"
        '                f"glob_wildcards() looks for {pattern} on the local disk. Use "\n'
        "                f\"glob_wildcards(storage('{pattern}')) to look in storage.\"\n"
        "            )\n"
        "        pattern = os.path.normpath(pattern)\n",
    ),
    Edit(
        # What was retrieved for input functions goes at the end, whatever the command was.
        "input-function-copies",
        "snakemake/jobs.py",
        "                        await e.iofile.retrieve_from_storage()\n",
        "                        await dag.retrieve_for_input_function(e.iofile)\n",
    ),
    Edit(
        "input-function-copies-retrieved",
        "snakemake/dag.py",
        "    def update_storage_inputs(self):\n",
        "    async def retrieve_for_input_function(self, f):\n"
        '        """Retrieve what an input function looks at, to be removed when the workflow ends."""\n'
        "        is_new = not os.path.exists(f)\n"
        "        await f.retrieve_from_storage()\n"
        "        if (\n"
        "            is_new\n"
        "            and not f.should_keep_local\n"
        "            and (\n"
        "                self.workflow.is_main_process\n"
        "                or SharedFSUsage.STORAGE_LOCAL_COPIES\n"
        "                not in self.workflow.storage_settings.shared_fs_usage\n"
        "            )\n"
        "        ):\n"
        "            self.workflow.input_function_copies.add(os.path.abspath(f))\n\n"
        "    def update_storage_inputs(self):\n",
    ),
    Edit(
        "input-function-copies-removed",
        "snakemake/workflow.py",
        "    def tear_down(self):\n",
        "    def tear_down(self):\n"
        "        import shutil\n\n"
        "        for path in self.input_function_copies:\n"
        "            if os.path.isdir(path):\n"
        "                shutil.rmtree(path)\n"
        "            elif os.path.exists(path):\n"
        "                os.remove(path)\n",
    ),
    Edit(
        # Notes on an output lie under its name in base64, which may be longer than a path can be.
        "notes-on-long-names",
        "snakemake/persistence/file.py",
        "        b64id = urlsafe_b64encode(id.encode()).decode()\n",
        "        b64id = urlsafe_b64encode(id.encode()).decode()\n"
        "        if len(b64id) > 3600:\n"
        "            from hashlib import sha256\n\n"
        '            b64id = f"long-{sha256(id.encode()).hexdigest()}"\n',
    ),
    Edit(
        # Files are looked at by groups of coroutines; what one of them could not do is said without its group.
        "errors-in-groups",
        "snakemake/exceptions.py",
        "    origin = get_exception_origin(ex, linemaps) if linemaps is not None else None\n",
        "    if isinstance(ex, ExceptionGroup):\n"
        "        each = [format_exception_to_string(e, linemaps) for e in ex.exceptions]\n"
        '        return "\\n".join(dict.fromkeys(each))\n\n'
        "    origin = get_exception_origin(ex, linemaps) if linemaps is not None else None\n",
    ),
    Edit(
        # Functions of a workflow, which the DAG's event loop calls, ask for sizes and existence, each in a loop of
        # its own: in another thread, since a thread has one.
        "coroutines-of-functions",
        "snakemake/common/__init__.py",
        "    Raises\n    ------\n    WorkflowError\n        If called from within an already running event loop.\n"
        '    """\n    with async_runner() as runner:\n',
        "    If called from within a running event loop, that loop waits for a thread with a loop of its own.\n"
        '    """\n'
        "    if asyncio.events._get_running_loop() is not None:\n"
        "        from concurrent.futures import ThreadPoolExecutor\n\n"
        "        with ThreadPoolExecutor(max_workers=1) as executor:\n"
        "            return executor.submit(async_run, coroutine).result()\n\n"
        "    with async_runner() as runner:\n",
    ),
    Edit(
        # Jobs have their input as plain strings, which know no size: it is that of the local file, and before there
        # is one that of the file that the string stands for.
        "sizes-of-plain-input",
        "snakemake/iocontainers.py",
        "                    return await f.size()\n"
        "                return None\n\n"
        "            sizes = await asyncio.gather(*map(get_size, self))\n",
        "                    if isinstance(f, _IOFile):\n"
        "                        return await f.size()\n"
        "                    return os.path.getsize(f)\n"
        "                return None\n\n"
        "            sizes = await asyncio.gather(*map(get_size, self._iofiles or self))\n",
    ),
    Edit(
        "sized-plain-input",
        "snakemake/iocontainers.py",
        "class InputFiles(Namedlist):\n",
        "class InputFiles(Namedlist):\n"
        "    _iofiles = None\n\n"
        "    def _sized_plainstrings(self):\n"
        '        """Plain strings with the sizes of the files, which do not have to be local."""\n'
        "        plain = self._plainstrings()\n"
        "        plain._iofiles = self\n"
        "        return plain\n\n"
        "    def __getstate__(self):\n"
        '        return {k: v for k, v in self.__dict__.items() if k != "_iofiles"}\n\n',
    ),
    Edit(
        "sized-input-of-params",
        "snakemake/rules.py",
        '                    "input": input._plainstrings(),\n',
        '                    "input": input._sized_plainstrings(),\n',
    ),
    Edit(
        # All logs are shown, not those before the first that is missing or empty.
        "show-each-failed-log",
        "snakemake/logging.py",
        '            yield f"Logfile {f} not found."\n            return\n'
        "        except UnicodeDecodeError:\n"
        '            yield f"Logfile {f} is not a text file."\n            return\n'
        "        lines = content.splitlines()\n"
        '        logfile_header = f"Logfile {f}:"\n'
        "        if not lines:\n"
        '            logfile_header += " empty file"\n'
        "            yield logfile_header\n            return\n",
        '            yield f"Logfile {f} not found."\n            continue\n'
        "        except UnicodeDecodeError:\n"
        '            yield f"Logfile {f} is not a text file."\n            continue\n'
        "        lines = content.splitlines()\n"
        '        logfile_header = f"Logfile {f}:"\n'
        "        if not lines:\n"
        '            logfile_header += " empty file"\n'
        "            yield logfile_header\n            continue\n",
    ),
    Edit(
        # Logs are shown from local paths; `log` has names for people, which in storage are no paths.
        "show-local-logs",
        "snakemake/logging.py",
        '        if self.show_failed_logs and msg["log"]:\n'
        '            output.extend(show_logs(msg["log"]))\n',
        '        if self.show_failed_logs and msg["log_files"]:\n'
        '            output.extend(show_logs(msg["log_files"]))\n',
    ),
    Edit(
        # The errors of a group's jobs follow that of the group, each with its logs.
        "show-logs-of-groups-once",
        "snakemake/logging.py",
        '        logs = msg["aux_logs"] + [\n'
        '            f for info in msg["job_error_info"] for f in info["log"]\n'
        "        ]\n",
        '        logs = msg["aux_logs"]\n',
    ),
    Edit(
        "logs-to-show",
        "snakemake/jobs.py",
        '            f"Error in rule {self.rule.name}, jobid: {self.dag.jobid(self)}",\n'
        "            extra=self.get_log_error_info(msg, indent, aux_logs, **kwargs),\n"
        "        )\n",
        '            f"Error in rule {self.rule.name}, jobid: {self.dag.jobid(self)}",\n'
        "            extra=dict(\n"
        "                log_files=[*map(self.log_to_show, self.log), *(aux_logs or [])],\n"
        "                **self.get_log_error_info(msg, indent, aux_logs, **kwargs),\n"
        "            ),\n"
        "        )\n\n"
        "    def log_to_show(self, f):\n"
        '        """The path of a log file, which a remote job without a shared disk has left in storage."""\n'
        "        workflow = self.dag.workflow\n"
        "        if (\n"
        "            f.is_storage\n"
        "            and workflow.output_settings.show_failed_logs\n"
        "            and not (workflow.local_exec or self.is_local)\n"
        "            and SharedFSUsage.STORAGE_LOCAL_COPIES\n"
        "            not in workflow.storage_settings.shared_fs_usage\n"
        "        ):\n"
        "            from snakemake.common import async_run\n\n"
        "            try:\n"
        "                async_run(f.storage_object.managed_retrieve())\n"
        "            except WorkflowError as e:\n"
        "                logger.warning(str(e))\n"
        "                return fmt_iofile(f)\n"
        "        return str(f)\n",
    ),
    Edit(
        # Ctrl-C ends with a sentence and not with a traceback, whenever it comes.
        "interrupts",
        "snakemake/cli.py",
        "        print_exception(e)\n        sys.exit(1)\n    sys.exit(0 if success else 1)\n",
        "        print_exception(e)\n        success = False\n"
        "    except KeyboardInterrupt:\n"
        "        finish()\n"
        "        # without the place where it came, which says nothing to users\n"
        "        print_exception(KeyboardInterrupt())\n"
        "        success = False\n"
        "    finish()\n"
        "    sys.exit(0 if success else 1)\n",
    ),
    Edit(
        "interrupts-at-the-end",
        "snakemake/cli.py",
        '    """Main entry point."""\n',
        '    """Main entry point."""\n    from snakemake.azure.interrupts import finish\n',
    ),
    Edit(
        # When all is done, nobody waits for the next look at what is to be done.
        "timers-that-nobody-waits-for",
        "snakemake/scheduling/job_scheduler.py",
        "        threading.Timer(\n"
        "            delay,\n"
        "            lambda: self._open_jobs.release(),\n"
        "        ).start()\n",
        "        timer = threading.Timer(\n"
        "            delay,\n"
        "            lambda: self._open_jobs.release(),\n"
        "        )\n"
        "        timer.daemon = True\n"
        "        timer.start()\n",
    ),
    Edit(
        # Records of files in storage have their queries for keys. Messages name them so, too, and Path breaks their //.
        "metadata-of-storage-files",
        "snakemake/workflow.py",
        "            success = self.persistence.cleanup_metadata(IOFile(path))\n",
        "            success = any(\n"
        "                self.persistence.cleanup_metadata(IOFile(f))\n"
        "                for f in (\n"
        "                    str(path),\n"
        "                    self.modifier.path_modifier.apply_default_storage(str(path)),\n"
        "                )\n"
        "            )\n",
    ),
    Edit(
        "metadata-by-query",
        "snakemake/cli.py",
        '        type=Path,\n        help="Cleanup the metadata "\n',
        '        help="Cleanup the metadata "\n',
    ),
    Edit(
        "archive-storage-inputs",
        "snakemake/dag.py",
        "                            # this is an input file that is not created by any job\n",
        "                            # this is an input file that is not created by any job\n"
        "                            if f.is_storage:\n"
        "                                self.workflow.async_run(f.retrieve_from_storage())\n",
    ),
    Edit(
        # A local copy of an earlier run or attempt is in the way of a rule that makes the output's directory.
        "remove-local-copies-of-output",
        "snakemake/jobs.py",
        "                await f.remove(remove_non_empty_dir=False)\n"
        "            except FileNotFoundError:\n"
        "                # No file == no problem\n",
        "                await f.remove(remove_non_empty_dir=False)\n"
        "                if f.is_storage and await f.exists_local():\n"
        "                    await f.remove(remove_non_empty_dir=False, only_local=True)\n"
        "            except FileNotFoundError:\n"
        "                # No file == no problem\n",
    ),
    Edit(
        # Error messages leave out Snakemake's own frames; through a link, ours would not count as such.
        "frames-of-links",
        "snakemake/exceptions.py",
        "is_snakemake_dir = lambda path: os.path.realpath(path).startswith(\n",
        "is_snakemake_dir = lambda path: os.path.abspath(path).startswith(\n",
        live_only=True,
    ),
]


class GraftError(SystemExit):
    """The tree and the upstream release do not fit; the message says where."""


def upstream() -> Distribution:
    """The pinned release as installed in the build environment."""
    try:
        dist = distribution("snakemake")
    except PackageNotFoundError:
        raise GraftError(f"The build needs {PIN} in its environment, and there is none.") from None
    if dist.version != UPSTREAM:
        raise GraftError(
            f"The build needs {PIN} in its environment, but finds snakemake {dist.version}; "
            "build with isolation (no --no-build-isolation)."
        )
    return dist


def lay_upstream(dist: Distribution, stage: Path) -> None:
    for file in dist.files or []:
        if file.parts[0] == "snakemake" and "__pycache__" not in file.parts:
            target = stage / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(dist.locate_file(file), target)


def apply_edits(stage: Path, live: bool) -> None:
    misfits = []
    for edit in EDITS:
        if edit.live_only and not live:
            continue
        path = stage / edit.file
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if (found := text.count(edit.old)) != 1:
            misfits.append(
                f"  {edit.name}: its anchor occurs {found} times in {edit.file}: {edit.old.strip()!r}"
            )
        else:
            path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
    if misfits:
        raise GraftError("\n".join([f"These edits do not fit snakemake {UPSTREAM}:", *misfits]))


def lay_tree(stage: Path, live: bool) -> None:
    """Puts this tree's files over upstream's; none of them may replace one of upstream's."""

    def put(source: Path, target: Path) -> None:
        if source.name == "__pycache__":
            return
        if target.is_dir() and not target.is_symlink():
            for child in source.iterdir():
                put(child, target / child.name)
        elif target.exists():
            raise GraftError(f"{source.relative_to(ROOT)} would replace a file of snakemake {UPSTREAM}.")
        elif live:
            target.symlink_to(os.path.relpath(source, target.parent))
        elif source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)

    for package in ["snakemake", *PACKAGES]:
        put(ROOT / package, stage / package)


def graft(live: bool) -> Path:
    dist = upstream()
    stage = ROOT / "build" / ("live" if live else "graft")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    lay_upstream(dist, stage)
    apply_edits(stage, live)
    lay_tree(stage, live)
    licence = next(f for f in dist.files or [] if f.name.startswith("LICENSE"))
    shutil.copyfile(dist.locate_file(licence), ROOT / "build" / "LICENSE.snakemake.md")
    return stage


def requirements() -> tuple[list[str], dict[str, list[str]]]:
    """Upstream's requirements and extras, and ours."""
    own = CONFIG["tool"]["azbatch"]
    base, extras = list(own["requires"]), {k: list(own[k]) for k in ("emulator", "test", "lint")}
    for requirement in upstream().requires or []:
        spec, _, marker = requirement.partition(";")
        if "extra ==" in marker:
            extras.setdefault(marker.split("==")[1].strip(" '\""), []).append(spec.strip())
        else:
            base.append(requirement)
    return base, extras


def main() -> None:
    stage = graft(live="editable_wheel" in sys.argv).relative_to(ROOT)
    install_requires, extras_require = requirements()
    scripts = [f"{e.name} = {e.value}" for e in upstream().entry_points if e.group == "console_scripts"]
    setup(
        version=VERSION,
        packages=find_namespace_packages(str(stage)),
        package_dir={"": str(stage)},
        package_data={"": ["*", ".*"]},
        include_package_data=False,
        install_requires=install_requires,
        extras_require=extras_require,
        entry_points={
            "console_scripts": [*scripts, "azure-batch-emulator = azure_batch_emulator.entry:main"]
        },
        license_files=["LICENSE", "build/LICENSE.snakemake.md"],
    )


# `misc/upgrade` imports this file for its functions; the build back end runs it as a program.
if __name__ == "__main__":
    main()
