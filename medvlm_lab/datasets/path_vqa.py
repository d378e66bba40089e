"""PathVQA (He et al., 2020): questions generated from the captions of pathology textbooks.

Used here are the H&E-like micrographs of its training split. The questions are under the MIT licence; the images
remain their publishers', so they serve to train and to measure, and are not passed on.
"""

FOLDER = "pathvqa_histology"
MODALITY = "histology"
