"""The metrics of privacy, in the order in which the card tells of them."""

from hubtune.evaluate.metric import Metric
from hubtune.evaluate.privacy.contamination import Contamination
from hubtune.evaluate.privacy.exposure import CanaryExposure
from hubtune.evaluate.privacy.memorisation import Memorisation
from hubtune.evaluate.privacy.personal_data import PersonalData

PRIVACY_METRICS: tuple[Metric, ...] = (Memorisation(), CanaryExposure(), PersonalData(), Contamination())
