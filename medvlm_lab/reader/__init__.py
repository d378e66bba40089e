"""The reader study: blinded preference and error marking, its statistics, simulated readers, and what they add up to.

>>> study = Study(simulated_cases())
>>> evaluate(readings(panel(5), study.cases))
"""

from medvlm_lab.reader.cases import simulated_cases
from medvlm_lab.reader.collaboration import collaborate, edited
from medvlm_lab.reader.marks import Mark
from medvlm_lab.reader.records import read, resume, save, to_csv, to_json
from medvlm_lab.reader.scores import agreement, evaluate
from medvlm_lab.reader.simulated import SimulatedReader, panel, readings
from medvlm_lab.reader.study import Case, Reading, Study, amend, go, mark, prefer, unmark
from medvlm_lab.reader.truth import faults

__all__ = [
    "Case", "Mark", "Reading", "SimulatedReader", "Study", "agreement", "amend", "collaborate", "edited", "evaluate",
    "faults", "go", "mark", "panel", "prefer", "read", "readings", "resume", "save", "simulated_cases", "to_csv",
    "to_json", "unmark",
]
