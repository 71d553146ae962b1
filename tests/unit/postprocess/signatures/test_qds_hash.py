"""The register hash against a register that runs bit by bit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import RemoteProtocolError
from faintlink.postprocess.signatures.hash import draw_irreducible, is_irreducible, register_hash


def naive_hash(document: bytes, polynomial: int, start: int) -> int:
    """Sum the states of a register that runs one bit at a time."""
    degree = polynomial.bit_length() - 1
    bits = [byte >> (7 - k) & 1 for byte in document for k in range(8)]
    sequence = [start >> k & 1 for k in range(degree)]
    while len(sequence) < len(bits) + 2 * degree:
        sequence.append(sum((polynomial >> k & 1) & sequence[k - degree] for k in range(degree)) % 2)
    return sum(
        (sum(bit & sequence[j + degree + len(bits) - 1 - i] for i, bit in enumerate(bits)) % 2) << j
        for j in range(degree)
    )


@settings(max_examples=60, deadline=None)
@given(document=st.binary(min_size=1, max_size=60), degree=st.integers(2, 64), seed=st.integers(0, 2**32))
def test_the_hash_is_the_sum_of_register_states(document: bytes, degree: int, seed: int) -> None:
    entropy = SeededEntropy(seed)
    polynomial = draw_irreducible(degree, entropy)
    start = int.from_bytes(entropy.draw(8, "start"), "big") & (1 << degree) - 1
    assert register_hash(document, polynomial, start) == naive_hash(document, polynomial, start)


def test_documents_longer_than_a_stretch_are_hashed_alike() -> None:
    entropy = SeededEntropy(2)
    polynomial, document = draw_irreducible(13, entropy), entropy.draw(4097, "document")
    assert register_hash(document, polynomial, 0x1234 & 0x1FFF) == naive_hash(document, polynomial, 0x1234 & 0x1FFF)


def test_the_numbers_of_irreducible_polynomials_are_those_of_gauss() -> None:
    counts = [sum(is_irreducible(p) for p in range(1 << d, 2 << d)) for d in range(1, 11)]
    assert counts == [2, 1, 2, 3, 6, 9, 18, 30, 56, 99]  # OEIS A001037


def test_a_reducible_polynomial_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="irreducible"):
        register_hash(b"document", 0b101, 1)


def test_collisions_over_all_keys_stay_within_the_bound() -> None:
    # Every key of degree 8: 30 polynomials, 256 starts; the documents differ in 32 bits' length.
    keys = [(p, s) for p in range(256, 512) if is_irreducible(p) for s in range(256)]
    same = sum(register_hash(b"pay 1", p, s) == register_hash(b"pay 9", p, s) for p, s in keys)
    assert same / len(keys) <= 40 / 2**7
