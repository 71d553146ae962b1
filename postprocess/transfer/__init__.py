"""1-out-of-2 oblivious transfer of random strings from conjugate coding and commitments."""
