"""Draw docs/assets/*.png: the bounds' key rates beside the figures of their papers.

Run as ``python docs/make_figures.py`` (half a minute or more); it overwrites the pictures.
The points are claims in the text
of the papers and, for Rusca 2018, an optimum table computed with another code from the paper's formulas; no curve
was read off a printed figure.
"""

from pathlib import Path

from faintlink.postprocess.report.rates import Curve, rates_png
from faintlink.postprocess.security.decoy import LinkModel, optimise_rusca
from faintlink.postprocess.security.lim_link import LimLink, optimise_lim
from faintlink.postprocess.security.planning import Goal, plan

ASSETS = Path(__file__).resolve().parent / "assets"
RUSCA_TABLE = {
    10**5: {10: 1.066e6, 20: 1.517e5, 30: 1.591e4, 40: 1.572e3, 50: 132.7},
    10**7: {10: 2.306e6, 20: 4.467e5, 26: 1.240e5, 30: 5.046e4, 40: 5.074e3, 50: 468.6, 60: 16.97},
    10**9: {10: 2.855e6, 20: 6.386e5, 26: 1.8465e5, 30: 7.594e4, 40: 7.706e3, 50: 728.0, 60: 35.9},
}
"""Key-basis detections of a block -> loss in dB -> bit/s, parameters of App. B."""
LIM_RATIO_AT_100_KM = 1.75
"""Rate of n = 1e9 over that of n = 1e7, in the text of Lim 2014."""


def lim() -> bytes:
    """Return the curves of Lim 2014, Sec. IV, with the ratio of the text as a point at 100 km."""
    distances = tuple(float(km) for km in range(0, 201, 10))
    curves = []
    for exponent in (4, 5, 7, 9):
        rates = tuple(optimise_lim(LimLink(km), 10**exponent).key_rate_per_pulse for km in distances)
        curves.append(Curve(f"lim2014, n = 1e{exponent}", distances, rates))
    reference = dict(zip(distances, curves[2].rate, strict=True))[100.0] * LIM_RATIO_AT_100_KM
    curves.append(Curve("text: 1.75 times the rate of n = 1e7", (100.0,), (reference,), is_reference=True))
    note = "Text of the paper: n = 1e4 reaches 135 km; here the last key is near 130 km."
    labels = {"x_label": "distance (km)", "y_label": "secret bits per pulse"}
    return rates_png(curves, title="Two decoys: lim2014 with the link of Lim et al. 2014", note=note, **labels)


def rusca() -> bytes:
    """Return the curves of Rusca 2018 with the optimum table as points."""
    losses = tuple(float(db) for db in range(4, 67, 2))
    curves = []
    for n_z, table in RUSCA_TABLE.items():
        rates = tuple(optimise_rusca(LinkModel(db), n_z).key_rate_bps for db in losses)
        curves.append(Curve(f"rusca2018, n = {n_z:.0e}", losses, rates))
        points = tuple(map(float, table)), tuple(table.values())
        curves.append(Curve(f"optimum table, n = {n_z:.0e}", *points, is_reference=True))
    labels = {"x_label": "loss of the channel (dB)", "y_label": "secret bits per second"}
    return rates_png(curves, title="One decoy: rusca2018 with the link of Rusca et al. 2018", **labels)


def compared() -> bytes:
    """Return all bounds over one link, with blocks of one minute."""
    distances = tuple(float(km) for km in range(0, 251, 10))
    curves = []
    names = {
        "asymptotic": "asymptotic (not secure for finite blocks)",
        "rusca2018": "rusca2018 (one decoy, fixed)",
        "lim2014": "lim2014 (two decoys, fixed)",
        "tupkary2024": "tupkary2024 (two decoys, variable)",
        "mismatch": "tupkary2024, detectors differ by 1 %",
        "tomamichel2012": "tomamichel2012 (BBM92, fixed)",
    }
    mismatch = {"delta_eta": 0.01, "delta_dc": 0.01, "dark_count": 1e-7}
    for name, label in names.items():
        bound, options = ("tupkary2024", mismatch) if name == "mismatch" else (name, {})
        links = [LinkModel(0.2 * km, dark_count_probability=2e-7) for km in distances]
        rates = tuple(plan(bound, link, Goal(options=options), block_s=60.0).key_rate_bps for link in links)
        curves.append(Curve(label, distances, rates))
    labels = {"x_label": "distance (km), 0.2 dB/km", "y_label": "secret bits per second"}
    note = "1 GHz, efficiency 0.5, 100 Hz dark counts, 1 ns gates, 100 ns dead time, blocks of 60 s."
    return rates_png(curves, title="The bounds over one link, each with its best settings", note=note, **labels)


if __name__ == "__main__":
    ASSETS.mkdir(exist_ok=True)
    for name, picture in {"bounds-lim2014": lim, "bounds-rusca2018": rusca, "bounds-compared": compared}.items():
        (ASSETS / f"{name}.png").write_bytes(picture())
