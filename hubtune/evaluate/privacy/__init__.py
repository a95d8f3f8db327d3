"""What a model reveals about its training rows: whole suffixes, planted secrets, personal data."""

from hubtune.evaluate.bench import Metric
from hubtune.evaluate.privacy.exposure import CanaryExposure, Contamination
from hubtune.evaluate.privacy.memorisation import Memorisation
from hubtune.evaluate.privacy.personal_data import PersonalData

PRIVACY_METRICS: tuple[Metric, ...] = (Memorisation(), CanaryExposure(), PersonalData(), Contamination())
