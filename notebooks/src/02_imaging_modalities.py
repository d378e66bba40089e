# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   medvlm:
#     timeout: 90
# ---

# %% [markdown]
# # 02 · Imaging modalities
#
# **What does each machine measure, and what does that make easy or impossible to see?**
#
# *Learning goals.* You will say what each modality measures; change a window, a dose and a sequence and see what
# becomes visible; and tell which artefact belongs to which machine.
#
# Time: 30 minutes to read, under a minute to run. *Not for clinical use.*

# %%
import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from skimage import color, transform

import medvlm_lab as lab
from medvlm_lab.phantoms.base import Finding
from medvlm_lab.phantoms.brain_scene import BrainScene

lab.style.apply()
lab.samples()

# %% [markdown]
# All of these are real. A model that reads images has to cope with every one of them, and each came about in its own
# way: its *modality*.
#
# **Predict.** Ionising radiation has enough energy to break molecules, so each exposure has to be worth it. Which kinds
# of imaging expose the patient to it? Choose several with Ctrl or Cmd.

# %%
kinds = ["X-ray", "CT", "MR", "ultrasound", "nuclear medicine"]
mine = ipywidgets.SelectMultiple(options=kinds, rows=5, description="Ionising:")
mine

# %%
print("X-ray, CT and nuclear medicine.", f"You: {', '.join(mine.value) or 'no answer'}.")

# %% [markdown]
# ## X-ray: a shadow
#
# Rays are weakened on their way: $I = I_0\,e^{-\int \mu\,dx}$ (Beer and Lambert), with $\mu$ large in bone, middling in
# water and muscle, next to nothing in air. The picture is a *sum along the ray*: depth is lost, and a nodule may hide
# behind a rib. Made for bones and lungs; fast and cheap.

# %%
xray = lab.phantom("chest-xray")
thickness_cm = np.linspace(0, 25, 100)
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4))
for name, per_cm in (("lung", 0.05), ("muscle", 0.2), ("bone", 0.5)):
    axes[0].semilogy(thickness_cm, np.exp(-per_cm * thickness_cm), label=f"{name}, μ = {per_cm} / cm")
axes[0].set(xlabel="thickness, cm", title="share of rays that come through", ylim=(1e-4, 1.2))
axes[0].legend()
for axis, title, picture in (
    (axes[1], "real", lab.sample("chest-xray-nodules").display()),
    (axes[2], "simulated", xray.image(xray.draw(10)).display()),
):
    axis.imshow(picture)
    axis.set_title(title)
    axis.axis("off")
plt.tight_layout()
plt.show()

# %% [markdown]
# In the studio below, change *exposure*, *noise* and *scatter* under "Anatomy", then put in a nodule and make it small.
# When do you lose it?

# %%
lab.widgets.phantom_studio("chest-xray", seed=10)

# %% [markdown]
# ## CT: the inside from many shadows
#
# CT takes the shadow from hundreds of directions and computes what must lie inside. Each row of the *sinogram* is one
# shadow; *filtered back-projection* smears every shadow back over the slice.
#
# **Predict.** How many directions does a slice of 128 × 128 pixels need before you recognise the organs?

# %%
directions = ipywidgets.SelectionSlider(options=[4, 12, 40, 180], description="Enough:")
directions

# %%
ct = lab.sample("abdomen-ct")
slice_hu = transform.resize(ct.pixels[0].astype(float), (128, 128), anti_aliasing=True)
attenuation = np.clip(slice_hu, -1000, 1500) / 1000 + 1  # water is 1, air 0
pictures = {}
for count in (4, 12, 40, 180):
    angles = np.linspace(0, 180, count, endpoint=False)
    sinogram = transform.radon(attenuation, angles, circle=False)
    rebuilt = transform.iradon(sinogram, angles, circle=False, output_size=128)
    pictures[f"{count} directions"] = np.clip(rebuilt, 0.8, 1.25)
