"""What can be known of the base model from a few small files at its commit, before its weights are fetched."""

from hubtune.config.schema import TuneConfig
from hubtune.errors import ModelError
from hubtune.hub.contents import read_files
from hubtune.hub.read import resolve
from hubtune.models.base_facts import Facts, check_facts, check_shards, read_facts
from hubtune.records.model_files import CONFIG, WEIGHTS_INDEX
from hubtune.records.pins import Pin


def check_base(config: TuneConfig, pin: Pin) -> Facts:
    """Reads the base's config and index and refuses what cannot be trained; returns the config.

    Raises:
        HubError: They cannot be had.
        ModelError: The base cannot be trained by the config's method, or is not whole.
    """
    files = resolve(pin.repo, pin.type, pin.commit).files
    if CONFIG not in files:
        raise ModelError(f"{pin.repo} at {pin.commit} has no {CONFIG}.", hint="Choose another base model or revision.")
    wanted = [name for name in (CONFIG, WEIGHTS_INDEX) if name in files]
    content = read_files(pin.repo, pin.type, pin.commit, wanted)
    facts = read_facts(content[CONFIG], pin.repo)
    check_facts(facts, config.train, pin.repo, pin.commit)
    if WEIGHTS_INDEX in content:
        check_shards(content[WEIGHTS_INDEX], files, pin.repo)
    return facts
