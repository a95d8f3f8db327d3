"""All checks before training, at once: access, files, license fields, the tag, disk space."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeVar

from hubtune.card.check import check_statements
from hubtune.card.licensing.decision import LicenseDecision
from hubtune.config.load import dump_config
from hubtune.config.schema import BaseAdapterConfig, BaseModelConfig, Input, TuneConfig
from hubtune.data.formats.chat import check_template
from hubtune.errors import CheckError, ConfigError, DataError, FileError, HubtuneError, MemoryNeededError, advise
from hubtune.evaluate.bias.material import check_files
from hubtune.files import require_writable
from hubtune.hub.client import current_token
from hubtune.hub.snapshot import cache_folder
from hubtune.models.precision import choose_precision
from hubtune.pin import Resolution, lock_file, read_lock, require_lock, resolve_pin
from hubtune.pipeline.base_check import check_base, check_continued, check_loads, check_memory
from hubtune.pipeline.context import RunOptions
from hubtune.pipeline.licensing import decide_release, fetch_licenses, require_allowed
from hubtune.pipeline.tracking import require_trackers
from hubtune.publish.preflight import check_target, refuse_canaries, refuse_secrets
from hubtune.records.base import Pin, PinSet, Progress, Record, require_room
from hubtune.templating.chat import ChatTemplate
from hubtune.train.cost import check_country, unassessed


def check_data(config: TuneConfig) -> None:
    """Refuses a missing data file, an invalid chat template, and a classifier to be published as merged weights.

    Raises:
        ConfigError: An adapter that classifies is to be merged, or the chat template cannot be compiled.
        DataError: A local file is missing.
    """
    if config.chat_template is not None:
        check_template(ChatTemplate(config.chat_template, {}), given=True)
    named = [(f"data[{number}]", entry) for number, entry in enumerate(config.data)]
    named += [(f"earlier.data[{number}]", entry) for number, entry in enumerate(config.earlier_data)]
    for name, entry in named:
        if entry.path is not None and not Path(entry.path).is_file():
            raise DataError(
                f"There is no file {entry.path}, which {name}.path names.",
                hint="Correct the path; a relative one starts at the config's folder.",
            )
        merged = config.publish.artifact == "merged" and not config.train.whole
        if entry.stated_format == "classification" and merged:
            raise ConfigError(
                f"{name}.format is classification, and a classifier's adapter cannot be merged into its base.",
                hint="Set `publish.artifact: adapter`, or train complete weights: `train.method: full` or `freeze`.",
            )


T = TypeVar("T")
# Room for the records, the events and an adapter of ordinary size.
_RUN_BYTES = 200_000_000


class CheckFinding(Record):
    """One check and its outcome."""

    check: str
    status: Literal["ok", "warning", "error"]
    detail: str


class CheckReport(Record):
    """All findings of `hubtune check`."""

    findings: list[CheckFinding]


@dataclass
class Checks:
    """The checks so far; a failed check does not stop the others."""

    findings: list[CheckFinding] = field(default_factory=list)
    failures: list[HubtuneError] = field(default_factory=list)
    resolution: Resolution | None = None

    @property
    def report(self) -> CheckReport:
        """The findings as a record."""
        return CheckReport(findings=self.findings)

    @property
    def exit_code(self) -> int:
        """The exit code of what `require_ok` raises; 0 if it raises nothing."""
        try:
            self.require_ok()
        except HubtuneError as error:
            return error.exit_code
        return 0

    def require_ok(self) -> None:
        """Raises the error of the failed check, or one error that names all of them if there are several.

        An unreachable Hub or a refused token fails every check with the same words, which counts as one.

        Raises:
            HubtuneError: The one fault.
            CheckError: The faults.
        """
        if len({(type(failure), failure.message) for failure in self.failures}) == 1:
            raise self.failures[0]
        if self.failures:
            raise CheckError(
                f"{len(self.failures)} checks failed; nothing was started.",
                details=[
                    f"{finding.check}: {finding.detail}" for finding in self.findings if finding.status == "error"
                ],
                hint="Correct each as its line says, then run the command again.",
            )

    def attempt(self, check: str, work: Callable[[], T], detail: Callable[[T], str]) -> T | None:
        """Runs one check and adds its outcome; returns its result, or None if it failed."""
        try:
            result = work()
        except HubtuneError as error:
            self.fail(check, error)
            return None
        self.findings.append(CheckFinding(check=check, status="ok", detail=detail(result)))
        return result

    def fail(self, check: str, error: HubtuneError) -> None:
        """Notes a fault."""
        self.failures.append(error)
        lines = [error.message, *error.details, *([error.hint] if error.hint else [])]
        self.findings.append(CheckFinding(check=check, status="error", detail=" ".join(lines)))

    def warn(self, check: str, detail: str) -> None:
        """Notes something to look at."""
        self.findings.append(CheckFinding(check=check, status="warning", detail=detail))


def check_run(config: TuneConfig, config_file: Path, options: RunOptions, progress: Progress) -> Checks:
    """Checks everything that a run needs; writes nothing.

    The target of the release is checked first: after pinning starts, no request may name a branch or a tag.

    Args:
        config: The config, which has been validated.
        config_file: Its file; the lock is next to it.
        options: How the run is to be done; the release's target is checked if it is to be published.
        progress: Reports each check.
    """
    checks = Checks()
    entries = config.pinned
    with progress.task("Checking", len(entries) + 3) as task:
        if options.publish:
            _check_target(checks, config, config_file, progress, propose=options.propose)
            checks.attempt(
                "canaries", lambda: refuse_canaries(config.evaluate.canaries), lambda _: "no canaries are configured"
            )
        task.advance(note="target")
        _check_config(checks, config, elsewhere=options.elsewhere)
        lock = _check_lock(checks, config, lock_file(config_file), locked=options.locked)
        found: list[tuple[Pin, int]] = []
        for entry in entries:
            pinned = _check_input(checks, entry, lock, progress)
            found += [pinned] if pinned else []
            task.advance(note=str(entry.repo))
        size = 0 if options.elsewhere else sum(bytes_ for _, bytes_ in found)
        if len(found) == len(entries):
            checks.resolution = Resolution.of(config, [pin for pin, _ in found], size)
            base = found[0][0]
            _check_model(checks, config, base, checks.resolution.pins.adapter, elsewhere=options.elsewhere)
            _check_licenses(checks, config, checks.resolution.pins, publish=options.publish)
        task.advance(note="licence")
        _check_places(checks, options.folder, lock_file(config_file).parent)
        checks.attempt(
            "disk",
            lambda: _check_disk(size, options.folder),
            lambda _: f"there is room for {size / 1e6:,.1f} MB of inputs and for the run",
        )
        task.advance(note="disk")
    return checks


def _check_target(checks: Checks, config: TuneConfig, config_file: Path, progress: Progress, *, propose: bool) -> None:
    repo, tag = config.publish.repo, config.publish.tag
    if repo is None:
        return
    checks.attempt(
        "publish",
        lambda: check_target(repo, config.publish, progress, propose=propose),
        lambda account: f"{account} may {'propose' if propose else 'publish'} to {repo}, and {tag} is free",
    )
    # The file for the line, and all that was read into it or set over it.
    texts: dict[str, Path | bytes] = {"the whole config": dump_config(config).encode()}
    if config_file.is_file():
        texts[str(config_file)] = config_file
    checks.attempt(
        "secrets",
        lambda: refuse_secrets(texts, current_token()),
        lambda _: "the config holds no token, key or password",
    )


def _check_config(checks: Checks, config: TuneConfig, *, elsewhere: bool) -> None:
    """Checks what the config states by itself, with the files that it names and this machine."""
    checks.attempt("card", lambda: check_statements(config), lambda _: "what the config states is complete")
    checks.attempt("data", lambda: check_data(config), lambda _: "its formats can be trained on")
    if config.train.precision == "bf16" and not elsewhere and find_spec("torch") is not None:
        checks.attempt("precision", lambda: choose_precision("bf16"), lambda _: "this machine computes in bf16")
    if config.train.report_to and not elsewhere:
        checks.attempt(
            "trackers",
            lambda: require_trackers(config.train.report_to),
            lambda _: f"{', '.join(config.train.report_to)} can be reported to",
        )
    if config.train.country is not None and not elsewhere:
        _check_country(checks, config.train.country)
    if config.evaluate.bias.named():
        checks.attempt(
            "bias", lambda: check_files(config.evaluate.bias), lambda said: f"its files hold {', '.join(said)}"
        )
    for file in config.all_data:
        if file.path is not None and file.license is None:
            checks.warn(f"data {file.label}", "its license is not stated (`data[].license`)")


def _check_country(checks: Checks, country: str) -> None:
    reason = unassessed(country)
    if reason is not None:
        checks.warn("energy", f"energy and CO2 will not be assessed: {reason}")
    else:
        checks.attempt(
            "energy", lambda: check_country(country), lambda name: f"metered, with the electricity of {name}"
        )


def _check_lock(checks: Checks, config: TuneConfig, path: Path, *, locked: bool) -> PinSet | None:
    """Returns what the lock pins; None if there is none, or it cannot be read."""
    if not (path.is_file() or locked):
        return None
    lock = checks.attempt("lock", lambda: read_lock(path), lambda _: str(path))
    if locked:
        checks.attempt("lock", lambda: require_lock(lock, config, path), lambda _: "it matches the config")
    return lock


def _check_input(checks: Checks, entry: Input, lock: PinSet | None, progress: Progress) -> tuple[Pin, int] | None:
    kinds = {BaseModelConfig: "base", BaseAdapterConfig: "adapter"}
    name = f"{kinds.get(type(entry), 'data')} {entry.repo}"
    pinned = checks.attempt(
        name, lambda: resolve_pin(entry, lock, progress), lambda found: f"{found[0].requested} is {found[0].commit}"
    )
    if pinned is not None and not pinned[0].license:
        checks.warn(name, "its card states no license; the release's card will state this")
    return pinned


def _check_model(checks: Checks, config: TuneConfig, base: Pin, adapter: Pin | None, *, elsewhere: bool) -> None:
    method = config.train.method
    facts = checks.attempt("model", lambda: check_base(config, base), lambda _: f"the method {method!r} can train it")
    if facts is None:
        return
    checks.attempt("loading", lambda: check_loads(config, base, facts), lambda said: said)
    if adapter is not None:
        checks.attempt(
            "adapter",
            lambda: check_continued(config, base, adapter),
            lambda _: "it is for this base, and has the config's settings",
        )
    if elsewhere:
        return
    try:
        found = check_memory(config, facts)
    except MemoryNeededError as error:
        checks.fail("memory", error)
        return
    if found is not None:
        said, near = found
        checks.findings.append(CheckFinding(check="memory", status="warning" if near else "ok", detail=said))


def _check_licenses(checks: Checks, config: TuneConfig, pins: PinSet, *, publish: bool) -> None:
    decision = checks.attempt(
        "license",
        lambda: _decision(config, pins, publish=publish),
        lambda decided: (
            f"the release may state {decided.license}"
            if decided.license is not None
            else "nothing is published, and nothing may be"
        ),
    )
    if decision is not None and decision.verdict == "refused":
        checks.warn("license", f"a release would be refused: {'; '.join(decision.reasons)}")


def _decision(config: TuneConfig, pins: PinSet, *, publish: bool) -> LicenseDecision:
    decision = decide_release(config, fetch_licenses(pins))
    # An experiment that stays at home owes nothing; its card says that it may not be published.
    return require_allowed(decision) if publish or config.card.license != "auto" else decision


def _check_places(checks: Checks, run_folder: Path, lock_folder: Path) -> None:
    """Checks that what a run writes can be written: the cache, the run and the lock."""
    places = {
        cache_folder(): "Set HF_HOME (or HF_HUB_CACHE) to a folder that you can write.",
        run_folder: advise("--run-dir", "Put the run elsewhere with --run-dir.", "Choose a folder that you can write."),
        lock_folder: "The lock is written beside the config: put the config into a folder that you can write.",
    }
    for folder, hint in places.items():
        try:
            require_writable(folder, hint=hint)
        except FileError as error:
            checks.fail("folders", error)


def _check_disk(size: int, run_folder: Path) -> None:
    require_room(cache_folder(), size, "move the cache with HF_HOME")
    require_room(run_folder, _RUN_BYTES, advise("--run-dir", "put the run elsewhere with --run-dir", ""))