lab.style.show({"sinogram, 180 directions": sinogram.T} | pictures)

# %% [markdown]
# Values are Hounsfield units: air −1000, water 0, bone from 300 up. A screen shows 256 greys, so a **window** chooses
# which values they stand for. The same slice, three windows:

# %%
seen = lambda scan, name: scan.with_(window=scan.resolve_window(name))  # noqa: E731
lab.style.show({f"{name} window": seen(ct, name) for name in ("abdomen", "bone", "lung")}, side=3.6)

# %% [markdown]
# The dose, in milligray (mGy), decides the noise. A simulated patient can be scanned as often as we like: the same
# slice at a usual dose and at a thirtieth of it, beside the real one. The real slice lies upside down in its file, and
# the header says so: on reading it is turned to how radiologists look at it, from the feet, the patient's right (R) on
# the left.

# %%
abdomen = lab.phantom("abdominal-ct")
belly = abdomen.draw(3)
scans = {f"simulated, {dose:.0f} mGy": abdomen.image(belly.with_(dose_mgy=dose)) for dose in (30.0, 1.0)}
lab.style.show({k: seen(scan, "abdomen") for k, scan in ({"real": ct} | scans).items()}, side=3.6)

# %% [markdown]
# ## MR: a map of frequencies
#
# MR has no rays. Hydrogen in a strong magnet answers radio waves, and the machine measures the *Fourier transform* of
# the slice, called k-space: its middle holds contrast, its rim the edges. Contrast depends on how soon the signal
# fades (T2) or comes back (T1), so one anatomy can look in many ways. Made for soft tissue; slow, and there are no
# fixed units.
#
# **Predict.** Only the middle of k-space is kept, 1 % of it. What is left of the brain?

