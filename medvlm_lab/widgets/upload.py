"""A file that the browser sent, as an image."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path, PureWindowsPath

from medvlm_lab.errors import ImageReadError, MedVLMError
from medvlm_lab.image import MedicalImage
from medvlm_lab.io import read
from medvlm_lab.text.plain import printable

ENDING = re.compile(r"(\.nii)?\.[a-z0-9]{1,8}$", re.IGNORECASE)
LONGEST = 80  # characters of a name in a sentence


def read_upload(name: str, content: bytes) -> MedicalImage:
    """The image in an uploaded file, under a neutral name.

    Raises ImageReadError, which calls the file as the reader does, never by where it lay meanwhile.
    """
    shown = printable(PureWindowsPath(name).name)[:LONGEST] or "The file"  # divided at both kinds of slash
    ending = ENDING.search(shown)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sent-file" + (ending[0] if ending else ""))  # a name may be too long, or no name here

        def told(text: str) -> str:
            return text.replace(str(path), shown).replace(path.name, shown).replace(folder, "")

        try:
            path.write_bytes(content)
            return read(path).with_(source="uploaded by the reader")
        except MedVLMError as error:
            raise ImageReadError(told(str(error))).about(Path(shown), told(error.kept)) from None
        except Exception as error:  # shown in the widget, where a traceback would be lost
            why = told(" ".join(f"{type(error).__name__}: {error}".split()))
            said = f"{shown} could not be read ({why}); upload DICOM, NIfTI, PNG, JPEG or TIFF."
            raise ImageReadError(said) from None
