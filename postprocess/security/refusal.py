"""Why a decoy-state bound gives no key, in one sentence, and what would help."""

from collections.abc import Mapping

MORE = "a longer block"


def decoy_refusal(terms: Mapping[str, float], *, n_key: int, n_test: int) -> str:
    """Return which term left no key and what would help.

    Parameters
    ----------
    terms
        The rounded terms of a bound of `estimation`.
    n_key, n_test
        Detections in the key and in the test basis.
    """
    if n_key == 0 or n_test == 0:
        basis = "key" if n_key == 0 else "test"
        return f"There are no detections in the {basis} basis: check the source, the loss and the basis choice."
    for basis, field in (("key", "s_key1_lower"), ("test", "s_test1_lower")):
        if terms[field] <= 0.0:
            return (
                f"The counts do not prove a single photon in the {basis} basis ({field} = 0): {MORE}, more pulses "
                f"of the dim intensities or more detections in the {basis} basis would help."
            )
    lost = terms["s_key1_lower"] * terms["entropy_upper"]
    leak, fixed = terms["leak_ec_upper"], terms["secrecy_cost_upper"] + terms["correctness_cost_upper"]
    if terms["phi_key_upper"] >= 0.5 or lost >= max(leak, fixed):
        return _phase_refusal(terms, lost)
    return _cost_refusal(terms["secret_before_costs"], leak, fixed)


def _phase_refusal(terms: Mapping[str, float], lost: float) -> str:
    ratio, gamma = terms["error_ratio_upper"], terms["gamma_upper"]
    head = (
        f"The phase error bound of {terms['phi_key_upper']:.3g} (phi_key_upper) takes {lost:.0f} of the "
        f"{terms['s_key1_lower']:.0f} single-photon bits"
    )
    if ratio >= gamma:
        return (
            f"{head}; {ratio:.3g} of it are errors in the test basis (error_ratio_upper): a lower QBER there, or "
            f"{MORE} if the errors are few, would help."
        )
    return (
        f"{head}; {gamma:.3g} of it are due to the small sample (gamma_upper): {MORE} or a larger share of the test "
        "basis would help."
    )


def _cost_refusal(secret: float, leak: float, fixed: float) -> str:
    if leak >= fixed:
        return (
            f"Reconciliation revealed {leak:.0f} bits (leak_ec_upper), the block holds {secret:.0f} secret bits "
            f"before costs: a lower QBER, a more efficient code or {MORE} would help."
        )
    return (
        f"The fixed costs of {fixed:.0f} bits (secrecy_cost_upper, correctness_cost_upper) and the leak of "
        f"{leak:.0f} exceed the {secret:.0f} secret bits of the block: {MORE} would help."
    )