# %%
brain = lab.sample("brain-mr-volume").pixels[95].astype(float)
k_space = np.fft.fftshift(np.fft.fft2(brain))
radius = np.hypot(*(np.indices(brain.shape) - np.array(brain.shape)[:, None, None] // 2))
small = radius < np.sqrt(0.01 * brain.size / np.pi)
middle, rim = (np.abs(np.fft.ifft2(np.fft.ifftshift(k_space * part))) for part in (small, ~small))
shown = {"slice": brain, "k-space (logarithm)": np.log1p(np.abs(k_space)), "the middle 1 %": middle, "all else": rim}
lab.style.show(shown, side=3)

# %% [markdown]
# **Explain.** The middle keeps light and dark, the rim keeps the outlines: two pictures out of one measurement.
#
# What is bright is a matter of timing: a spin echo, the commonest *sequence* of radio pulses, gives
# $S = PD\,(1 - e^{-TR/T_1})\,e^{-TE/T_2}$. $PD$ is the density of hydrogen, $TR$ the time from one pulse to its
# repetition, $TE$ the time from pulse to echo. Short times favour tissue whose magnetisation comes back soon (T1), long
# ones tissue that keeps it (T2). FLAIR starts from an inversion and waits until fluid has no signal; a contrast agent
# brightens on T1 what leaks.
#
# **Predict.** A patient with a tumour: in which of the four simulated pictures is the fluid of the ventricles bright?

# %%
kinds = ["T1", "T2", "FLAIR", "T1 with contrast"]
sequence = ipywidgets.ToggleButtons(options=kinds, value=None, description="Bright:")
sequence

# %%
mr = lab.phantom("brain-mr")
tumour = Finding("brain tumour", "left", "frontal lobe", measurement=34.0)
swelling = Finding("vasogenic oedema", "left", "frontal lobe", amount=0.6)
head = BrainScene(seed=4, patient=4, position=0.62, findings=(tumour, swelling))
views = [mr.image(head.with_(sequence=k)).display() for k in range(4)]
titles = [f"simulated {kind}" for kind in kinds]
lab.style.show({"real T1": brain} | dict(zip(titles, views, strict=True)), columns=5, side=2.4)

# %% [markdown]
# **Explain.** On T2 alone. The swelling around the tumour is water in tissue, bright on T2 and FLAIR; the rim that
# takes up the contrast agent is where the vessels leak. The patient's left is on your right, as if you stood at the
# foot of the bed.

# %% [markdown]
# ## Ultrasound: echoes
#
# A pulse of sound comes back from every border between tissues; the time it took tells the depth. Fine grain,
# *speckle*, is not tissue but interference. Sound fades with depth and does not pass bone or air. No radiation, live,
# cheap: the heart is seen beating.

# %%
echo = lab.phantom("echocardiogram")
heart = echo.draw(2).with_(findings=(), five_chamber=0, ejection_fraction_percent=62.0, start=0.0)
beating = echo.image(heart)
cavity = echo.masks([heart], 128)["left ventricle"][0].float().mean((-2, -1)).numpy()  # (frames,)
widest, narrowest = int(cavity.argmax()), int(cavity.argmin())
figure, axes = plt.subplots(1, 4, figsize=(12, 3.2))
real = lab.sample("echo-cine")
shown = {
    "real": real.pil(real.reading_frame),
    "simulated, filled": beating.display(widest),
    "simulated, emptied": beating.display(narrowest),
}
for axis, (title, picture) in zip(axes, shown.items(), strict=False):
    axis.imshow(picture)
    axis.set_title(title)
    axis.axis("off")
axes[3].plot(np.arange(len(cavity)) / beating.fps, 100 * cavity)
axes[3].set(xlabel="seconds", title="left ventricle, % of the picture")
plt.tight_layout()
plt.show()

# %% [markdown]
# The share of its blood that the ventricle throws out is the *ejection fraction*; you see
# it in the curve. Play a real one: is the valve's leaflet ever hidden by speckle?

# %%
lab.widgets.viewer("echo-cine-short")

# %% [markdown]
# ## Nuclear medicine: counting
#
# A tracer goes where metabolism is, and a camera counts its decays: function, not form. Counting has a law of its own:
# $n$ counts scatter by $\sqrt n$. Half the activity is half the dose, and a noisier picture.

# %%
pet = lab.phantom("pet")
body = pet.draw(8).with_(camera=0, counts=4.0)
changes = {
    "simulated PET": {}, "simulated, 1/40 of the counts": {"counts": 0.1}, "simulated, not corrected": {"corrected": 0},
    "simulated SPECT": {"camera": 1},
}  # fmt: skip
scans = {title: pet.image(body.with_(**change)) for title, change in changes.items()}
lab.style.show({"real bone scan": lab.sample("bone-scan")} | scans, columns=5)

# %% [markdown]
# **Explain.** The brain burns sugar and the bladder collects the tracer: bright is not always ill. In the fourth
# picture the body's own attenuation is not corrected: skin and lungs look too bright, because little lies between them
# and the camera. PET catches two photons that fly apart and so knows the line they came along; SPECT has one, and needs
# a collimator, a lead plate with holes, that stops nearly all others and blurs the rest.

# %% [markdown]
# ## Histology: stained light
#
# A slice thinner than a cell, stained, under a microscope. Each stain takes its colours out of white light by the same
# law as X-rays in the body, so that it can be computed backwards: here the nuclei's blue and the antibody's brown,
# unmixed.

# %%
tissue = lab.sample("colon-ihc").display()
stains = color.rgb2hed(tissue)  # (h, w, 3): haematoxylin, eosin, DAB
shown = {"as photographed": tissue, "nuclei (haematoxylin)": stains[..., 0], "antibody (DAB)": stains[..., 2]}
lab.style.show(shown, side=3.6)

# %% [markdown]
# Simulated, the other way round: glands and nuclei are laid out, stained and photographed. The usual stain, H&E, has
# eosin's pink in place of the brown (H is haematoxylin, the blue). **Predict.** Which of the four is cancer that has
# broken out of its glands?

# %%
histology = lab.phantom("histology")
names = ("normal", "benign", "in situ", "invasive")
drawn = histology.sample(5, 99)
slides = [next(s for s in drawn if (s.organ, s.diagnosis) == (0, d)).with_(field_um=420.0) for d in range(4)]
lab.style.show({f"simulated {i + 1}": histology.image(s).display() for i, s in enumerate(slides)}, side=3)

# %%
for i, (name, slide) in enumerate(zip(names, slides, strict=True)):
    print(f"{i + 1}: {name}. {histology.report(slide).impression}")

# %% [markdown]
# **Explain.** In situ, the cells are wild but their gland's border holds; invasive, glands without a border lie in
# young, reactive stroma (the tissue between glands). Architecture decides, and one must see enough of it: a patch of a
# few cells cannot tell.

# %% [markdown]
# ## What the file says besides
#
# A DICOM file carries a header: machine, position, spacing, and who the patient is. On reading, this book keeps a short
# list of tags and drops the rest, names and dates among them. Without the spacing no size can be measured; without the
# inversion flag black and white may be swapped.

# %%
names = ["chest-xray-nodules", "abdomen-ct", "liver-mr", "power-doppler", "echo-cine", "bone-scan", "retina"]
facts = {}
for name in names:
    image = lab.sample(name)
    size = f"{image.frames} × {image.height} × {image.width}"
    spacing = f"{image.spacing_mm[0]:.2f} mm" if image.spacing_mm else "–"
    facts[name] = [image.modality, size, spacing, image.units or "–", "yes" if image.inverted else "", len(image.tags)]
columns = ["modality", "frames × rows × columns", "spacing", "units", "inverted", "tags kept"]
pd.DataFrame.from_dict(facts, orient="index", columns=columns)

# %% [markdown]
# ## Are the simulations any good?
#
# One test is whether a network can be fooled the other way round: it learns from simulated pictures alone which machine
# made them and is then shown real ones. `python bench/distribution.py` does that. Of VQA-RAD's 314 radiology images it
# names head, chest or abdomen rightly in 93 % (chance 33; interval 90 to 96 from the *bootstrap*, which draws the
# images again and again with repetition and looks how the score scatters), though it never saw a real picture. That
# shows that the gross look is right, not that a radiologist would be content.

# %% [markdown]
# ## Exercises

# %%
lab.check("02.1", None)

# %%
lab.check("02.2", None)

# %%
lab.check("02.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>The same pixel value means the same in two CT scans, but not in two MR scans. Why?</summary>
# CT is calibrated: Hounsfield units are fixed by air and water. MR has no fixed units, and what is bright depends on
# the sequence and its times, so a model has to be told the sequence, or learn to see it.</details>
#
# <details><summary>A nodule is plain in CT and missing in the radiograph of the same day. Which of the two is
# wrong?</summary>
# Neither. A radiograph adds up everything along each ray, so a rib or the heart can hide the nodule; CT computes the
# slice and has nothing in front of it.</details>
#
# <details><summary>Why does a PET image with half the counts look worse, although nothing was moved or
# blurred?</summary>
# Counts scatter by their square root. With half of them, the scatter is a larger share of the signal, and small warm
# spots drown in it.</details>
#
# **Summary.** A modality measures one thing: attenuation, the answer of hydrogen, echoes, decays or stained light. From
# this follow what it shows, what it hides, and its artefacts. Window, spacing, sequence and inversion belong to the
# image: without them, neither a reader nor a model knows what a grey value means.
#
# **Further reading.** Bushberg et al., *The Essential Physics of Medical Imaging* (textbook). Kak and Slaney,
# *Principles of Computerized Tomographic Imaging*, IEEE Press 1988. Ruifrok and Johnston, Anal Quant Cytol Histol
# 23:291, 2001 (unmixing stains). Lau et al., *Sci Data* 5:180251, 2018 (VQA-RAD).
#
# Back to [01](01_medical_image_analysis.ipynb), on to [03](03_multimodal_models.ipynb).
