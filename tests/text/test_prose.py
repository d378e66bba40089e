"""Sections of free-text reports: which heading is findings, which impression, and which neither."""

import pytest

from medvlm_lab.text.prose import report_sections, sections

REPORTS = {
    "FINDINGS: Clear.\nCONCLUSION: Normal.": ("Clear.", "Normal."),
    "Findings: Clear.\nConclusions:\n1. Normal.\n2. Stable.": ("Clear.", "1. Normal. 2. Stable."),
    "FINDINGS: Clear.\nIMPRESSION: Normal.\n\nNOTIFICATION: Findings were told to Dr. X.": ("Clear.", "Normal."),
    "FINDINGS: Clear. IMPRESSION: Normal. NOTIFICATION: Phoned.": ("Clear.", "Normal."),
    "NOTIFICATION: Findings: phoned.\nIMPRESSION: Normal.": ("", "Normal."),
    "RECOMMENDATION(S): CT.\nIMPRESSION: Normal.": ("", "Normal."),
    "IMPRESSION AND RECOMMENDATION: Normal. No CT.": ("", "Normal. No CT."),
    "IMPRESSION/RECOMMENDATIONS: Normal.": ("", "Normal."),
    "FINDINGS/IMPRESSION: Normal.": ("Normal.", ""),
    "PROVISIONAL FINDINGS IMPRESSION (PFI): Clear.": ("Clear.", ""),
    "FINDINGS\nClear.\nIMPRESSION\nNormal.": ("Clear.", "Normal."),
    "FINDINGS The lungs are clear.\nIMPRESSION Normal.": ("The lungs are clear.", "Normal."),
    "Findings - Clear.\nImpression - Normal.": ("Clear.", "Normal."),
    "**Findings:** Clear. **Impression:** Normal.": ("Clear.", "Normal."),
    "EXAM: Chest. INDICATION: Cough. FINDINGS: Clear.": ("Clear.", ""),
    "FINDINGS:\nLUNGS: Clear.\nHEART: Normal.\nTECHNIQUE: AP.": ("LUNGS: Clear. HEART: Normal.", ""),
    "FINDINGS: Clear. Incidental findings: none.": ("Clear. Incidental findings: none.", ""),
    "CHEST RADIOGRAPH: Clear.\nNOTIFICATION: Phoned.": ("Clear.", ""),
    "Findings were discussed with the ward.": ("Findings were discussed with the ward.", ""),
}


@pytest.mark.parametrize("text", REPORTS)
def test_sections_of_a_report(text):
    assert tuple(report_sections(text).values()) == REPORTS[text]


def test_what_a_model_writes_before_its_first_heading_is_findings():
    assert sections("The heart is large Impression: Cardiomegaly.") == {
        "findings": "The heart is large", "impression": "Cardiomegaly.",
    }  # fmt: skip
    assert sections("findings : clear . impression : normal .") == {"findings": "clear .", "impression": "normal ."}
    assert sections("Clear.\nConclusion: Normal.\nNotification: X.") == {"findings": "Clear.", "impression": "Normal."}
